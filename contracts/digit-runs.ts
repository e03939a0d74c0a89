/**
 * Replaces each number that stands by itself, as whole as it is written: a run of digits, or seventeen of them and the X of a resident's number with no digit
 * behind it. Each character is looked at once.
 */
export function replaceNumbers(text: string, replace: (number: string) => string): string {
  return text.replaceAll(/(\d+)([Xx]?)/g, (_, digits: string, x: string, at: number) => {
    const next = text.charAt(at + digits.length + x.length);
    const withX = digits.length === 17 && x !== '' && !/\d/.test(next);
    return withX ? replace(digits + x) : replace(digits) + x;
  });
}
