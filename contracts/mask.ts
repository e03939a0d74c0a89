/** 脱敏, one convention: domain.md, section 10. What is masked can still be told apart by whoever knows it. */

/** Two-character surnames still in use; every other is one character. */
const COMPOUND =
  /^(?:欧阳|上官|司马|诸葛|夏侯|东方|皇甫|尉迟|公孙|慕容|司徒|长孙|宇文|令狐|端木|澹台|公冶|申屠|太史|轩辕|钟离|呼延)/;

/** The surname and one star, whatever the length: 张* · 欧阳*. */
export function maskName(name: string): string {
  return `${COMPOUND.exec(name)?.[0] ?? [...name].slice(0, 1).join('')}*`;
}

/** First six and last four; of a shorter number the last two: 331124********0011. */
export function maskIdNo(idNo: string): string {
  return idNo.length >= 15 ? `${idNo.slice(0, 6)}********${idNo.slice(-4)}` : `****${idNo.slice(-2)}`;
}

/** How whoever reads a record is shown the person it is about. */
export function maskHolder({ name, idNo }: { readonly name: string; readonly idNo: string }): string {
  return `${maskName(name)} ${maskIdNo(idNo)}`;
}
