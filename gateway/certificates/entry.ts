import { maskHolder } from '../../contracts/mask.ts';
import type { Holder, Ledger, LedgerEntry, Purpose, WayOfUse } from '../../contracts/ports/certificate.ts';
import { Unfit } from '../../contracts/ports/contract.ts';
import type { Words } from '../../contracts/ports/envelope.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { RetrievalRequest } from '../../contracts/ports/retrieval.ts';

/** What one row is about; the rest of it is the same for the whole request. */
interface About extends Pick<LedgerEntry, 'id' | 'at' | 'phase' | 'of' | 'type' | 'holderHash'> {
  readonly request: Pick<RetrievalRequest, 'appKey' | 'channel' | 'requestId'> & { readonly purpose: Partial<Purpose> };
  /** Undefined: nobody was named. */
  readonly holder: Holder | undefined;
  readonly material?: string;
  readonly use?: WayOfUse;
  readonly source?: LedgerEntry['source'];
  readonly state?: LedgerEntry['state'];
  readonly reason?: LedgerEntry['reason'];
  readonly cached?: boolean;
  readonly identifier?: LedgerEntry['identifier'];
  readonly fields?: LedgerEntry['fields'];
}

export const LEDGER_DOWN = {
  zh: '调用台账不可用，依规不得调取',
  en: 'the access ledger cannot be written, and without it nothing may be fetched',
} as const satisfies Words;

/**
 * Durable when resolved, and before it nothing is looked at.
 * @throws Unfit 503 when it cannot be written: docs/decisions/0010-no-ledger-no-call.md
 */
export async function recorded(ledger: Pick<Ledger, 'write'>, log: Logger, row: LedgerEntry): Promise<void> {
  try {
    await ledger.write([row]);
  } catch (error) {
    log.error('the certificate ledger cannot be written: nothing is fetched', { error });
    throw new Unfit(503, 'ledgerDown', LEDGER_DOWN, [], 30);
  }
}

/** One row of the access ledger. What a purpose does not say is empty. */
export function entryOf({ request, holder, id, at, phase, of, type, holderHash, ...about }: About): LedgerEntry {
  const { appKey, channel, purpose } = request;
  return {
    id,
    at,
    phase,
    of,
    appKey,
    officerId: purpose.clerk?.officerId ?? '',
    deptUscc: purpose.clerk?.deptUscc ?? null,
    windowId: purpose.clerk?.windowId ?? null,
    caseNo: purpose.caseNo ?? null,
    applicationNo: purpose.applicationNo ?? null,
    itemCode: purpose.itemCode ?? '',
    type,
    holderMasked: holder === undefined ? '' : maskHolder(holder),
    holderHash,
    use: about.use ?? purpose.use ?? 'present',
    mandateId: purpose.mandateId ?? null,
    material: about.material ?? null,
    basis: purpose.basis ?? '',
    channel,
    requestId: request.requestId ?? null,
    source: about.source ?? null,
    state: about.state ?? null,
    reason: about.reason ?? null,
    cached: about.cached ?? false,
    identifier: about.identifier ?? null,
    digest: null,
    fields: about.fields ?? [],
  };
}
