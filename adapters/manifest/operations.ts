import { createHash } from 'node:crypto';
import type { Accept, Call } from '../../contracts/ports/adapter.ts';
import type {
  Certificate,
  CertificateClaim,
  CertificateDocument,
  CertificateQuery,
  Verdict,
} from '../../contracts/ports/certificate.ts';
import type { Envelope, JsonObject, Receipt } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import type { AwaitedAnswer } from '../../contracts/ports/store.ts';
import type { Meaning } from './answers.ts';
import type { Caller } from './caller.ts';
import { certificatesOf, fromBase64, verdictOf } from './certificate.ts';
import type { Filed, Manifest } from './manifest.ts';
import { type Done, objectOf } from './meaning.ts';
import { named } from './named.ts';

/** What a delivery, an inquiry or a later question may come to; what of it makes no sense there is sorted out there. */
const TOLD: readonly Meaning[] = ['filed', 'pending', 'duplicate', 'none', 'refused', 'correction', 'progress'];
/** What a question may come to: found, or searched and not found. */
const LOOKED_UP: readonly Meaning[] = ['filed', 'none'];
/** Who says any of these is there. */
const THERE: readonly Meaning[] = ['filed', 'none', 'pending', 'refused'];

/** A manifest's operations, each a method of the `Adapter` port; docs/manifest.md has the table of what each answer means in each. */
export class Operations {
  readonly #manifest: Manifest;
  readonly #caller: Caller;

  constructor(manifest: Manifest, caller: Caller) {
    this.#manifest = manifest;
    this.#caller = caller;
  }

  async deliver(envelope: Envelope, call: Call): Promise<Receipt> {
    const operation = offered(this.#manifest.deliver, envelope.contract);
    // Who goes out for the first time goes out now.
    const firstSentAt = envelope.firstSentAt ?? this.#caller.line.clock.now();
    const about = { envelope: inputOf({ ...envelope, firstSentAt }) };
    const done = await this.#caller.run(operation.calls, about, call, TOLD);
    // Before the write was reached, only "no", "mend it" and "we have it" end a delivery; nothing was taken yet.
    const unwritten = !done.write && !['refused', 'correction', 'duplicate'].includes(done.as);
    if (done.as === 'refused' || unwritten) throw this.#caller.meanings.fault(done);
    const receipt = await this.#receipt(operation, done, operation.replies === 'atOnce');
    return done.as === 'duplicate' ? this.#known(envelope, receipt, done, call) : receipt;
  }

  async inquire(envelope: Envelope, call: Call): Promise<Receipt | 'neverArrived'> {
    const known = await this.#ask(envelope, call);
    if (known === 'neverArrived') return known;
    // Their record stands under our key; what became of our own message nobody has said.
    if (known.same === false) throw otherRecord(true);
    return known.receipt;
  }

  async collect(awaited: readonly AwaitedAnswer[], accept: Accept, call: Call): Promise<void> {
    let failed: Fault | undefined;
    for (const one of awaited) {
      try {
        await this.#askFor(one, accept, call);
      } catch (error) {
        // One answer that cannot be read must not keep the others back; a party that is away is away for all.
        if (!(error instanceof Fault) || error.kind !== 'malformed') throw error;
        failed ??= error;
      }
    }
    if (failed !== undefined) throw failed;
  }

  async query(name: string, body: JsonObject, call: Call): Promise<JsonObject> {
    const operation = offered(this.#manifest.queries, name);
    const { meanings } = this.#caller;
    const done = await this.#caller.run(operation.calls, { query: body }, call, LOOKED_UP);
    if (done.as === 'none')
      throw new Fault('refused', {
        reason: meanings.reason(done, 'none', '查无结果', 'they hold nothing of that kind'),
      });
    return objectOf(await meanings.mapped(operation.answer, done));
  }

  async certificates(query: CertificateQuery, call: Call): Promise<readonly Certificate[]> {
    const operation = offered(this.#manifest.certificates, query.type);
    const certificate = structuredClone(query) as unknown as JsonObject;
    const done = await this.#caller.run(operation.calls, { certificate }, call, LOOKED_UP);
    if (done.as === 'none') return [];
    return certificatesOf(await this.#caller.meanings.mapped(operation.answer, done), query.type);
  }

  async document(of: Certificate, query: CertificateQuery, call: Call): Promise<CertificateDocument> {
    const { documents } = this.#manifest;
    const operation = offered(documents, documents[query.type] === undefined ? '*' : query.type);
    const { file, identifier, number } = of;
    if (file === undefined) throw noFile();
    const { reference, mediaType, digest } = file;
    const about = {
      certificate: structuredClone(query) as unknown as JsonObject,
      document: { identifier, number, reference, mediaType, digest },
    };
    const done = await this.#caller.run(operation.calls, about, call, LOOKED_UP);
    if (done.as === 'none') throw noFile();
    if (done.file !== undefined) return { mediaType, bytes: done.file };
    if (operation.base64 === undefined) throw notAFile();
    return { mediaType, bytes: fromBase64(await this.#caller.meanings.mapped(operation.base64, done)) };
  }

  async verify(claim: CertificateClaim, call: Call): Promise<Verdict> {
    const operation = this.#manifest.verify;
    if (operation === undefined) throw new Error('this manifest verifies nothing');
    const done = await this.#caller.run(operation.calls, { claim: { ...claim } }, call, LOOKED_UP);
    if (done.as === 'none') return { verdict: 'unknown', state: null };
    return verdictOf(await this.#caller.meanings.mapped(operation.answer, done));
  }

  async probe(call: Call): Promise<void> {
    await this.#caller.run(this.#manifest.probe.calls, {}, call, THERE);
  }

  async #askFor({ envelope, number }: AwaitedAnswer, accept: Accept, call: Call): Promise<void> {
    const operation = this.#manifest.ask[envelope.contract];
    if (operation === undefined) return;
    const { meanings, line } = this.#caller;
    const done = await this.#caller.run(operation.calls, { envelope: inputOf(envelope), number }, call, TOLD);
    if (done.as === 'duplicate') throw meanings.fault(done);
    const answer = await meanings.answer(operation.answer, done);
    if (answer === undefined) return;
    const digest = createHash('sha256').update(envelope.id).update(JSON.stringify(answer)).digest('hex');
    await accept({
      from: this.#manifest.party,
      about: { key: envelope.id },
      ...(await named(operation, done, meanings, { at: line.clock.now(), dedupe: digest })),
      answer,
    });
  }

  /** `atOnce`: without an answer now there will be none, so that who has not decided is asked again. */
  async #receipt(operation: Filed, done: Done, atOnce: boolean): Promise<Receipt> {
    const { meanings } = this.#caller;
    if (done.as === 'none' || done.as === 'progress' || (done.as === 'pending' && atOnce)) throw meanings.fault(done);
    const number = operation.number === undefined ? undefined : await meanings.mapped(operation.number, done);
    const receipt: Receipt = {
      number: number === undefined || number === null || number === '' ? null : String(number),
      duplicate: done.write && done.as === 'duplicate',
    };
    // Their "duplicate" to a delivery has no answer in it; to an inquiry it is one more way to say that they have it.
    const decided = done.as === 'filed' || (done.as === 'duplicate' && !done.write);
    const answers = done.as === 'correction' || done.as === 'refused' || (decided && operation.answer !== undefined);
    const answer = answers ? await meanings.answer(operation.answer, done) : undefined;
    return answer === undefined ? receipt : { ...receipt, answer };
  }

  /** What they have under our key; `same`: whether it is of this case, undefined where that cannot be told. */
  async #ask(
    envelope: Envelope,
    call: Call,
  ): Promise<{ readonly receipt: Receipt; readonly same: boolean | undefined } | 'neverArrived'> {
    const operation = offered(this.#manifest.inquire, envelope.contract);
    const done = await this.#caller.run(operation.calls, { envelope: inputOf(envelope) }, call, TOLD);
    if (done.as === 'none') return 'neverArrived';
    const same = operation.same === undefined ? undefined : await this.#caller.meanings.mapped(operation.same, done);
    // A record of another case is looked at no closer: its answer may not even keep the contract.
    if (same === false) return { receipt: { number: null, duplicate: false }, same };
    const atOnce = this.#manifest.deliver[envelope.contract]?.replies === 'atOnce';
    return { receipt: await this.#receipt(operation, done, atOnce), same: same === true ? true : undefined };
  }

  /**
   * They say that they had it. Their record is asked for, and is taken for ours when it shows this case, or, where it shows nothing to tell by, when this
   * envelope may have been sent before: numbers that begin again make another case's record answer as a duplicate.
   */
  async #known(envelope: Envelope, receipt: Receipt, done: Done, call: Call): Promise<Receipt> {
    const sentBefore = call.sentBefore ?? call.attempt > 1;
    const atOnce = this.#manifest.deliver[envelope.contract]?.replies === 'atOnce';
    const inquire = this.#manifest.inquire[envelope.contract];
    if (inquire?.same === undefined) {
      if (!sentBefore) throw this.#unproved(done);
      if (inquire === undefined && atOnce) throw this.#unanswered(done);
      if (inquire === undefined || (receipt.number !== null && !atOnce)) return { ...receipt, duplicate: true };
    }
    const known = await this.#ask(envelope, call).catch((error: unknown) => {
      const { kind, reason, until, ours } = Fault.from(error);
      throw new Fault(kind === 'unreachable' || kind === 'refused' ? 'inDoubt' : kind, {
        reason,
        ours,
        maybeArrived: true,
        ...(until === undefined ? {} : { until }),
        cause: error,
      });
    });
    if (known === 'neverArrived') throw this.#unanswered(done);
    // They have refused ours because of the other one; only what was sent before may have got there all the same.
    if (known.same === false) throw otherRecord(sentBefore);
    if (known.same === undefined && !sentBefore) throw this.#unproved(done);
    return { ...known.receipt, number: known.receipt.number ?? receipt.number, duplicate: true };
  }

  /** They say that they have it, and nothing they say later will settle it: for a person. */
  #unanswered(done: Done): Fault {
    const { code, zh, en } = this.#caller.meanings.reason(done, 'duplicate', '重复报送', 'a duplicate');
    return new Fault('malformed', {
      maybeArrived: true,
      reason: {
        code,
        zh: `对方称已存在（${zh}），但按我方编号查询不到，请人工核实`,
        en: `they say that they have it (${en}), and do not know it by our key: a person must look`,
      },
    });
  }

  /** They have something under our key that was never sent from here, as far as we know, and nobody can tell whose it is: for a person. */
  #unproved(done: Done): Fault {
    const { zh, en } = this.#caller.meanings.reason(done, 'duplicate', '重复报送', 'a duplicate');
    return new Fault('malformed', {
      ours: true,
      maybeArrived: true,
      reason: {
        code: 'duplicateUnproved',
        zh: `对方称该编号已存在（${zh}），但本报文此前未发送过，无法确认对方记录是否属于本办件，请人工核实`,
        en: `they say that they have this number already (${en}), but this envelope was not sent before: a person must look whether their record is of this case`,
      },
    });
  }
}

/** What they have under our key is of another case: our numbers have begun again, or somebody else uses them. It is no failure of theirs. */
const otherRecord = (maybeArrived: boolean): Fault =>
  new Fault('malformed', {
    ours: true,
    maybeArrived,
    reason: {
      code: 'otherRecord',
      zh: '对方在该编号下登记的是另一办件，未采用其结果，请人工核实',
      en: 'what they hold under this number is another case, and is not taken for this one: a person must look',
    },
  });

function inputOf({ id, caseNo, stepNo, contract, body, firstSentAt }: Envelope): JsonObject {
  const revision = /\.(\d+)$/.exec(id)?.[1] ?? '1';
  return { id, caseNo, stepNo, contract, body, revision, ...(firstSentAt === undefined ? {} : { firstSentAt }) };
}

const noFile = (): Fault =>
  new Fault('refused', {
    reason: { code: 'noDocument', zh: '该证照没有电子文件', en: 'this certificate has no file' },
  });

/** They say that all is well, and give no file. */
const notAFile = (): Fault =>
  new Fault('malformed', {
    reason: {
      code: 'notAFile',
      zh: '对方应答成功但未给出文件',
      en: 'they answered that all is well, and gave no file',
    },
  });

function offered<T>(operations: { readonly [name: string]: T }, name: string): T {
  const operation = operations[name];
  if (operation !== undefined) return operation;
  throw new Fault('malformed', {
    ours: true,
    maybeArrived: false,
    reason: { code: 'notOffered', zh: `该部门不受理 ${name}`, en: `this party does not take ${name}` },
  });
}
