import type { Words } from '../../../contracts/ports/envelope.ts';

/** Lines of one size; lengths in the page's units. */
export interface Layout {
  readonly lines: readonly string[];
  readonly size: number;
  readonly lineHeight: number;
}

/** The width of a text at size 1. */
export type Measure = (text: string) => number;

const LEADING = 1.35;

/** A line of fewer characters than these is no line. */
const LEAST_ROOM = 8;

/** The clear lines at the foot: as large as the page's format asks, smaller where they would take more than a third of a small page. */
export function band(
  words: Words,
  width: number,
  height: number,
  measure: Measure,
): Layout & { readonly x: number; readonly y: number; readonly height: number } {
  // 9 points on A4, in proportion on larger sheets.
  let size = Math.max(7, Math.min(width, height) / 66);
  for (;;) {
    const room = Math.max(0.9 * width, width - 4 * size);
    const lines = [words.zh, words.en].flatMap((text) => wrap(text, room / size, measure));
    const lineHeight = size * LEADING;
    const high = (lines.length + 0.6) * lineHeight;
    if ((high <= height / 3 && room >= LEAST_ROOM * size) || size < 0.01) {
      const x = (width - room) / 2;
      return { lines, size, lineHeight, x, y: high - lineHeight, height: high };
    }
    size *= 0.9;
  }
}

/** From the lower left to the upper right, with the angle of a sheet's diagonal but never steeper than 45°; a few dozen places at most, whatever the format. */
export function watermark(
  text: string,
  width: number,
  height: number,
  measure: Measure,
): Layout & { readonly angle: number; readonly places: readonly { readonly x: number; readonly y: number }[] } {
  const diagonal = Math.hypot(width, height);
  const angle = Math.min(Math.atan2(height, width), Math.PI / 4);
  const size = diagonal / 70;
  const room = 0.4 * diagonal;
  const lines = wrap(text, room / size, measure);
  const lineHeight = size * LEADING;
  const [stepAlong, stepAcross] = [room * 1.15, Math.max(diagonal / 6, lineHeight * (lines.length + 2))];
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const places: { x: number; y: number }[] = [];
  for (let row = -4; row <= 4; row += 1) {
    for (let column = -2; column <= 2; column += 1) {
      // One is in the sheet's very middle; every other row is moved by half a step, as bricks are.
      const along = (column + (row % 2 === 0 ? 0 : 0.5)) * stepAlong - room / 2;
      const across = row * stepAcross;
      const x = width / 2 + along * cos - across * sin;
      const y = height / 2 + along * sin + across * cos;
      if (touches(x, y, room, angle, width, height)) places.push({ x, y });
    }
  }
  return { lines, size, lineHeight, angle, places };
}

/** Whether any of a line from (x, y) lies on the sheet. */
function touches(x: number, y: number, length: number, angle: number, width: number, height: number): boolean {
  return [0, 0.25, 0.5, 0.75, 1].some((part) => {
    const [u, v] = [x + part * length * Math.cos(angle), y + part * length * Math.sin(angle)];
    return u >= 0 && u <= width && v >= 0 && v <= height;
  });
}

/** Latin words stay whole where they can; Chinese is divided anywhere. `room` in units of the size. */
export function wrap(text: string, room: number, measure: Measure): readonly string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.match(/[\x21-\x7e]+|./gsu) ?? []) {
    if (measure(line + word) <= room) {
      line += word;
      continue;
    }
    for (const piece of measure(word) <= room ? [word] : word) {
      if (line !== '' && measure(line + piece) > room) {
        lines.push(line.trimEnd());
        line = '';
      }
      if (line !== '' || piece !== ' ') line += piece;
    }
  }
  return line.trim() === '' ? lines : [...lines, line.trimEnd()];
}
