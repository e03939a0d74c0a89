import type { JsonObject } from '../../contracts/ports/envelope.ts';
import type { Facts } from '../../contracts/ports/item.ts';

/** What an item's expressions see of a submission, once `results` (by step number) have come back. */
export function factsOf(
  submission: JsonObject,
  results: { readonly [no: string]: JsonObject | null } = {},
  at: number = Date.now(),
): Facts {
  const { applicationNo, itemCode, channel, applicant, form, materials } = submission;
  const steps = Object.entries(results).map(([no, result]) => [no, { state: 'DONE', number: `N${no}`, result }]);
  return {
    case: {
      caseNo: '331124261123000001',
      applicationNo: String(applicationNo),
      itemCode: String(itemCode),
      channel: String(channel),
      acceptedAt: at,
    },
    applicant: applicant as JsonObject,
    agent: null,
    form: form as JsonObject,
    materials: materials as JsonObject[],
    certificates: [],
    steps: Object.fromEntries(steps),
  };
}
