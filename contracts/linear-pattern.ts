import { RE2JS } from 're2js';

/**
 * Regular expressions that come from files (contracts, manifests, items, settings), in the one place where they run: in time that grows with the text's length
 * and no faster, whatever the expression. The language is JavaScript's with the flag `u`, without look-around and back-references, which cannot be had so.
 */
export interface LinearPattern {
  test(text: string): boolean;
  /** The first match at or after `from` (UTF-16 units): the whole of it, then its groups. */
  exec(text: string, from?: number): PatternMatch | null;
  /** The expression: by it, whoever keeps several knows them apart. */
  toString(): string;
}

export interface PatternMatch {
  readonly index: number;
  readonly parts: readonly [string, ...(string | undefined)[]];
}

/** An expression that cannot be used. For whoever wrote it. */
export class PatternError extends Error {
  readonly zh: string;
  readonly en: string;

  constructor(source: string, { zh, en }: { readonly zh: string; readonly en: string }, cause?: unknown) {
    const shown = source.length > SHOWN ? `${source.slice(0, SHOWN)}…` : source;
    super(`the regular expression ${shown} ${en}（正则表达式 ${shown} ${zh}）`, { cause });
    this.name = 'PatternError';
    this.zh = zh;
    this.en = en;
  }
}

const SHOWN = 80;
/** Characters of an expression. */
const LONGEST = 1_000;
/** Instructions of a compiled expression: what one character of a text can cost at most. */
const MOST_STEPS = 2_000;
/** Kept compiled: the same are asked for again by every schema and by every evaluation of a mapping. */
const MOST_KEPT = 2_000;
const kept = new Map<string, LinearPattern>();

/**
 * @param flags of `i`, `m`, `s`; `g`, `u` and `y` say nothing here
 * @throws PatternError when it is no regular expression, or none that runs in linear time
 */
export function linearPattern(source: string, flags = ''): LinearPattern {
  const key = `${flags}/${source}`;
  const before = kept.get(key);
  if (before !== undefined) return before;
  const pattern = made(source, flags);
  if (kept.size >= MOST_KEPT) kept.clear();
  kept.set(key, pattern);
  return pattern;
}

function made(source: string, flags: string): LinearPattern {
  if (source.length > LONGEST)
    throw new PatternError(source, {
      zh: `超过 ${LONGEST} 个字符`,
      en: `is longer than ${LONGEST} characters`,
    });
  try {
    // What is none in JavaScript must not become one by another engine's language.
    new RegExp(source, 'u');
  } catch (error) {
    throw new PatternError(source, { zh: '不合语法', en: 'is not well formed' }, error);
  }
  let program: RE2JS;
  try {
    program = RE2JS.compile(RE2JS.translateRegExp(inItsLanguage(source)), flagsOf(flags));
  } catch (error) {
    throw new PatternError(
      source,
      {
        zh: '不能在线性时间内运行：不支持环视 (?=…) (?!…) (?<=…) (?<!…)、反向引用，也不支持超过 1000 次的重复',
        en: 'cannot be run in linear time: look-around (?=…) (?!…) (?<=…) (?<!…), back-references and more than 1,000 repetitions are not supported',
      },
      error,
    );
  }
  if (program.programSize() > MOST_STEPS)
    throw new PatternError(source, {
      zh: '过大：请减少重复次数',
      en: 'is too large: let it repeat less',
    });
  return {
    test: (text) => program.test(text),
    toString: () => `/${source}/${flags}`,
    exec(text, from = 0) {
      const matcher = program.matcher(text);
      if (from > text.length || !matcher.find(from)) return null;
      const groups = Array.from({ length: matcher.groupCount() }, (_, at) => matcher.group(at + 1) ?? undefined);
      return { index: matcher.start(), parts: [matcher.group() ?? '', ...groups] };
    },
  };
}

function flagsOf(flags: string): number {
  let found = 0;
  if (flags.includes('i')) found |= RE2JS.CASE_INSENSITIVE;
  if (flags.includes('m')) found |= RE2JS.MULTILINE;
  if (flags.includes('s')) found |= RE2JS.DOTALL;
  return found;
}

/** White space as JavaScript has it, and all that is none: RE2's `\s` knows ASCII only. */
const SPACE = '\\t-\\r \\xa0\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}\\x{feff}';
const NO_SPACE =
  '\\x00-\\x08\\x0e-\\x1f!-\\x9f\\xa1-\\x{167f}\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{fefe}\\x{ff00}-\\x{10ffff}';
/** What `.` is without the flag `s`. */
const NO_LINE_END = '[^\\n\\r\\x{2028}\\x{2029}]';

/** Where the two languages write the same and mean different things. */
function inItsLanguage(source: string): string {
  let out = '';
  let inClass = false;
  for (let at = 0; at < source.length; at += 1) {
    const character = source[at] ?? '';
    if (character === '\\') {
      const next = source[at + 1] ?? '';
      at += 1;
      if (next === 'k' || (next >= '1' && next <= '9')) throw new Error('a back-reference');
      if (next === 's' || next === 'S') {
        const set = next === 's' ? SPACE : NO_SPACE;
        out += inClass ? set : `[${set}]`;
      } else if (next === '0') out += '\\x00';
      else if (next === 'p' || next === 'P') {
        const end = source.indexOf('}', at);
        out += `\\${next}{${propertyOf(source.slice(at + 2, end))}}`;
        at = end;
      } else out += `\\${next}`;
    } else if (character === '[' && !inClass) {
      inClass = true;
      out += '[';
      if (source[at + 1] === '^') {
        out += '^';
        at += 1;
      }
    } else if (character === '[') out += '\\[';
    else if (character === ']') {
      inClass = false;
      out += ']';
    } else if (character === '.' && !inClass) out += NO_LINE_END;
    else out += character;
  }
  return out;
}

/** `Script=Han` and `gc=Lu` by their values alone. */
function propertyOf(name: string): string {
  const [property, value] = name.split('=');
  return value !== undefined && /^(Script|sc|General_Category|gc)$/.test(property ?? '') ? value : name;
}
