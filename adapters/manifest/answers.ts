import type { Json, JsonObject } from '../../contracts/ports/envelope.ts';

/** How a reply is meant; docs/manifest.md has what each does in each operation. */
export type Meaning =
  | 'filed'
  | 'pending'
  | 'duplicate'
  | 'none'
  | 'refused'
  | 'correction'
  | 'progress'
  /** Of a push: a certificate is not what it was. */
  | 'changed'
  | 'busy'
  | 'sessionLost'
  | 'unauthorized'
  | 'malformed';

export interface Condition {
  readonly path?: string;
  readonly in?: readonly string[];
  readonly notIn?: readonly string[];
  readonly contains?: readonly string[];
  readonly present?: boolean;
  readonly status?: readonly number[];
  readonly contentType?: string;
  readonly root?: string;
}

export interface Rule {
  readonly as: Meaning;
  readonly all?: readonly Condition[];
  readonly any?: readonly Condition[];
  /** Paths to the party's own code, sentence, and list of what is to be mended. */
  readonly code?: string;
  readonly words?: string;
  readonly asks?: string;
  readonly waitMs?: number;
}

/** What rules look at. `reply` is undefined when the body could not be read: only the outside can match then. */
export interface Seen {
  readonly status: number;
  readonly contentType: string;
  readonly root: string | undefined;
  readonly reply: Json | undefined;
}

/** The first rule that matches; undefined when none does. */
export function classify(rules: readonly Rule[], seen: Seen): Rule | undefined {
  return rules.find(
    ({ all, any }) =>
      (all?.every((condition) => holds(condition, seen)) ?? true) &&
      (any?.some((condition) => holds(condition, seen)) ?? true),
  );
}

function holds(condition: Condition, seen: Seen): boolean {
  const { status, contentType, root, path } = condition;
  if (status !== undefined && !status.includes(seen.status)) return false;
  if (contentType !== undefined && !seen.contentType.toLowerCase().startsWith(contentType.toLowerCase())) return false;
  if (root !== undefined && seen.root?.toLowerCase() !== root.toLowerCase()) return false;
  if (path === undefined) return true;
  if (seen.reply === undefined) return false;
  const values = textsAt(seen.reply, path);
  if (condition.in !== undefined && !values.some((value) => condition.in?.includes(value))) return false;
  // What is not there is not "another value": a reply without the field says nothing.
  if (
    condition.notIn !== undefined &&
    (values.length === 0 || values.some((value) => condition.notIn?.includes(value)))
  )
    return false;
  if (
    condition.contains !== undefined &&
    !values.some((value) => condition.contains?.some((part) => value.includes(part)))
  )
    return false;
  if (condition.present !== undefined && values.some((value) => value !== '') !== condition.present) return false;
  return true;
}

/** Every text at the end of a dotted path, lists taken apart; trimmed, so that `0`, `"0"` and `" 0"` are equal. An object at the end counts as something. */
export function textsAt(from: Json, path: string): readonly string[] {
  let at: Json[] = [from];
  for (const step of path.split('.')) {
    at = at
      .flatMap((value) => spread(value))
      .flatMap((value) => {
        const inner = isObject(value) ? value[step] : undefined;
        return inner === undefined || inner === null ? [] : [inner];
      });
  }
  return at
    .flatMap(spread)
    .map((value) =>
      isObject(value) ? (typeof value['#text'] === 'string' ? value['#text'].trim() : '{}') : String(value).trim(),
    );
}

const spread = (value: Json): Json[] => (Array.isArray(value) ? value.flatMap(spread) : [value]);
const isObject = (value: Json): value is JsonObject =>
  value !== null && typeof value === 'object' && !Array.isArray(value);
