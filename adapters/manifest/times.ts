import { countOf } from '../../contracts/count.ts';
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

/**
 * The party's sequence numbers: each greater than the last, none given twice, also after a restart, because each starts from where the clock
 * stands in the span that its digits can number: for ever with 12 digits or more, the day with 6 to 11, the second with fewer.
 * @throws Fault `busy` when a span is used up
 */
export function sequences(clock: Clock): (digits: number) => string {
  const last = new Map<number, { readonly span: number; readonly value: number }>();
  return (digits) => {
    const size = 10 ** digits;
    const now = clock.now() + OFFSET;
    const length = digits >= 12 ? Number.MAX_SAFE_INTEGER : digits >= 6 ? DAY : 1_000;
    const [span, position] = [Math.floor(now / length), now % length];
    const start = digits >= 12 ? position % size : Math.floor((position / length) * size);
    const before = last.get(digits);
    const value = before === undefined || before.span < span ? start : Math.max(start, before.value + 1);
    if (value >= size) {
      throw new Fault('busy', {
        until: clock.now() + 1_000,
        reason: {
          code: 'sequenceUsedUp',
          zh: `${digits} 位流水号已用尽`,
          en: `the sequence of ${countOf(digits, 'digit')} is used up`,
        },
      });
    }
    last.set(digits, { span: Math.max(span, before?.span ?? 0), value });
    return String(value).padStart(digits, '0');
  };
}
