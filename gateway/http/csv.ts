import { type ColumnOption, stringify } from 'csv-stringify/sync';

/** Without it a spreadsheet takes UTF-8 for GBK. */
const BOM = '\uFEFF';

/**
 * A table as bytes, a page at a time; each page is asked for when the one before it has left. Cells that a spreadsheet would calculate (= + - @) begin with an
 * apostrophe instead.
 */
export async function* csv<R extends object>(
  columns: readonly (ColumnOption & { readonly key: keyof R & string })[],
  pages: AsyncIterable<readonly R[]>,
): AsyncGenerator<Uint8Array> {
  const text = (rows: readonly R[], header: boolean): string =>
    stringify([...rows], { columns: [...columns], header, escape_formulas: true, record_delimiter: 'windows' });
  yield Buffer.from(BOM + text([], true));
  for await (const rows of pages) yield Buffer.from(text(rows, false));
}
