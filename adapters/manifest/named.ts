import { createHash } from 'node:crypto';
import type { Mapping } from '../../contracts/mapping.ts';
import type { Message } from '../../contracts/ports/envelope.ts';
import type { Done, Meanings } from './meaning.ts';

/** When a message was said, and its name for ever, as the party tells them; `otherwise` where it does not. */
export async function named(
  { at, dedupe }: { readonly at: Mapping | undefined; readonly dedupe: Mapping | undefined },
  done: Done,
  meanings: Meanings,
  otherwise: Pick<Message, 'at' | 'dedupe'>,
): Promise<Pick<Message, 'at' | 'dedupe'>> {
  const time = at === undefined ? undefined : await meanings.mapped(at, done);
  const name = dedupe === undefined ? undefined : await meanings.mapped(dedupe, done);
  return {
    at: typeof time === 'number' ? time : otherwise.at,
    dedupe: typeof name === 'string' && name !== '' ? bounded(name) : otherwise.dedupe,
  };
}

/** Characters of a name by which a message is kept; it stands in an index. */
const LONGEST = 256;

const bounded = (name: string): string =>
  name.length <= LONGEST ? name : `sha256:${createHash('sha256').update(name).digest('hex')}`;
