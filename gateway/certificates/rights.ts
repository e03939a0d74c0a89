import type { Holder, Mandate, Purpose, WayOfUse } from '../../contracts/ports/certificate.ts';
import type { JsonObject, Millis, Words } from '../../contracts/ports/envelope.ts';
import type { CertificateTypes, Item } from '../../contracts/ports/item.ts';
import type { RetrievalRequest } from '../../contracts/ports/retrieval.ts';
import { type Certified, sameHolder, type Wanted } from './matter.ts';

/** Why a certificate may not be looked at. */
export const REFUSALS = {
  noPurpose: {
    zh: '未说明用途（办件或申请编号、事项、经办人、依据）',
    en: 'no purpose was given (case or application number, item, clerk, basis)',
  },
  itemUnknown: { zh: '事项目录中没有该事项', en: 'no such item in the catalogue' },
  caseUnknown: { zh: '没有该办件，或不属于本应用', en: "no such case, or not this caller's" },
  caseWithdrawn: {
    zh: '该办件已撤回，不再是调取的理由',
    en: 'the case was withdrawn: it is no reason to look any more',
  },
  otherItem: { zh: '该办件不是所述事项的办件', en: 'the case is not about the item given' },
  typeUnknown: { zh: '没有登记此类证照', en: 'there is no such type of certificate' },
  notInItem: { zh: '该事项的材料清单不含此类证照', en: "the item's material list does not name this type" },
  notAParty: { zh: '持证人不是本办件的当事人', en: 'the holder is no party of the case' },
  notForHolder: {
    zh: '本办件不需要该当事人的此类证照',
    en: 'this matter does not need this certificate of this party',
  },
  dutyNeedsCase: {
    zh: '依职权调取须指明已受理的办件或附申请表',
    en: 'official duty needs a case, or the application form, to show that the holder is a party',
  },
  mandateMissing: { zh: '未指明授权书编号', en: 'the mandate is not named' },
  mandateUnknown: { zh: '没有该授权', en: 'no such mandate' },
  mandateExpired: { zh: '授权已过期或尚未生效', en: 'the mandate has run out, or has not begun' },
  mandateRevoked: { zh: '授权已被撤回', en: 'the mandate was revoked' },
  mandateNotFor: {
    zh: '授权不适用于该持证人、事项或证照类型',
    en: 'the mandate is not for this holder, item or type',
  },
} as const satisfies Record<string, Words>;

export type Refusal = keyof typeof REFUSALS;

/** What the rights are decided by, looked up once for all certificates of a request. */
export interface Ground {
  readonly item: Item;
  readonly types: CertificateTypes;
  /** Undefined: nothing is known of the matter but what the purpose says. */
  readonly wanted: readonly Wanted[] | undefined;
  /** Everybody the matter names, also those of whom it needs no certificate. */
  readonly parties: readonly Holder[];
  readonly mandate: Mandate | undefined;
  readonly now: Millis;
  readonly hashOf: (idNo: string) => string;
}

export interface Right {
  readonly material: string;
  readonly certificate: Certified;
  readonly hints: JsonObject;
  readonly use: WayOfUse;
}

/** Whether a purpose says all that it has to. */
export function complete(purpose: Purpose | undefined): purpose is Purpose {
  return [
    purpose?.itemCode,
    purpose?.basis,
    purpose?.clerk?.officerId,
    purpose?.caseNo ?? purpose?.applicationNo,
  ].every((text) => typeof text === 'string' && text.trim() !== '');
}

/** The right to look at one certificate of one holder, or why there is none. */
export function rightTo(holder: Holder, type: string, request: RetrievalRequest, ground: Ground): Right | Refusal {
  const { item, types, wanted, parties } = ground;
  if (types.get(type) === undefined) return 'typeUnknown';
  const named = item.materials.find(({ certificate }) => certificate?.type === type);
  if (named?.certificate === undefined) return 'notInItem';
  const use = request.purpose.use ?? (wanted === undefined ? 'present' : 'duty');
  if (wanted === undefined && use === 'duty') return 'dutyNeedsCase';
  if (use === 'mandate') {
    const lacks = mandateLacks(holder, type, request, ground);
    if (lacks !== undefined) return lacks;
  }
  if (wanted === undefined) {
    return { material: named.code, certificate: named.certificate, hints: request.hints, use };
  }
  const need = wanted.find((one) => one.certificate.type === type && sameHolder(one.holder, holder));
  if (need !== undefined) {
    // Which certificate the matter needs, the matter says: no hint of the caller leads to another.
    return { material: need.material, certificate: need.certificate, hints: { ...request.hints, ...need.hints }, use };
  }
  return parties.some((party) => sameHolder(party, holder)) ? 'notForHolder' : 'notAParty';
}

/** Why a consent does not hold now. */
export function mandateEnded(
  mandate: Mandate | undefined,
  now: Millis,
): 'mandateUnknown' | 'mandateRevoked' | 'mandateExpired' | undefined {
  if (mandate === undefined) return 'mandateUnknown';
  if (mandate.revoked !== null) return 'mandateRevoked';
  return now < mandate.from || now >= mandate.until ? 'mandateExpired' : undefined;
}

function mandateLacks(
  holder: Holder,
  type: string,
  { purpose, appKey }: RetrievalRequest,
  { mandate, now, hashOf }: Ground,
): Refusal | undefined {
  if (purpose.mandateId === undefined) return 'mandateMissing';
  if (mandate === undefined || mandate.appKey !== appKey) return 'mandateUnknown';
  const ended = mandateEnded(mandate, now);
  if (ended !== undefined) return ended;
  const fits =
    mandate.holderHash === hashOf(holder.idNo) &&
    mandate.itemCode === purpose.itemCode &&
    (mandate.types.length === 0 || mandate.types.includes(type));
  return fits ? undefined : 'mandateNotFor';
}
