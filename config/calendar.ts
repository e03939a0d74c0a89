import type { Deadline } from '../contracts/ports/case.ts';
import type { Millis } from '../contracts/ports/envelope.ts';
import type { TimeLimit } from '../contracts/ports/item.ts';
import published from './calendar.json' with { type: 'json' };

/**
 * Working days of the county: weekends, the holidays the State Council publishes year by year, and the make-up days
 * that go with them. Dates are local (+08:00, no daylight saving), counted in whole days since 1970-01-01.
 */
export interface Calendar {
  /** First and last day the table knows. Outside it plain weekends are taken, and the answer is provisional. */
  readonly from: number;
  readonly through: number;
  readonly daysOff: ReadonlySet<number>;
  readonly makeUpDays: ReadonlySet<number>;
}

/** Dates as `YYYY-MM-DD`; a range, both ends included, as `YYYY-MM-DD/YYYY-MM-DD`. */
export interface CalendarTable {
  readonly coveredFrom: string;
  readonly coveredThrough: string;
  readonly daysOff: readonly string[];
  readonly makeUpDays: readonly string[];
}

const DAY = 86_400_000;
const OFFSET = 8 * 3_600_000;
/** What happens after this hour counts as made on the next working day (unconfirmed; a choice of this project). */
const OFFICE_CLOSES = 17 * 3_600_000;

/** @throws Error naming the entry that is no date, lies outside the years covered, or says that a day is off and worked. */
export function readCalendar(table: CalendarTable): Calendar {
  const from = dayOf(table.coveredFrom);
  const through = dayOf(table.coveredThrough);
  const covered = (entry: string): readonly number[] => {
    const days = expand(entry);
    if (days.some((day) => day < from || day > through)) {
      throw new Error(`calendar: ${entry} lies outside ${table.coveredFrom} to ${table.coveredThrough}`);
    }
    return days;
  };
  const daysOff = new Set(table.daysOff.flatMap(covered));
  const makeUpDays = new Set(table.makeUpDays.flatMap(covered));
  const both = [...makeUpDays].find((day) => daysOff.has(day));
  if (both !== undefined) throw new Error(`calendar: ${dateOf(both)} is both a day off and a make-up day`);
  return { from, through, daysOff, makeUpDays };
}

/** The table this version was shipped with. */
export const calendar: Calendar = readCalendar(published);

/** The local date of a moment, `YYYY-MM-DD`. */
export function localDate(at: Millis): string {
  return dateOf(Math.floor((at + OFFSET) / DAY));
}

export function isWorkingDay(day: number, table: Calendar): boolean {
  if (table.makeUpDays.has(day)) return true;
  // 1970-01-01 was a Thursday: 0 = Sunday.
  const weekday = (((day + 4) % 7) + 7) % 7;
  return weekday !== 0 && weekday !== 6 && !table.daysOff.has(day);
}

/**
 * The last moment of the last day, 23:59:59.999 local time. The day of the event is not counted; day 1 is the day after it
 * (行政许可法 art. 82: working days for `wd`). An event after 17:00 or on a day off counts as made on the next working day,
 * for both units. Limit 0 (即办) ends on the day the event counts for. A limit in calendar days may end on a day off.
 */
export function deadline(start: Millis, { limit, unit }: TimeLimit, table: Calendar): Deadline {
  const local = start + OFFSET;
  const today = Math.floor(local / DAY);
  const late = local - today * DAY > OFFICE_CLOSES;
  let day = late || !isWorkingDay(today, table) ? nextWorkingDay(today, table) : today;
  /** The last day whose kind had to be known. */
  let asked = day;
  if (unit === 'day') {
    day += limit;
  } else {
    for (let left = limit; left > 0; left--) day = nextWorkingDay(day, table);
    asked = day;
  }
  return { at: (day + 1) * DAY - OFFSET - 1, provisional: asked > table.through || today < table.from };
}

function nextWorkingDay(day: number, table: Calendar): number {
  let next = day + 1;
  while (!isWorkingDay(next, table)) next++;
  return next;
}

function expand(entry: string): readonly number[] {
  const [first, last = first] = entry.split('/');
  const start = dayOf(first ?? '');
  const end = dayOf(last ?? '');
  if (end < start) throw new Error(`calendar: ${entry} ends before it begins`);
  return Array.from({ length: end - start + 1 }, (_, index) => start + index);
}

function dayOf(date: string): number {
  const day = Date.parse(`${date}T00:00:00Z`) / DAY;
  if (!Number.isInteger(day) || dateOf(day) !== date) throw new Error(`calendar: ${JSON.stringify(date)} is no date`);
  return day;
}

function dateOf(day: number): string {
  return new Date(day * DAY).toISOString().slice(0, 10);
}
