import { Fault } from '../../../contracts/ports/fault.ts';

/** A text that is not what it should be. Says what was expected and where, never what stands there. */
export function unreadable(code: string, zh: string, en: string, cause?: unknown): Fault {
  return new Fault('malformed', { reason: { code, zh, en }, cause });
}
