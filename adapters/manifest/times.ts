import type { Clock } from '../../contracts/ports/clock.ts';
import type { Millis } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';

/** The county's clock: +08:00, without summer time. */
const OFFSET = 8 * 3_600_000;
const DAY = 86_400_000;
const TOKENS = /YYYY|YY|MM|DD|HH|mm|ss|SSS/g;
const WIDTHS: Readonly<Record<string, number>> = { YYYY: 4, YY: 2, MM: 2, DD: 2, HH: 2, mm: 2, ss: 2, SSS: 3 };

/** Local time by a pattern of `YYYY YY MM DD HH mm ss SSS`. */
export function local(ms: Millis, pattern: string): string {
  const date = new Date(Number(ms) + OFFSET);
  const parts: Readonly<Record<string, number>> = {
    YYYY: date.getUTCFullYear(),
    YY: date.getUTCFullYear() % 100,
    MM: date.getUTCMonth() + 1,
    DD: date.getUTCDate(),
    HH: date.getUTCHours(),
    mm: date.getUTCMinutes(),
    ss: date.getUTCSeconds(),
    SSS: date.getUTCMilliseconds(),
  };
  return pattern.replaceAll(TOKENS, (token) => String(parts[token]).padStart(WIDTHS[token] ?? 2, '0'));
}

/** And back. @throws Fault `malformed` (theirs) when the text is not of the pattern, or names no real time */
export function epoch(text: string | undefined, pattern: string): Millis {
  const found: Record<string, number> = { YYYY: 1970, MM: 1, DD: 1, HH: 0, mm: 0, ss: 0, SSS: 0 };
  let at = 0;
  let from = 0;
  const given = (text ?? '').trim();
  const fits = [...pattern.matchAll(TOKENS)].every(({ 0: token, index }) => {
    const between = pattern.slice(from, index);
    const width = WIDTHS[token] ?? 2;
    const digits = given.slice(at + between.length, at + between.length + width);
    const fit = given.startsWith(between, at) && /^\d+$/.test(digits) && digits.length === width;
    at += between.length + width;
    from = index + token.length;
    if (token === 'YY') found.YYYY = 2_000 + Number(digits);
    else found[token] = Number(digits);
    return fit;
  });
  const { YYYY = 0, MM = 0, DD = 0, HH = 0, mm = 0, ss = 0, SSS = 0 } = found;
  const ms = Date.UTC(YYYY, MM - 1, DD, HH, mm, ss, SSS) - OFFSET;
  if (
    !fits ||
    local(ms, 'YYYYMMDDHHmmss') !==
      [YYYY, MM, DD, HH, mm, ss].map((part, nth) => String(part).padStart(nth === 0 ? 4 : 2, '0')).join('')
  ) {
    throw new Fault('malformed', {
      reason: { code: 'time', zh: `时间应为 ${pattern}`, en: `a time ${pattern} is expected` },
    });
  }
  return ms;
}

/** Where a sequence number begins: `from` is counted over all spans, `size` is how many numbers its digits can write. */
interface SequencePosition {
  /** The day (local), where a number is of a day; else 0. */
  readonly span: number;
  readonly from: number;
  readonly size: number;
  /** `round`: it only has to differ from its neighbours. `day`: all of a day differ. `endless`: none comes again within a century. */
  readonly kind: 'round' | 'day' | 'endless';
}

/** Up to so many digits a number stands beside a time to the second, and goes round. */
const ROUND = 5;
/** So many digits, and more, follow the clock for ever. */
const ENDLESS = 12;
const MOST_DIGITS = 15;
/**
 * Twelve digits are the last twelve of the milliseconds since 1970, which come back to 0 in May 2033. From 2028 on (local) the number grows by one in 20 ms
 * instead: it goes on from the numbers that departments have had until then, grows steadily, and reaches its end in the year 2135.
 */
const SLOWER_FROM = Date.UTC(2028, 0, 1);
const SLOWER_BY = 20;

/** @throws Fault `malformed` (ours) when `digits` is not 1 to 15 */
export function sequencePosition(digits: number, at: Millis): SequencePosition {
  if (!Number.isInteger(digits) || digits < 1 || digits > MOST_DIGITS)
    throw new Fault('malformed', {
      ours: true,
      maybeArrived: false,
      reason: {
        code: 'sequenceDigits',
        zh: `流水号位数应为 1 至 ${MOST_DIGITS}`,
        en: `a sequence number has 1 to ${MOST_DIGITS} digits`,
      },
    });
  const size = 10 ** digits;
  const now = at + OFFSET;
  if (digits <= ROUND) return { span: 0, from: 0, size, kind: 'round' };
  if (digits > ENDLESS) return { span: 0, from: now, size, kind: 'endless' };
  if (digits === ENDLESS) {
    const steady = now < SLOWER_FROM ? now : SLOWER_FROM + Math.floor((now - SLOWER_FROM) / SLOWER_BY);
    // The first of the thirteen digits is the same until 2135, and is left out.
    return { span: 0, from: steady < size ? steady : steady - size, size, kind: 'endless' };
  }
  const span = Math.floor(now / DAY);
  return { span, from: span * size + Math.floor(((now % DAY) / DAY) * size), size, kind: 'day' };
}

/** The number of a position as a text, or undefined when it is not one of this span: the span is used up, or another one has begun. */
export function sequenceText(
  value: number,
  digits: number,
  { span, size, kind }: Pick<SequencePosition, 'span' | 'size' | 'kind'>,
): string | undefined {
  const number = kind === 'day' ? value - span * size : value % size;
  return number < 0 || number >= size ? undefined : String(number).padStart(digits, '0');
}

/** Waits for the next day, in which there are numbers again. @param at the time whose day has none left */
export function sequenceUsedUp(digits: number, at: Millis, now: Millis): Fault {
  return new Fault('busy', {
    until: now + Math.max(1_000, DAY - ((at + OFFSET) % DAY)),
    reason: {
      code: 'sequenceUsedUp',
      zh: `${digits} 位流水号已用尽`,
      en: `the ${digits} digits of the sequence are used up`,
    },
  });
}

/** The next number of so many digits; of the day in which `at` lies (left out: now), where it is a number of a day. */
export type Sequence = (digits: number, at?: Millis) => string | Promise<string>;

/**
 * The party's sequence numbers for an adapter that is alone. Each starts from where the clock stands in the span that its digits can number, so that none is
 * given twice, also after a restart: for ever with 12 digits or more, the day with 6 to 11, with fewer the second, in which they go round.
 * @throws Fault `busy` when a day is used up
 */
export function sequences(clock: Clock): (digits: number, at?: Millis) => string {
  const last = new Map<number, number>();
  return (digits, at = clock.now()) => {
    const position = sequencePosition(digits, at);
    const before = last.get(digits);
    const start =
      position.kind === 'round' ? Math.floor(((clock.now() % 1_000) / 1_000) * position.size) : position.from;
    const value = before === undefined ? start : position.kind === 'round' ? before + 1 : Math.max(start, before + 1);
    const text = sequenceText(value, digits, position);
    if (text === undefined) throw sequenceUsedUp(digits, at, clock.now());
    last.set(digits, value);
    return text;
  };
}
