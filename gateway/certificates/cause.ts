import type { Purpose } from '../../contracts/ports/certificate.ts';
import type { Item } from '../../contracts/ports/item.ts';

/** Their interfaces take no more (domain.md section 8.1). */
const LONGEST = 200;

/** What a source's own audit is told of a look: case, item and reason. */
export function causeOf({ caseNo, applicationNo, itemCode, basis }: Purpose, item: Item | undefined): string {
  const cause = `${caseNo ?? applicationNo ?? ''} ${item?.title.zh ?? itemCode} ${basis}`;
  return Array.from(cause).slice(0, LONGEST).join('').trim();
}
