import { createHash, randomBytes } from 'node:crypto';

/** 192 bits of chance, in the letters of a URL. */
export const newUseCode = (): string => randomBytes(24).toString('base64url');

/** How a use code is kept: whoever reads the store cannot use it. */
export const codeHash = (useCode: string): string => createHash('sm3').update(`use code\n${useCode}`).digest('hex');
