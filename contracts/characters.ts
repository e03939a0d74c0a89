/**
 * The characters of names and numbers: which of them nobody means to write, and which two ways of writing are one. Every function is linear in its text.
 */

/** Where a character stands: `at` is its place, 1 for the first character (a character is a code point); `codePoint` as `U+200B`. */
export interface CharacterPlace {
  readonly at: number;
  readonly codePoint: string;
}

/**
 * Invisible (formats, fillers, variation selectors, spaces but the plain one), a replacement for what was lost, a control, half a pair, in private use,
 * or no character at all.
 */
const UNWANTED =
  /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\u2800\ufffc\ufffd]/u;
/** The ideographic planes without their noncharacters: what Unicode adds there later is Han as well. */
const IDEOGRAPHIC = /[\u{20000}-\u{2fffd}\u{30000}-\u{3fffd}]/u;

const isUnwanted = (character: string): boolean => UNWANTED.test(character) && !IDEOGRAPHIC.test(character);

/** The characters of a text that no name and no number has, in order. */
export function unwantedCharacters(text: string): readonly CharacterPlace[] {
  // Most texts have none, and one look says so.
  if (!UNWANTED.test(text)) return [];
  return placesOf(text, isUnwanted);
}

export function withoutUnwanted(text: string): string {
  return Array.from(text)
    .filter((character) => !isUnwanted(character))
    .join('');
}

export function placesOf(text: string, sought: (character: string, at: number) => boolean): readonly CharacterPlace[] {
  return Array.from(text).flatMap((character, at) =>
    sought(character, at) ? [{ at: at + 1, codePoint: codePointOf(character) }] : [],
  );
}

function codePointOf(character: string): string {
  return `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
}

/** The dot between the parts of a name is U+00B7; keyboards write it in all these ways. */
const DOTS = /[\u0387\u2022\u2024\u2027\u2219\u22c5\u2e31\u2e33\u30fb\u318d\ua78f\uff65]/u;
/** A full stop too, but only between Han characters: `J.R. Smith` has its own. */
const STOPS = /[.\u2024\ufe52\uff0e]/u;
const DOT_OR_STOP = /[.\u0387\u2022\u2024\u2027\u2219\u22c5\u2e31\u2e33\u30fb\u318d\ua78f\ufe52\uff0e\uff65]/u;
const EVERY_DOT = new RegExp(DOT_OR_STOP, 'gu');
const LETTER = /[\p{L}\p{M}]/u;
const HAN = /\p{Script=Han}/u;

/** A name with `·` wherever a dot stands between two letters, with or without spaces around it. Nothing else is changed. */
export function withNameDots(name: string): string {
  if (!DOT_OR_STOP.test(name)) return name;
  const characters = Array.from(name);
  const before = nearest(characters);
  const after = nearest(characters.toReversed()).toReversed();
  return characters
    .map((character, at) => {
      const [left = '', right = ''] = [before[at], after[at]];
      const isDot = DOTS.test(character) && LETTER.test(left) && LETTER.test(right);
      const isStop = STOPS.test(character) && HAN.test(left) && HAN.test(right);
      return isDot || isStop ? '·' : character;
    })
    .join('');
}

/** For comparing two names, which others may have written: every dot is the middle dot, wherever it stands. */
export function withComparableDots(name: string): string {
  return name.replaceAll(EVERY_DOT, '·');
}

/** For each character the last one before it that is no space. */
function nearest(characters: readonly string[]): string[] {
  let last = '';
  return characters.map((character) => {
    const before = last;
    if (character !== ' ') last = character;
    return before;
  });
}

/** Full-width ASCII (`３３１１２４`, `Ａ`, `（`) as half-width; no other character is changed. */
export function toHalfWidth(text: string): string {
  return text.replaceAll(/[\uff01-\uff5e]/g, (character) => String.fromCharCode(character.charCodeAt(0) - 0xfee0));
}

/** Only ASCII letters: `ß` has no upper case of one letter. */
export function toUpperLetters(text: string): string {
  return text.replaceAll(/[a-z]/g, (letter) => letter.toUpperCase());
}
