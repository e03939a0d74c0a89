import { createHmac } from 'node:crypto';
import { comparableIdNo } from '../../contracts/identifiers.ts';

/**
 * HMAC-SM3 of an id number under the deployment's key: how whatever is kept names a holder, and how a citizen's own question is answered. However the number
 * is written, it is the same holder.
 */
export const hashingHolders =
  (key: string) =>
  (idNo: string): string =>
    createHmac('sm3', key).update(comparableIdNo(idNo)).digest('hex');
