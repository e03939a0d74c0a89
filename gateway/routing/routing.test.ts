import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Advance, CaseRecord, Change, EnvelopeView, OutgoingEnvelope, Step } from '../../contracts/ports/case.ts';
import { type Clock, wallClock } from '../../contracts/ports/clock.ts';
import type { Contracts } from '../../contracts/ports/contract.ts';
import type { Answer, Envelope, Message } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import type { Catalogue, Facts, Item, RouteStep } from '../../contracts/ports/item.ts';
import { silent } from '../../contracts/ports/logger.ts';
import { makeRouting } from './routing.ts';

const words = (text: string) => ({ zh: text, en: text });
const reason = (code: string) => ({ code, ...words(code) });

const clock: Clock = { ...wallClock, now: () => 1_795_397_415_123 };

function planned(no: string, after: string[], more: Partial<RouteStep> = {}): RouteStep {
  return {
    no,
    title: words(no),
    party: `office-${no}`,
    contract: 'office.work@1',
    after,
    blocking: true,
    map: async () => ({ no }),
    ...more,
  };
}

const item = (route: readonly RouteStep[]): Item => ({
  code: 'item',
  version: '0123456789abcdef',
  title: words('item'),
  area: words('area'),
  owner: { name: 'owner', uscc: '11331124QA00000149' },
  form: 'form@1',
  promised: { limit: 1, unit: 'wd' },
  statutory: { limit: 1, unit: 'wd' },
  basis: 'law',
  materials: [],
  rules: [],
  route,
});

/** Every body is right, but one that says `broken`. */
const contracts: Contracts = {
  has: () => true,
  problems: (_name, body) =>
    JSON.stringify(body).includes('broken') ? [{ pointer: '/broken', code: 'x', ...words('x') }] : [],
  list: () => [],
  get: () => undefined,
};

/** A case and its envelopes, as a store would keep them. */
class Played {
  record: CaseRecord;
  readonly outbox: OutgoingEnvelope[] = [];
  readonly changes: Change[] = [];
  readonly routing;

  constructor(route: readonly RouteStep[], replies: 'atOnce' | 'later' | 'never' = 'later') {
    const only = item(route);
    const catalogue: Catalogue = { get: (code) => (code === 'item' ? only : undefined), list: () => [only] };
    this.routing = makeRouting({
      catalogue,
      contracts,
      clock,
      window: 'window',
      deliverable: (_party, contract) => ({ contract, result: null, replies }),
      hashOf: (idNo) => `hash-of-${idNo}`,
      log: silent,
    });
    this.record = {
      caseNo: '331124261123000001',
      appKey: 'app',
      queryCode: '000000',
      submission: { applicationNo: 'A1', itemCode: 'item', channel: 'window', applicant: {}, form: {}, materials: [] },
      certificates: [],
      itemVersion: null,
      owed: [],
      traceparent: '00-1-1-01',
      state: 'ACCEPTED',
      steps: route.map(
        ({ no, title, party, contract, blocking }): Step => ({
          no,
          title,
          party,
          contract,
          blocking,
          state: 'PENDING',
          revision: 1,
          number: null,
          result: null,
          reason: null,
          since: 0,
          heardAt: null,
          resumesAt: null,
        }),
      ),
      acceptedAt: 0,
      promisedBy: { at: 0, provisional: false },
      statutoryBy: { at: 0, provisional: false },
      decision: null,
      held: null,
      messages: 0,
    };
  }

  async open(): Promise<this> {
    this.#write(await this.routing.opened(this.record));
    return this;
  }

  async happens(advance: Advance): Promise<void> {
    this.#write(await advance(this.record));
  }

  #write(change: Change): void {
    this.changes.push(change);
    this.outbox.push(...change.outbox);
    this.record = {
      ...this.record,
      state: change.state ?? this.record.state,
      decision: change.decision ?? (change.reopened ? null : this.record.decision),
      submission: change.submission ?? this.record.submission,
      steps: this.record.steps.map((step) => change.steps?.find(({ no }) => no === step.no) ?? step),
      messages: this.record.messages + change.outbox.filter(({ stepNo }) => stepNo === null).length,
    };
  }

  envelope(no: string): OutgoingEnvelope {
    const found = this.outbox.findLast(({ stepNo }) => stepNo === no);
    assert.ok(found, `step ${no} has no envelope`);
    return found;
  }
  state(no: string): string | undefined {
    return this.record.steps.find((step) => step.no === no)?.state;
  }
  told(): readonly string[] {
    return this.outbox.filter(({ to }) => to === 'window').map(({ contract }) => contract);
  }
  says(no: string, answer: Answer, at = 1): Message {
    return { from: `office-${no}`, about: { key: this.envelope(no).id }, dedupe: `${no}${at}`, at, answer };
  }
  answer(no: string, answer: Answer, at = 1): Promise<void> {
    return this.happens(this.routing.answered(this.envelope(no), this.says(no, answer, at)));
  }
  done(no: string): Promise<void> {
    return this.answer(no, { outcome: 'done', result: { from: no } });
  }
  deliver(no: string): Promise<void> {
    return this.happens(this.routing.delivered(this.envelope(no), { number: `N${no}`, duplicate: false }));
  }
}

describe('the route of a case', () => {
  test('begins a step only when what comes before it is done, and hands its result on', async () => {
    let seen: Facts | undefined;
    const map = async (facts: Facts) => {
      seen = facts;
      return { paid: facts.steps['01']?.result?.from ?? 'nothing' };
    };
    const played = await new Played([planned('01', []), planned('02', ['01'], { map })]).open();
    assert.equal(played.state('02'), 'PENDING');
    await played.deliver('01');
    assert.equal(played.state('01'), 'WAITING_RECEIPT');
    assert.equal(played.record.state, 'HANDLING');
    assert.equal(played.state('02'), 'PENDING', 'a receipt is no result');
    await played.done('01');
    assert.equal(played.state('02'), 'SENT');
    assert.deepEqual(played.envelope('02').body, { paid: '01' });
    assert.equal(seen?.steps['01']?.number, 'N01');
    await played.done('02');
    assert.equal(played.record.decision?.outcome, 'approved');
    assert.equal(played.record.state, 'DECIDED');
    assert.equal(played.told().at(-1), 'case.result@1');
  });

  test('a refusal by a blocking department decides the case with its reason; later steps never start', async () => {
    const played = await new Played([planned('01', []), planned('02', ['01']), planned('03', ['02'])]).open();
    await played.happens(
      played.routing.refused(played.envelope('01'), new Fault('refused', { reason: reason('4711') })),
    );
    assert.deepEqual(played.record.decision, {
      outcome: 'refused',
      by: 'office-01',
      reason: reason('4711'),
      at: clock.now(),
    });
    assert.deepEqual([played.state('01'), played.state('02'), played.state('03')], ['REJECTED', 'SKIPPED', 'SKIPPED']);
    assert.equal(played.outbox.filter(({ to }) => to !== 'window').length, 1);
  });

  test('a branch that is not blocking never undoes the matter', async () => {
    const played = await new Played([
      planned('01', []),
      planned('02', ['01'], { blocking: false }),
      planned('03', ['01'], { blocking: false }),
    ]).open();
    await played.done('01');
    assert.equal(played.record.decision?.outcome, 'approved');
    await played.answer('02', { outcome: 'refused', reason: reason('no') });
    assert.equal(played.record.decision?.outcome, 'approved');
    assert.deepEqual([played.state('02'), played.state('03')], ['REJECTED', 'SENT']);
    assert.equal(played.told().filter((contract) => contract === 'case.result@1').length, 1);
  });

  test('a correction goes to the window and resumes the step, under a new key, when supplied', async () => {
    const played = await new Played([planned('01', [])]).open();
    await played.deliver('01');
    await played.answer('01', { outcome: 'correction', reason: reason('blurred'), asks: ['/form/x'] }, 5);
    assert.equal(played.record.state, 'CORRECTING');
    assert.equal(played.told().at(-1), 'case.correction@1');
    const first = played.envelope('01').id;
    await played.happens(
      played.routing.supplied({ ...played.record.submission, form: { mended: true } }, played.record),
    );
    assert.equal(played.envelope('01').id, `${first}.2`);
    assert.deepEqual([played.record.state, played.state('01')], ['HANDLING', 'SENT']);
    await played.happens(
      played.routing.answered(
        { ...played.envelope('01'), id: first },
        played.says('01', { outcome: 'refused', reason: reason('late') }, 6),
      ),
    );
    assert.equal(played.state('01'), 'SENT', 'a word about the first revision no longer counts');
    await played.done('01');
    assert.equal(played.record.decision?.outcome, 'approved');
    await assert.rejects(played.happens(played.routing.supplied(played.record.submission, played.record)), {
      code: 'notCorrecting',
    });
  });

  test('trap 12: an answer that came before our own receipt stands, and the receipt only adds its number', async () => {
    const played = await new Played([planned('01', [])]).open();
    await played.done('01');
    await played.deliver('01');
    assert.equal(played.state('01'), 'DONE');
    assert.equal(played.record.steps[0]?.number, 'N01');
  });

  test('trap 13: answers out of order never leave a final state, and an older word changes nothing', async () => {
    const played = await new Played([planned('01', [])]).open();
    await played.answer('01', { outcome: 'progress', reason: reason('under review') }, 10);
    await played.answer('01', { outcome: 'correction', reason: reason('old'), asks: [] }, 5);
    assert.equal(played.record.state, 'HANDLING');
    assert.notEqual(played.state('01'), 'CORRECTING');
    await played.done('01');
    await played.answer('01', { outcome: 'refused', reason: reason('late') }, 99);
    assert.equal(played.state('01'), 'DONE');
  });

  test('a message that our own mapping broke is parked with the reason, and rings', async () => {
    const played = await new Played([
      planned('01', [], { map: async () => ({ broken: true }) }),
      planned('02', [], {
        map: async () => {
          throw new Error('no');
        },
      }),
    ]).open();
    assert.equal(played.envelope('01').parked?.reason.code, 'contractBroken');
    assert.equal(played.envelope('02').parked?.reason.code, 'mappingFailed');
    assert.deepEqual([played.state('01'), played.state('02')], ['PARKED', 'PARKED']);
  });

  test('released, what our own mapping had spoilt is mapped again; what is spoilt still is told, and stays', async () => {
    let mends = false;
    const map = async () => (mends ? { no: '01' } : { broken: true });
    const played = await new Played([planned('01', [], { map })]).open();
    const { parked: _, ...envelope } = played.envelope('01');
    const spoilt = viewOf(envelope, { fault: 'malformed', reason: reason('contractBroken') });
    await assert.rejects(played.happens(played.routing.released(spoilt, 'op')), { code: 'stillSpoilt' });
    assert.equal(played.state('01'), 'PARKED');
    mends = true;
    await played.happens(played.routing.released(spoilt, 'op'));
    assert.deepEqual(played.changes.at(-1)?.remade, { id: envelope.id, body: { no: '01' } });
    assert.equal(played.state('01'), 'SENT');
  });

  test('released, what went out before is sent as it is, whatever the mapping would make of it now', async () => {
    const played = await new Played([planned('01', [])]).open();
    const sent = viewOf(played.envelope('01'), { fault: 'malformed', attempts: 1, firstSentAt: 5 });
    // As the version before parks what it has sent: it writes down neither how often nor when first.
    const before = viewOf(played.envelope('01'), { fault: 'malformed', inDoubt: true });
    for (const view of [sent, before]) {
      const fault = new Fault('malformed', { reason: reason('x') });
      await played.happens(played.routing.parked(played.envelope('01'), fault));
      await played.happens(played.routing.released(view, 'op'));
      assert.equal(played.changes.at(-1)?.remade, undefined);
    }
  });

  test('decided against while other steps wait to be sent: they are left out, and those that a department has go on', async () => {
    const played = await new Played([planned('01', []), planned('02', []), planned('03', [])]).open();
    await played.deliver('02');
    await played.answer('01', { outcome: 'refused', reason: reason('no') });
    assert.equal(played.record.decision?.by, 'office-01');
    assert.deepEqual(
      ['01', '02', '03'].map((no) => played.state(no)),
      ['REJECTED', 'WAITING_RECEIPT', 'SKIPPED'],
    );
  });

  test('a message that a person attaches counts as one that was matched, and who did it and why stands in the timeline', async () => {
    const played = await new Played([planned('01', []), planned('02', ['01'])]).open();
    const stray = (about: Message['about']): Message => ({
      ...played.says('01', { outcome: 'done', result: { ok: 'yes' } }),
      about,
    });
    await played.happens(
      played.routing.attached(played.envelope('01'), stray({ number: 'THEIRS' }), 'op', 'telephone'),
    );
    const [step] = played.record.steps;
    assert.deepEqual([step?.state, step?.number, played.state('02')], ['DONE', 'THEIRS', 'SENT']);
    const [attached, answered] = played.changes.at(-1)?.events ?? [];
    assert.deepEqual(
      [attached?.kind, attached?.party, attached?.stepNo, attached?.reason?.zh, attached?.detail],
      [
        'attached',
        'office-01',
        '01',
        '人工归入：telephone',
        { by: 'op', envelope: played.envelope('01').id, outcome: 'done' },
      ],
    );
    assert.equal(answered?.kind, 'answered');
  });

  test('attached under a number that is not the one given: the step keeps its own', async () => {
    const played = await new Played([planned('01', [])]).open();
    await played.happens(played.routing.delivered(played.envelope('01'), { number: 'N1', duplicate: false }));
    const stray = { ...played.says('01', { outcome: 'done', result: {} }), about: { number: 'mistyped' } };
    await played.happens(played.routing.attached(played.envelope('01'), stray, 'op', 'r'));
    assert.deepEqual([played.state('01'), played.record.steps[0]?.number], ['DONE', 'N1']);
  });

  test('attached to what a person had cancelled: kept with the step, and moves nothing', async () => {
    const played = await new Played([planned('01', []), planned('02', ['01'])]).open();
    await played.happens(played.routing.cancelled(viewOf(played.envelope('01'), {}), 'op', 'why'));
    const stray = played.says('01', { outcome: 'done', result: { ok: 'yes' } });
    await played.happens(played.routing.attached(played.envelope('01'), stray, 'op', 'r'));
    assert.equal(played.state('01'), 'REJECTED');
    assert.equal(played.record.steps[0]?.late?.answer?.outcome, 'done');
    assert.deepEqual(
      played.changes.at(-1)?.events.map(({ kind, detail }) => [kind, detail.late ?? false]),
      [
        ['attached', false],
        ['answered', true],
      ],
    );
  });

  test('cancelled by a person is no department’s refusal; found to be there after all, it and the case go on with what was said since', async () => {
    const played = await new Played([planned('01', []), planned('02', ['01'])]).open();
    const view = viewOf(played.envelope('01'), { inDoubt: true });
    await played.happens(played.routing.cancelled(view, 'op', 'why'));
    assert.deepEqual([played.record.decision?.outcome, played.record.decision?.by], ['refused', 'gateway']);
    assert.deepEqual([played.state('01'), played.state('02')], ['REJECTED', 'SKIPPED']);
    await played.answer('01', { outcome: 'done', result: { ok: 'yes' } });
    assert.equal(played.state('01'), 'REJECTED', 'nothing leads back by itself');
    assert.equal(played.record.steps[0]?.late?.answer?.outcome, 'done');
    const there = { number: 'N1', duplicate: false };
    await played.happens(played.routing.settled({ ...view, state: 'cancelled' }, there, 'op', 'found', null));
    assert.equal(played.changes.at(-1)?.reopened, true);
    assert.deepEqual([played.state('01'), played.state('02'), played.record.state], ['DONE', 'SENT', 'HANDLING']);
    assert.equal(played.record.steps[0]?.number, 'N1');
  });

  test('waiting is told once: not at each try, nor when an outage shows itself otherwise; closed hours are another wait', async () => {
    const played = await new Played([planned('01', [])]).open();
    const away = new Fault('unreachable', { reason: reason('connectRefused') });
    const closed = new Fault('busy', { reason: reason('closedHours'), until: 9 });
    const silent = new Fault('inDoubt', { reason: reason('silence') });
    const spared = new Fault('busy', { reason: reason('breakerOpen'), until: 9 });
    for (const fault of [away, silent, spared, away, spared, silent, closed, closed])
      await played.happens(played.routing.postponed(played.envelope('01'), fault, 7));
    assert.equal(played.told().length, 2);
    assert.equal(played.state('01'), 'WAITING');
    for (const fault of [spared, away, new Fault('unauthorized', { reason: reason('keyRefused') })])
      await played.happens(played.routing.postponed(played.envelope('01'), fault, 7));
    assert.equal(played.told().length, 4);
  });

  test('a withdrawn case begins nothing more, and a decided one cannot be withdrawn', async () => {
    const played = await new Played([planned('01', []), planned('02', ['01'])]).open();
    await played.happens(played.routing.withdrawn('app', 'changed my mind'));
    assert.equal(played.record.state, 'WITHDRAWN');
    await played.done('01');
    assert.deepEqual([played.state('01'), played.state('02')], ['SKIPPED', 'SKIPPED']);
    await assert.rejects(played.happens(played.routing.withdrawn('app', 'again')), { code: 'alreadyDecided' });
  });

  test('property: whatever departments say, in whatever order, each step is sent once a revision, after its time, and the case is decided once', async () => {
    const route = fc.integer({ min: 1, max: 6 }).chain((size) =>
      fc.tuple(
        ...Array.from({ length: size }, (_, at) =>
          fc.record({
            after: fc.subarray(Array.from({ length: at }, (_, before) => before)),
            blocking: fc.boolean(),
            when: fc.boolean(),
          }),
        ),
      ),
    );
    const happenings = fc.array(
      fc.tuple(
        fc.nat(5),
        fc.constantFrom(
          'deliver',
          'done',
          'refused',
          'correction',
          'progress',
          'postponed',
          'parked',
          'released',
          'cancelled',
          'supplied',
        ),
      ),
      { maxLength: 40 },
    );
    await fc.assert(
      fc.asyncProperty(route, happenings, async (plan, story) => {
        const no = (at: number) => String(at + 1).padStart(2, '0');
        const steps = plan.map(({ after, blocking, when }, at) =>
          planned(no(at), after.map(no), { blocking, when: async () => when }),
        );
        const played = await new Played(steps).open();
        for (const [at, what] of story) {
          const step = steps[at % steps.length] as RouteStep;
          const envelope = played.outbox.findLast(({ stepNo }) => stepNo === step.no);
          if (envelope === undefined) continue;
          const before = played.state(step.no);
          const fault = new Fault('unreachable', { reason: reason('away') });
          if (what === 'deliver') await played.deliver(step.no);
          else if (what === 'done') await played.done(step.no);
          else if (what === 'refused') await played.answer(step.no, { outcome: 'refused', reason: reason('no') });
          else if (what === 'correction')
            await played.answer(step.no, { outcome: 'correction', reason: reason('mend'), asks: [] });
          else if (what === 'progress') await played.answer(step.no, { outcome: 'progress', reason: reason('on it') });
          else if (what === 'postponed') await played.happens(played.routing.postponed(envelope, fault, 1));
          else if (what === 'parked') await played.happens(played.routing.parked(envelope, fault));
          else if (what === 'released') await played.happens(played.routing.released(viewOf(envelope), 'op'));
          else if (what === 'cancelled') await played.happens(played.routing.cancelled(viewOf(envelope), 'op', 'why'));
          else if (played.record.steps.some(({ state }) => state === 'CORRECTING'))
            await played.happens(played.routing.supplied(played.record.submission, played.record));
          if (before === 'DONE' || before === 'REJECTED' || before === 'SKIPPED')
            assert.equal(played.state(step.no), before);
        }
        const ids = played.outbox.map(({ id }) => id);
        assert.equal(new Set(ids).size, ids.length, 'no key is given twice');
        for (const { stepNo } of played.outbox) {
          const step = steps.find((each) => each.no === stepNo);
          for (const earlier of step?.after ?? []) assert.match(played.state(earlier) ?? '', /DONE|SKIPPED/);
        }
        const results = played.told().filter((contract) => contract === 'case.result@1').length;
        assert.equal(results, played.record.decision === null ? 0 : 1);
        const blocking = played.record.steps.filter((step) => step.blocking);
        if (played.record.decision?.outcome === 'approved')
          assert.ok(blocking.every(({ state }) => state === 'DONE' || state === 'SKIPPED'));
        if (blocking.some(({ state }) => state === 'REJECTED'))
          assert.equal(played.record.decision?.outcome, 'refused');
        if (blocking.every(({ state }) => state === 'DONE' || state === 'SKIPPED'))
          assert.ok(played.record.decision !== null);
      }),
      { numRuns: 300 },
    );
  });
});

/** A waiting envelope as a person sees it. */
function viewOf(envelope: Envelope, more: Partial<EnvelopeView> = {}): EnvelopeView {
  return {
    envelope,
    state: 'parked',
    attempts: 0,
    notBefore: 0,
    inDoubt: false,
    firstSentAt: null,
    fault: null,
    reason: null,
    number: null,
    updatedAt: 0,
    ...more,
  };
}
