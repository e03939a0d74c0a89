const PLURALS = new Intl.PluralRules('en');

/** A number with its noun, as English has it: `1 thing`, `2 things`; `plural` where an s does not make it. */
export function countOf(count: number, noun: string, plural = `${noun}s`): string {
  return `${count} ${PLURALS.select(count) === 'one' ? noun : plural}`;
}
