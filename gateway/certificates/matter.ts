import { withComparableDots } from '../../contracts/characters.ts';
import { comparableIdNo } from '../../contracts/identifiers.ts';
import type { CaseRecord } from '../../contracts/ports/case.ts';
import type { Holder } from '../../contracts/ports/certificate.ts';
import type { JsonObject } from '../../contracts/ports/envelope.ts';
import type { Facts, Item, Material } from '../../contracts/ports/item.ts';

export type Certified = NonNullable<Material['certificate']>;

/** One certificate of one holder that a matter needs, and for which of its materials. */
export interface Wanted {
  readonly material: string;
  readonly certificate: Certified;
  readonly holder: Holder;
  readonly hints: JsonObject;
}

/** What a case looks like to its item's expressions. */
export function factsOf({ caseNo, acceptedAt, submission, certificates }: CaseRecord): Facts {
  const { applicationNo, itemCode, channel, applicant, agent, form, materials } = submission;
  return {
    case: { caseNo, applicationNo, itemCode, channel, acceptedAt },
    applicant,
    agent: agent ?? null,
    form,
    materials,
    certificates,
    steps: {},
  };
}

/**
 * Every certificate that a matter needs, by its item's materials; `unclear` names materials whose expressions could not be evaluated on these facts.
 * A condition that cannot be evaluated holds.
 */
export async function wantedBy(
  item: Item,
  facts: Facts,
): Promise<{ readonly wanted: readonly Wanted[]; readonly unclear: readonly string[] }> {
  const unclear: string[] = [];
  const wanted = await Promise.all(
    item.materials.map(async ({ code, certificate, when }): Promise<readonly Wanted[]> => {
      if (certificate === undefined) return [];
      try {
        if (when !== undefined && !(await when(facts).catch(() => true))) return [];
        const hints = (await certificate.hints?.(facts)) ?? {};
        const holders = (await certificate.holders(facts)) as unknown as readonly Holder[];
        return holders.map(({ name, idType, idNo }) => ({
          material: code,
          certificate,
          holder: { name, idType, idNo },
          hints,
        }));
      } catch {
        unclear.push(code);
        return [];
      }
    }),
  );
  return { wanted: wanted.flat(), unclear };
}

/** Full-width or half-width, with or without spaces, in either case: for comparing, never for showing. */
export const comparable = (text: string): string => text.normalize('NFKC').replaceAll(/\s/g, '').toUpperCase();

export const comparableName = (name: string): string => withComparableDots(comparable(withComparableDots(name)));

/** By number, as both may write it; a name alone proves nothing, and a differing one is somebody else. */
export function sameHolder(theirs: Holder, ours: Holder): boolean {
  return (
    comparableIdNo(theirs.idNo) === comparableIdNo(ours.idNo) &&
    comparableName(theirs.name) === comparableName(ours.name)
  );
}
