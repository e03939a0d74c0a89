import { sm2Sign, sm2Verify } from '../../../contracts/sm2.ts';

/** What a seal speaks of: these bytes, as the document of this certificate, handed out for this case. */
export interface Sealed {
  /** 64 lower-case hex, of the file that is handed out: the copy's where a copy is. */
  readonly sm3: string;
  /** GB/T 36904; null where the source gives none. */
  readonly identifier: string | null;
  /** Case number, or before acceptance the application number. */
  readonly handledUnder: string;
}

/**
 * The gateway's SM2 signature (GB/T 32918, SM3, user id 1234567812345678) over
 *
 *   onewindow-document:1\n<sm3>\n<certificate identifier or nothing>\n<case or application number>
 *
 * in UTF-8, without a line end after the last. Whoever holds the file, its two numbers and our public key can check it without asking us.
 *
 * @param privateKey 64 hex
 * @returns 128 lower-case hex, r and s as the departments' own interfaces carry them; a SEQUENCE of the two is the DER form of GM/T 0009
 * @throws RangeError when a part is not of its form: a line end in one could make two texts one
 */
export const seal = (privateKey: string, sealed: Sealed): string => sm2Sign(textOf(sealed), privateKey);

/** @param publicKey 130 hex with its leading `04`. False for parts and signatures of no form, too. */
export function verifySeal(publicKey: string, sealed: Sealed, signature: string): boolean {
  return isWhole(sealed) && sm2Verify(textOf(sealed), signature, publicKey);
}

function textOf(sealed: Sealed): string {
  if (!isWhole(sealed)) throw new RangeError('a seal needs an SM3 in lower-case hex and numbers of one line');
  const { sm3, identifier, handledUnder } = sealed;
  return `onewindow-document:1\n${sm3}\n${identifier ?? ''}\n${handledUnder}`;
}

const isWhole = ({ sm3, identifier, handledUnder }: Sealed): boolean =>
  /^[0-9a-f]{64}$/.test(sm3) && !/[\r\n]/.test(`${identifier ?? ''}${handledUnder}`) && handledUnder !== '';
