import type { Purpose } from '../../contracts/ports/certificate.ts';
import { type Catalogue, type Item, ItemUnusable, itemOfCase, type OfItem } from '../../contracts/ports/item.ts';
import type { CaseReads } from '../../contracts/ports/store.ts';

/** The item that a running case follows; undefined when it can no longer be used. */
export async function itemIfUsable(catalogue: Catalogue, record: OfItem): Promise<Item | undefined> {
  try {
    return await itemOfCase(catalogue, record);
  } catch (error) {
    if (error instanceof ItemUnusable) return undefined;
    throw error;
  }
}

/** What a purpose is about: its case's item, or before there is a case the current one. */
export async function itemOfPurpose(
  { caseNo, itemCode }: Purpose,
  { catalogue, cases }: { readonly catalogue: Catalogue; readonly cases: Pick<CaseReads, 'caseOf'> | undefined },
): Promise<Item | undefined> {
  const record = caseNo === undefined ? undefined : await cases?.caseOf(caseNo);
  if (record?.submission.itemCode !== itemCode || record === undefined) return catalogue.get(itemCode);
  return itemIfUsable(catalogue, record);
}
