import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { localDay } from '../../../contracts/local-time.ts';
import type {
  Certificate,
  CertificateDocument,
  CertificateQuery,
  HandedOutFiles,
  Ledger,
  LedgerEntry,
  Mandates,
  Purpose,
  Redeemed,
  UseTicket,
  UseTickets,
  WayOfUse,
} from '../../../contracts/ports/certificate.ts';
import type { Clock } from '../../../contracts/ports/clock.ts';
import { Unfit } from '../../../contracts/ports/contract.ts';
import type { JsonObject, Party, Words } from '../../../contracts/ports/envelope.ts';
import { Fault } from '../../../contracts/ports/fault.ts';
import type { Catalogue } from '../../../contracts/ports/item.ts';
import type { Logger } from '../../../contracts/ports/logger.ts';
import type { Documents, HandedDocument } from '../../../contracts/ports/retrieval.ts';
import type { CaseReads } from '../../../contracts/ports/store.ts';
import { causeOf } from '../cause.ts';
import { entryOf, recorded } from '../entry.ts';
import { itemOfPurpose } from '../item-of-purpose.ts';
import { mandateEnded, REFUSALS } from '../rights.ts';
import { codeHash } from '../use-code.ts';
import { makeAnnotator } from './annotate.ts';
import { claimFolder, type ProcessFolder, removeAbandoned } from './process-folder.ts';
import { seal } from './seal.ts';
import type { SealKey } from './seal-key.ts';
import { spool } from './spool.ts';
import { type Spooled, sweep } from './spooled.ts';

/** A party that hands files out, through its guard: the deadline of the call covers the last byte. */
export interface DocumentSource {
  readonly documents: readonly string[];
  document<T>(
    certificate: Certificate,
    query: CertificateQuery,
    into: (document: CertificateDocument, signal: AbortSignal) => Promise<T>,
    traceparent: string,
  ): Promise<T>;
}

export interface HandOutParts {
  readonly sources: () => ReadonlyMap<Party, DocumentSource>;
  readonly tickets: UseTickets;
  readonly mandates: Pick<Mandates, 'mandate'>;
  readonly files: Pick<HandedOutFiles, 'handedOut'>;
  readonly ledger: Pick<Ledger, 'write'>;
  readonly catalogue: Catalogue;
  /** Left out: files are of the current items only. */
  readonly cases?: Pick<CaseReads, 'caseOf'>;
  readonly hashOf: (idNo: string) => string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly settings: {
    /** Where files stand for the moment between source and clerk, each process's in a folder of its own. Several nodes may have it in common. */
    readonly folder: string;
    readonly documentBytes: number;
    readonly annotateBytes: number;
  };
  readonly sealKey: SealKey;
}

/** What a use code stands for, as the retrieval wrote it. */
export interface Ticket {
  readonly ledgerId: string;
  readonly source: Party;
  readonly type: string;
  readonly material: string;
  readonly hints: JsonObject;
  readonly use: WayOfUse;
  readonly channel: string;
  readonly requestId: string | null;
  readonly purpose: Purpose;
  readonly certificate: Certificate;
}

/** A ticket, and whose it is. */
type Owned = Ticket & { readonly appKey: string };

/** An earlier version put its files into the common folder: what is younger may still be in hand there. */
const LEFT_MS = 3_600_000;

const REFUSED = {
  unknown: { status: 404, code: 'useCodeUnknown', zh: '没有该使用码', en: 'no such use code' },
  notYours: {
    status: 403,
    code: 'useCodeNotYours',
    zh: '该使用码属于其他应用',
    en: 'the use code is another caller’s',
  },
  used: {
    status: 410,
    code: 'useCodeUsed',
    zh: '该使用码已使用过，请重新调取',
    en: 'the use code was used before: retrieve again',
  },
  expired: {
    status: 410,
    code: 'useCodeExpired',
    zh: '该使用码已过期，请重新调取',
    en: 'the use code has run out: retrieve again',
  },
} as const satisfies Record<string, Words & { readonly status: number; readonly code: string }>;

/** Between a use code and a file in the clerk's hands. Files stand on disk for that moment only, and in memory never whole, but to be stamped. */
export function makeDocuments(parts: HandOutParts): Documents {
  const { tickets, ledger, catalogue, clock, log, settings } = parts;
  const annotator = makeAnnotator({ maxBytes: settings.annotateBytes, clock });
  const swept = removeLeft().catch((error: unknown) =>
    log.error('files left by an earlier process could not be removed', { error }),
  );
  let claimed: Promise<ProcessFolder> | undefined;

  async function removeLeft(): Promise<void> {
    const removed = await removeAbandoned(settings.folder);
    if (removed > 0) log.warn('files left by a process that was killed were removed', { processes: removed });
    await sweep(settings.folder, LEFT_MS, clock.now());
  }

  /** This process's own, made when it is first needed; a disk that could not be written to is tried again. */
  function ownFolder(): Promise<ProcessFolder> {
    claimed ??= claimFolder(settings.folder).catch((error: unknown) => {
      claimed = undefined;
      throw error;
    });
    return claimed;
  }

  const entry = (ticket: Owned, appKey: string, about: Partial<LedgerEntry> & Pick<LedgerEntry, 'state'>) => ({
    ...entryOf({
      id: randomUUID(),
      at: clock.now(),
      phase: 'document',
      of: ticket.ledgerId,
      type: ticket.type,
      holder: ticket.certificate.holder,
      holderHash: parts.hashOf(ticket.certificate.holder.idNo),
      request: {
        // Somebody else's clerk is nobody's here: who retrieved stands in the row that this one is `of`.
        purpose: appKey === ticket.appKey ? ticket.purpose : {},
        appKey,
        channel: ticket.channel,
        ...(ticket.requestId === null ? {} : { requestId: ticket.requestId }),
      },
      material: ticket.material,
      use: ticket.use,
      source: ticket.source,
      identifier: ticket.certificate.identifier,
    }),
    ...about,
  });

  async function fetched({ source: name, type, certificate, purpose, hints }: Ticket, traceparent: string) {
    const source = parts.sources().get(name);
    if (source === undefined || !source.documents.includes(type))
      throw new Fault('busy', {
        reason: { code: 'notConnected', zh: '来源未接入', en: 'its source is not connected' },
        until: clock.now() + 60_000,
      });
    const { documentBytes: maxBytes } = settings;
    const { folder } = await ownFolder();
    const digest = certificate.file?.digest ?? null;
    return source.document(
      certificate,
      {
        holder: certificate.holder,
        type,
        purpose,
        cause: causeOf(purpose, await itemOfPurpose(purpose, { catalogue, cases: parts.cases })),
        hints,
      },
      (document, signal) => spool(document, { folder, maxBytes, digest, signal }),
      traceparent,
    );
  }

  async function stamped(original: Spooled, { purpose }: Ticket): Promise<Spooled> {
    const item = await itemOfPurpose(purpose, { catalogue, cases: parts.cases });
    return annotator.annotate(original.file, {
      item: item?.title ?? { zh: purpose.itemCode, en: purpose.itemCode },
      agency: item?.owner.name ?? '',
      date: localDay(clock.now()),
      caseNo: purpose.caseNo ?? purpose.applicationNo ?? '',
    });
  }

  const ticketOf = ({ ticket, appKey }: UseTicket): Owned => ({ ...(ticket as unknown as Ticket), appKey });

  /** Whoever tries a code that is not his, or not any more, stands in the ledger like whoever has one. */
  async function refuse(redeemed: Exclude<Redeemed, { readonly refused: null }>, appKey: string, traceparent: string) {
    const { status, code, ...words } = REFUSED[redeemed.refused];
    const about = { state: 'notPermitted', reason: code } as const;
    log.warn('a use code was refused', { why: redeemed.refused, app: appKey, traceparent });
    await note('ticket' in redeemed ? entry(ticketOf(redeemed.ticket), appKey, about) : strange(appKey, about));
    return new Unfit(status, code, words);
  }

  /** Of a code that nobody gave out. */
  const strange = (appKey: string, about: Partial<LedgerEntry>): LedgerEntry => ({
    ...entryOf({
      id: randomUUID(),
      at: clock.now(),
      phase: 'document',
      of: null,
      type: '',
      holder: undefined,
      holderHash: '',
      request: { purpose: {}, appKey, channel: '' },
    }),
    ...about,
  });

  /** What has happened already is not undone because it could not be written down: a gap is loud, and stops nothing. */
  async function note(row: LedgerEntry): Promise<void> {
    try {
      await ledger.write([row]);
    } catch (error) {
      log.error('an answer could not be written to the certificate ledger', { error, entries: [row.of] });
    }
  }

  return {
    async handOut({ useCode, annotated, appKey, traceparent }) {
      await swept;
      const hash = codeHash(useCode);
      const redeemed = await tickets.redeem(hash, appKey, clock.now());
      if (redeemed.refused !== null) throw await refuse(redeemed, appKey, traceparent);
      const ticket = ticketOf(redeemed.ticket);
      const { mandateId } = ticket.purpose;
      const giveBack = async (error: unknown): Promise<never> => {
        await tickets.giveBack(hash);
        throw error;
      };
      // A consent may have been revoked since the retrieval.
      const ended =
        ticket.use === 'mandate' && mandateId !== undefined
          ? mandateEnded(await parts.mandates.mandate(mandateId).catch(giveBack), clock.now())
          : undefined;
      if (ended !== undefined) {
        await note(entry(ticket, appKey, { state: 'notPermitted', reason: ended }));
        throw new Unfit(403, ended, REFUSALS[ended]);
      }
      // Before the call, as every look at somebody's certificate is.
      await recorded(ledger, log, entry(ticket, appKey, { state: null })).catch(giveBack);
      let original: Awaited<ReturnType<typeof fetched>> | undefined;
      let copy: Spooled | undefined;
      try {
        original = await fetched(ticket, traceparent);
        if (annotated && original.mediaType !== 'application/pdf') throw notPdf();
        if (!annotated && original.mediaType === 'application/pdf') await annotator.inspect(original.file);
        copy = annotated ? await stamped(original, ticket) : original;
        if (copy !== original) await original.remove();
        const { identifier, number, validTo } = ticket.certificate;
        const { caseNo = null, applicationNo = null } = ticket.purpose;
        const handledUnder = caseNo ?? applicationNo ?? '';
        const signature = seal(parts.sealKey.privateKey, { sm3: copy.sm3, identifier, handledUnder });
        await recorded(ledger, log, entry(ticket, appKey, { state: 'found', digest: `sm3:${copy.sm3}` }));
        await parts.files.handedOut({
          sm3: copy.sm3,
          originalSm3: original.sm3,
          identifier,
          type: ticket.type,
          // A number may be a person's own: it is kept only where there is nothing else to look it up by.
          number: identifier === null ? number : null,
          validTo,
          caseNo,
          applicationNo,
          at: clock.now(),
          annotated,
        });
        return {
          mediaType: original.mediaType,
          bytes: copy.bytes,
          sm3: copy.sm3,
          originalSm3: original.sm3,
          identifier,
          annotated,
          seal: signature,
          content: once(copy),
        } satisfies HandedDocument;
      } catch (error) {
        await Promise.all([original?.remove(), copy?.remove()]);
        throw await refusal(error, ticket, hash, appKey, traceparent);
      }
    },

    async close() {
      await annotator.close();
      await swept;
      await (await claimed?.catch(() => undefined))?.release();
    },
  };

  /** What cannot be fetched now may be fetched later by the same code; what is not what it says never will be. */
  async function refusal(error: unknown, ticket: Owned, hash: string, appKey: string, traceparent: string) {
    if (!(error instanceof Fault)) {
      await tickets.giveBack(hash);
      return error;
    }
    const { kind, reason, until } = error;
    const broken = kind === 'malformed' || kind === 'refused';
    if (!broken || reason.code.endsWith('nnotate')) await tickets.giveBack(hash);
    const { code } = reason;
    await note(entry(ticket, appKey, { state: kind === 'refused' ? 'notPermitted' : 'unavailable', reason: code }));
    const fields = { source: ticket.source, type: ticket.type, fault: kind, code, traceparent };
    if (kind === 'malformed') log.error('the file of a certificate is not to be handed out', fields);
    else log.warn('the file of a certificate could not be fetched', fields);
    const words = { zh: reason.zh, en: reason.en };
    if (code === 'cannotAnnotate' || code === 'tooLargeToAnnotate') return new Unfit(422, code, words);
    if (broken) return new Unfit(kind === 'refused' ? 403 : 502, code, words);
    const wait = until === undefined ? 30 : Math.max(1, Math.ceil((until - clock.now()) / 1_000));
    return new Unfit(503, code, words, [], wait);
  }
}

/** The file's bytes; it is gone when they have been read, when nobody reads on, and when whoever asked went away before the first. */
function once({ file, remove }: Spooled): Readable {
  const bytes = createReadStream(file);
  bytes.once('close', () => void remove().catch(() => {}));
  return bytes;
}

const notPdf = (): Fault =>
  new Fault('malformed', {
    reason: {
      code: 'cannotAnnotate',
      zh: '只有 PDF 可以加注，该证照文件为 OFD',
      en: 'only a PDF can be annotated, and this file is an OFD',
    },
  });
