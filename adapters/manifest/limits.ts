import type { MappingFunctions } from '../../contracts/mapping.ts';
import { choicesIn, generalised, Place, PROBE_ITEMS, type ProbeVariation, probeOf } from '../../contracts/places.ts';
import type { TextLimit } from '../../contracts/ports/adapter.ts';
import type { ContractName, Json, JsonObject } from '../../contracts/ports/envelope.ts';
import { charactersLost, type Encoding, encodeText, type OnLoss } from '../wire/text/encoding.ts';
import { buildXml } from '../wire/text/xml.ts';
import type { Input } from './call.ts';
import { mappingFunctions } from './functions.ts';
import type { Manifest, WireCall } from './manifest.ts';

/** Limits of the texts that a party is sent, by contract and by query. */
export interface PartyLimits {
  readonly deliver: { readonly [contract: ContractName]: readonly TextLimit[] };
  readonly queries: { readonly [name: string]: readonly TextLimit[] };
}

/** Where a text ends up: a field of a record, or the text of a message as a whole. */
interface Landing {
  /** Of the call, and of the field where there is one. */
  readonly key: string;
  readonly encoding: Encoding;
  readonly onLoss: OnLoss;
  readonly maxBytes: number | null;
  /** Bytes of what else stands in the field, at the least. */
  readonly besideBytes: number;
  readonly rewrite: Rewrite | undefined;
}

/** A function of the manifest's language through which a text goes on its way. */
type Rewrite = { readonly name: string; readonly apply: (text: string) => string };

/**
 * Follows the texts of every contract through the calls of its delivery and inquiry, once, when the party is loaded: each text of a probe is a mark, and the
 * record or message is searched for it. What is not found the same way in every probe (because a mapping cuts, replaces or chooses) has no limit here: it is
 * told by the delivery, as it always was.
 *
 * @param documents the schemas of all contracts that are known, each by its `$id`
 */
export async function limitsOf(manifest: Manifest, documents: readonly JsonObject[]): Promise<PartyLimits> {
  const schemaOf = (name: ContractName): JsonObject | undefined => documents.find(({ $id }) => $id === name);
  const traced = async (
    contract: ContractName,
    calls: readonly string[],
    inputOf: (body: JsonObject) => Partial<Input>,
  ): Promise<readonly TextLimit[]> => {
    const schema = schemaOf(contract);
    const limiting = [...new Set(calls)].flatMap((name) => {
      const call = manifest.calls[name];
      return call !== undefined && limits(call) ? [call] : [];
    });
    if (schema === undefined || limiting.length === 0) return [];
    const place = Place.root(schema, documents);
    const found = await Promise.all(limiting.map((call) => trace(place, call, inputOf)));
    // Two calls of a delivery often send the same record.
    return [...new Map(found.flat().map((one) => [`${one.pointer} ${one.encoding} ${one.maxBytes}`, one])).values()];
  };
  const deliver: { [contract: ContractName]: readonly TextLimit[] } = {};
  for (const [contract, { calls }] of Object.entries(manifest.deliver)) {
    const asked = [...(manifest.inquire[contract]?.calls ?? []), ...(manifest.ask[contract]?.calls ?? [])];
    deliver[contract] = await traced(contract, [...calls, ...asked], (body) => ({
      envelope: { id: CASE_NO_STEP, caseNo: CASE_NO_STEP.slice(0, 18), stepNo: '01', contract, revision: '1', body },
      number: '0',
    }));
  }
  const queries: { [name: string]: readonly TextLimit[] } = {};
  for (const [name, { request, calls }] of Object.entries(manifest.queries))
    queries[name] = await traced(request, calls, (query) => ({ query }));
  return { deliver, queries };
}

const CASE_NO_STEP = '331124261123000001-01';

/** Whether there is anything that a call cannot send. */
function limits({ send: { as, encoding, onLoss } }: WireCall): boolean {
  return as === 'fixed' || (as !== 'none' && encoding === 'gbk' && onLoss === 'refuse');
}

/** Letters of all kinds, so that whatever changes or drops some of them is seen; none that XML or JSON would escape. */
const SHORT = '字aＡ·b';
const LONG = `${SHORT}•・‧･∙⋅.．㙓𠮷１1（(－-　 ${'长'.repeat(1_000)}`;

async function trace(
  place: Place,
  call: WireCall,
  inputOf: (body: JsonObject) => Partial<Input>,
): Promise<readonly TextLimit[]> {
  /** By place in the body: the landings that every probe agrees on in which there is a text at that place. */
  const agreed = new Map<string, ReadonlyMap<string, Landing>>();
  for (const { long = false, ...variation } of variationsOf(place)) {
    const mark = (nth: number): string => `〔${nth}${long ? LONG : SHORT}${nth}〕`;
    const { body, marks } = probeOf(place, { ...variation, mark });
    const found = await landings(call, { settings: {}, now: 0, session: {}, replies: {}, ...inputOf(body) }, marks);
    // A message that cannot be made of this probe says nothing about texts.
    if (found === undefined) continue;
    for (const pointer of marks.values()) {
      const here = found.get(pointer) ?? new Map<string, Landing>();
      const before = agreed.get(pointer);
      agreed.set(pointer, before === undefined ? here : common(before, here));
    }
  }
  return limitsAt(agreed);
}

function common(
  before: ReadonlyMap<string, Landing>,
  here: ReadonlyMap<string, Landing>,
): ReadonlyMap<string, Landing> {
  return new Map(
    [...before].flatMap(([key, one]): [string, Landing][] => {
      const other = here.get(key);
      if (other === undefined || other.rewrite?.name !== one.rewrite?.name) return [];
      return [[key, { ...one, besideBytes: Math.min(one.besideBytes, other.besideBytes) }]];
    }),
  );
}

interface Variation extends Omit<ProbeVariation, 'mark'> {
  /** Every text long. */
  readonly long?: true;
}

/** One variation for each other choice, for each thing left out and for each length of lists; and one with every text long. */
function variationsOf(place: Place): readonly Variation[] {
  const choices = choicesIn(place);
  const first = () => 0;
  const never = () => false;
  const general = (pointer: string): string =>
    pointer
      .split('/')
      .map((step) => (/^\d+$/.test(step) ? '*' : step))
      .join('/');
  const others = choices.flatMap(({ pointer, ways }) =>
    Array.from({ length: ways - 1 }, (_, at) => ({
      choose: (one: string) => (general(one) === pointer ? at + 1 : 0),
      omit: never,
    })),
  );
  const optional = new Set<string>();
  probeOf(place, {
    choose: first,
    mark: String,
    omit(pointer) {
      optional.add(general(pointer));
      return false;
    },
  });
  const without = [...optional].map((pointer) => ({
    choose: first,
    omit: (one: string) => general(one) === pointer,
  }));
  const whole = { choose: first, omit: never };
  const shorter = Array.from({ length: PROBE_ITEMS - 1 }, (_, at) => ({ ...whole, items: at + 1 }));
  return [whole, { ...whole, long: true }, ...shorter, ...others, ...without];
}

/** Where each text of a probe ends up, by its place in the body and by landing; undefined when the message cannot be made. */
async function landings(
  call: WireCall,
  input: Input,
  marks: ReadonlyMap<string, string>,
): Promise<ReadonlyMap<string, ReadonlyMap<string, Landing>> | undefined> {
  const { send, name } = call;
  const tokens = new Map([...marks].map(([mark, pointer]): [string, Token] => [mark, { pointer, rewrite: undefined }]));
  const functions = tolerant(tokens);
  const found = new Map<string, Map<string, Landing>>();
  const search = (text: string, landing: Pick<Landing, 'key' | 'maxBytes'>): void => {
    const here = [...tokens].filter(([token]) => text.includes(token));
    const beside = here.reduce((rest, [token]) => rest.replaceAll(token, ''), text);
    for (const [, { pointer, rewrite }] of here) {
      const besideBytes = landing.maxBytes === null ? 0 : bytesOf(beside, send.encoding, send.onLoss);
      const at = found.get(pointer) ?? new Map<string, Landing>();
      found.set(pointer, at.set(landing.key, { ...landing, ...send, besideBytes, rewrite }));
    }
  };
  try {
    const body = await send.map(input, functions);
    const values = body !== null && typeof body === 'object' && !Array.isArray(body) ? body : {};
    if (send.as === 'fixed') {
      for (const { name: field, bytes } of send.layout ?? [])
        search(textOf(values[field]), { key: `${name} ${field}`, maxBytes: bytes });
      return found;
    }
    if (send.as === 'form') {
      for (const [field, value] of Object.entries(values))
        search(textOf(value), { key: `${name} ${field}`, maxBytes: null });
      return found;
    }
    const text = send.as === 'xml' ? buildXml(values) : send.as === 'json' ? JSON.stringify(values) : textOf(body);
    const sealed = send.seal === undefined ? undefined : await send.seal({ ...input, text, body }, functions);
    const last = sealed !== null && typeof sealed === 'object' && !Array.isArray(sealed) ? sealed.text : undefined;
    search(typeof last === 'string' ? last : text, { key: name, maxBytes: null });
    return found;
  } catch {
    return undefined;
  }
}

interface Token {
  readonly pointer: string;
  readonly rewrite: Rewrite | undefined;
}

const textOf = (value: Json | undefined): string =>
  value === undefined || value === null ? '' : typeof value === 'object' ? JSON.stringify(value) : String(value);

function bytesOf(text: string, encoding: Encoding, onLoss: OnLoss): number {
  const lost = new Set(charactersLost(text, encoding, onLoss).map(({ at }) => at));
  const kept = Array.from(text).filter((_, at) => !lost.has(at + 1));
  return encodeText(lost.size === 0 ? text : kept.join(''), encoding, onLoss).length;
}

/** Functions that rewrite one text into one other; a limit follows through them. */
const REWRITES = ['fen', 'yuan', 'wan', 'halfWidth', 'idNo'] as const;
/** Functions whose value is not the text's, or that refuse what is no code, no time, no key. */
const OPAQUE = [
  'code',
  'decode',
  'epoch',
  'sequence',
  'uuid',
  'bytes',
  'md5',
  'sha256',
  'sm3',
  'hmacSha256',
  'hmacSm3',
];
const SECRET = ['sm2Sign', 'sm2Verify', 'sm2Encrypt', 'sm2Decrypt', 'sm4Encrypt', 'sm4Decrypt'];

/** The functions of mappings, but that they take marks for what they are. */
function tolerant(tokens: Map<string, Token>): MappingFunctions {
  const own = mappingFunctions({}) as unknown as { readonly [name: string]: (text: string) => string };
  const rewriting = (name: string) => (text: unknown) => {
    const token = tokens.get(String(text));
    if (token === undefined) return text === undefined ? undefined : '0';
    const { pointer, rewrite: before } = token;
    const apply = (value: string): string => own[name]?.(before?.apply(value) ?? value) ?? '';
    const derived = `〖${tokens.size}${String(text).slice(1, -1)}〗`;
    tokens.set(derived, { pointer, rewrite: { name: `${before?.name ?? ''} ${name}`, apply } });
    return derived;
  };
  return {
    ...Object.fromEntries([...OPAQUE, ...SECRET].map((name) => [name, () => '0'])),
    ...Object.fromEntries(REWRITES.map((name) => [name, rewriting(name)])),
    people: () => [],
    // What is fixed for an envelope is what the mapping gives the first time.
    once: async (_name: unknown, make: unknown) => (typeof make === 'function' ? await make() : make),
  } as unknown as MappingFunctions;
}

/** One limit for a place and a landing; the same for all members of a list is one for the list, with the room that the least hindered of them has. */
function limitsAt(agreed: ReadonlyMap<string, ReadonlyMap<string, Landing>>): readonly TextLimit[] {
  const landed = new Map<string, { readonly pointer: string; readonly landing: Landing }>();
  for (const [place, found] of agreed) {
    for (const [key, landing] of found) {
      const pointer = generalised(place, (one) => agreed.get(one)?.has(key) === true);
      const before = landed.get(`${pointer} ${key}`)?.landing ?? landing;
      const besideBytes = Math.min(before.besideBytes, landing.besideBytes);
      landed.set(`${pointer} ${key}`, { pointer, landing: { ...landing, besideBytes } });
    }
  }
  return [...landed.values()].map(({ pointer, landing }) => limitOf(pointer, landing));
}

function limitOf(pointer: string, { encoding, onLoss, maxBytes, besideBytes, rewrite }: Landing): TextLimit {
  const room = maxBytes === null ? null : Math.max(0, maxBytes - besideBytes);
  return {
    pointer,
    encoding: encoding.toUpperCase(),
    maxBytes: room,
    bytesPerHan: rewrite === undefined ? encodeText('汉', encoding).length : null,
    measure(text) {
      const written = rewrite === undefined ? text : rewritten(text, rewrite);
      return {
        bytes: room === null ? null : bytesOf(written, encoding, onLoss),
        notHeld: rewrite === undefined ? charactersLost(text, encoding, onLoss) : [],
      };
    },
  };
}

/** What cannot be rewritten is no amount or number, and that is told by its contract. */
function rewritten(text: string, { apply }: Rewrite): string {
  try {
    return apply(text);
  } catch {
    return '';
  }
}
