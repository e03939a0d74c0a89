import type { Mapping } from '../../contracts/mapping.ts';
import type { Json, JsonObject } from '../../contracts/ports/envelope.ts';
import { isAmong, type NamesUsed, namesUsed } from './names-used.ts';

/** Expressions whose value decides what a push does. */
const EFFECTS = ['about', 'at', 'dedupe', 'answer', 'changed'] as const;

/** A callback as its manifest writes it. */
type CallbackAsWritten = { readonly verify: string } & { readonly [part in (typeof EFFECTS)[number]]?: string };

/** What is looked at of a manifest that was read. */
interface Proving {
  /** JSON Schema of the deployment's settings. */
  readonly settings: JsonObject;
  readonly callback: { readonly verify: Mapping; readonly proof: NamesUsed } | undefined;
}

/** What would let strangers speak for the party: by the part of the callback, and in words. */
export function pushMistakes(
  callback: CallbackAsWritten,
  sourceOf: (text: string) => string | undefined,
): readonly (readonly [part: string, words: string])[] {
  const proof = namesUsed(sourceOf(callback.verify) ?? '');
  const mistakes: (readonly [string, string])[] = [];
  if (proof.settings.length === 0)
    mistakes.push([
      'verify',
      'uses no setting: a push is proved by a key that only the party has（验签未使用任何配置项）',
    ]);
  else if (!proof.text && proof.reply.length === 0 && proof.request.length === 0)
    mistakes.push([
      'verify',
      'looks at nothing of the push: whoever sends one would be believed（验签未使用推送内容）',
    ]);
  for (const part of EFFECTS) {
    const source = callback[part];
    for (const path of source === undefined ? [] : namesUsed(sourceOf(source) ?? '').request)
      if (!isAmong(path, proof.request))
        mistakes.push([
          part,
          `uses ${['request', ...path].join('.')}, which verify does not: whoever sends it again may change it（所用内容未经验签）`,
        ]);
  }
  return mistakes;
}

/** Pushes that nobody signed, as a verification sees them: with nothing where it looks for a signature, and with something. */
function unsigned({ request, reply }: NamesUsed): readonly object[] {
  const given = { method: 'POST', path: '/', headers: {}, query: {}, bytes: Buffer.from('x') };
  // Short and long, of JSON and XML: what looks only at how a push is made is shown one that is made so.
  const texts = ['x', '{"a":"b"}', '<a>b</a>', 'x'.repeat(4_096), JSON.stringify({ a: 'x'.repeat(4_096) })];
  return texts.flatMap((text) => {
    const bytes = Buffer.from(text);
    return [
      { now: 0, text, replies: {}, reply: {}, request: { ...given, bytes } },
      { now: 0, text, replies: {}, reply: filled({}, reply), request: filled({ ...given, bytes }, request) },
    ];
  });
}

/** With a text at the end of each path at which there is nothing. */
function filled(value: object, paths: readonly (readonly string[])[]): object {
  const whole = structuredClone(value) as Record<string, unknown>;
  for (const path of paths) {
    let at = whole;
    for (const [depth, step] of path.entries()) {
      at[step] ??= depth === path.length - 1 ? 'x' : {};
      if (typeof at[step] !== 'object' || at[step] === null) break;
      at = at[step] as Record<string, unknown>;
    }
  }
  return whole;
}

/**
 * Whether a verification takes a push that has no signature, under any of the settings that a deployment may give: then it verifies nothing.
 * An expression that fails takes nothing.
 */
export async function acceptsUnsigned({ callback, settings }: Proving): Promise<boolean> {
  if (callback === undefined) return false;
  for (const given of settingsToTry(settings))
    for (const push of unsigned(callback.proof))
      if ((await callback.verify({ ...push, settings: given }).catch(() => false)) === true) return true;
  return false;
}

/** Each choice that a setting has, the others being as they are first. */
function settingsToTry({ properties = {} }: JsonObject): readonly JsonObject[] {
  const choices = Object.entries(properties as JsonObject).map(([name, schema]) => [name, choicesOf(schema)] as const);
  const first = Object.fromEntries(choices.map(([name, [value = null]]) => [name, value]));
  return [first, ...choices.flatMap(([name, values]) => values.slice(1).map((value) => ({ ...first, [name]: value })))];
}

function choicesOf(schema: Json): readonly Json[] {
  const { type, enum: choices, const: only, default: otherwise } = (schema ?? {}) as JsonObject;
  if (only !== undefined) return [only];
  if (Array.isArray(choices)) return choices;
  if (type === 'boolean') return [true, false];
  if (type === 'integer' || type === 'number') return [otherwise ?? 1, 0];
  if (type === 'object') return settingsToTry(schema as JsonObject);
  if (type === 'array') return [[], ['0'.repeat(64)]];
  // Of the length of keys: what does not fit fails, and takes nothing.
  return [...(otherwise === undefined ? [] : [otherwise]), '5a'.repeat(32), '5a'.repeat(16)];
}

/** Paths and values of the settings that must not be blank: those that a push is verified with, and whatever secret is given. */
export function blankKeys(
  { settings: schema, callback }: Proving,
  settings: JsonObject,
): readonly { readonly path: readonly string[]; readonly verifies: boolean }[] {
  const keys = callback?.proof.settings.filter((path) => path.length > 0) ?? [];
  const empty = keys.filter((path) => isBlank(valueAt(settings, path))).map((path) => ({ path, verifies: true }));
  const secrets = secretsOf(schema).filter((path) => {
    const value = valueAt(settings, path);
    return value !== undefined && isBlank(value) && !isAmong(path, keys);
  });
  return [...empty, ...secrets.map((path) => ({ path, verifies: false }))];
}

function secretsOf({ properties = {} }: JsonObject): readonly (readonly string[])[] {
  return Object.entries(properties as JsonObject).flatMap(([name, schema]) => {
    if (schema === null || typeof schema !== 'object' || Array.isArray(schema)) return [];
    if (schema['x-secret'] === true) return [[name]];
    return secretsOf(schema).map((path) => [name, ...path]);
  });
}

function valueAt(value: Json | undefined, path: readonly string[]): Json | undefined {
  let at = value;
  for (const step of path)
    at = at !== null && typeof at === 'object' && !Array.isArray(at) && Object.hasOwn(at, step) ? at[step] : undefined;
  return at;
}

/** Nothing that can be seen, or nothing at all: also as one of several, each of which would do as a key. */
function isBlank(value: Json | undefined): boolean {
  if (value === undefined || value === null) return true;
  if (typeof value === 'string') return /^[\s\p{C}]*$/u.test(value);
  if (typeof value !== 'object') return false;
  const inside = Object.values(value);
  return inside.length === 0 || inside.some(isBlank);
}
