import type { LedgerEntry } from '../../contracts/ports/certificate.ts';

export function ledgerEntry(id: string, more: Partial<LedgerEntry> = {}): LedgerEntry {
  return {
    id,
    at: 1,
    phase: 'asked',
    of: null,
    appKey: 'window-demo',
    deptUscc: '11331124QA0000057N',
    windowId: 'W07',
    use: 'duty',
    mandateId: null,
    material: '5-02',
    requestId: null,
    cached: false,
    digest: null,
    officerId: 'W01',
    caseNo: null,
    applicationNo: 'A1',
    itemCode: 'item',
    type: '11100000000013127D001',
    holderMasked: '张*例',
    holderHash: 'h'.repeat(64),
    basis: 'law',
    channel: 'window',
    source: 'tea-office',
    state: null,
    reason: null,
    identifier: null,
    fields: ['name', 'idNo'],
    ...more,
  };
}
