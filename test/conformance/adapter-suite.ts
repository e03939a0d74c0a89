import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { loadCertificateTypes } from '../../config/certificates.ts';
import type { Accept, Call, Connected, PartyFolder, RawReply, RawRequest } from '../../contracts/ports/adapter.ts';
import type { Certificate, CertificateClaim, CertificateQuery } from '../../contracts/ports/certificate.ts';
import { wallClock } from '../../contracts/ports/clock.ts';
import { type Contracts, Unfit } from '../../contracts/ports/contract.ts';
import type { Envelope, Json, JsonObject, Message } from '../../contracts/ports/envelope.ts';
import { Fault, type FaultKind } from '../../contracts/ports/fault.ts';
import type { LogFields, Logger } from '../../contracts/ports/logger.ts';
import type { MakeSimulator, Mood, Simulator } from '../../contracts/ports/simulator.ts';

/** The one right fault of each mood. */
const RIGHT = {
  refuses: 'refused',
  busy: 'busy',
  absent: 'unreachable',
  deaf: 'inDoubt',
  forgetful: 'inDoubt',
  garbled: 'malformed',
} as const satisfies Record<Exclude<Mood, 'well'>, FaultKind>;
/** Short, so that silence is soon over; everything else as the manifest says. */
const TERMS = { deadlineMs: 2_000, connectMs: 1_900, closed: [], quota: null };
const DEADLINE_MS = 300;
/** The identity number of nobody in the samples. */
const STRANGER = '331124196507070034';
/** For what does come to an answer, on a machine however busy. */
const AMPLE_MS = 30_000;
const NASTY = ['王㙓', '陈𠮷', '阿依努尔·样例', '张]]>样例', '<&">', '"样\\例"', '0012'];

/** What every party's adapter must hold, over its simulator's real socket, in every mood. */
const types = await loadCertificateTypes();
const nothingChanged = async (): Promise<void> => assert.fail('no certificate changed');

export function adapterSuite(folder: PartyFolder, make: MakeSimulator, home: string, contracts: Contracts): void {
  describe(`the adapter of ${folder.party}`, () => {
    const lines: string[] = [];
    let simulator: Simulator;
    let live: Connected;
    let settings: JsonObject;
    let serial = 0;
    /** How long a call may take, ms, where nothing else is said. */
    let patience = AMPLE_MS;

    before(async () => {
      simulator = make();
      settings = (await simulator.start({ port: 0, decideAfterMs: 20 })).settings as JsonObject;
      live = folder.connect({ ...settings, terms: TERMS }, { clock: wallClock, log: recorder(lines) });
    });
    after(async () => {
      await live.adapter.close();
      await simulator.stop();
    });

    const within = (ms = patience, more: Partial<Call> = {}): Call & { done(): void } => {
      const own = new AbortController();
      const timer = setTimeout(() => own.abort(), ms);
      return {
        signal: own.signal,
        attempt: 1,
        log: recorder(lines),
        traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
        ...more,
        done: () => clearTimeout(timer),
      };
    };
    async function called<T>(run: (call: Call) => Promise<T>, ms?: number, more?: Partial<Call>): Promise<T> {
      const call = within(ms, more);
      try {
        return await run(call);
      } finally {
        call.done();
      }
    }
    const sample = (kind: string, name: string): JsonObject => {
      const file = path.join(home, 'samples', kind, `${name}.json`);
      assert.ok(
        existsSync(file),
        `${folder.party}/samples/${kind}/${name}.json is missing: the suite needs a sample of everything the manifest offers`,
      );
      return JSON.parse(readFileSync(file, 'utf8')) as JsonObject;
    };
    const envelope = (contract: string): Envelope => {
      serial += 1;
      const caseNo = `331124261123${String(serial).padStart(6, '0')}`;
      return {
        id: `${caseNo}-01`,
        caseNo,
        stepNo: '01',
        to: folder.party,
        contract,
        body: sample('envelopes', contract),
        traceparent: '',
        createdAt: Date.now(),
      };
    };
    const entries = (key: string) => simulator.filed().filter((filing) => filing.key === key);
    const faultOf = async (run: () => Promise<unknown>): Promise<Fault> => {
      try {
        await run();
      } catch (error) {
        assert.ok(error instanceof Fault, `only faults are thrown on purpose, this was ${String(error)}`);
        // Whoever gets it logs it, with its causes.
        for (let told: unknown = error; told instanceof Error; told = told.cause) lines.push(told.stack ?? '');
        return error;
      }
      return assert.fail('it should have failed');
    };
    const inMood = async (mood: Mood, run: () => Promise<void>): Promise<void> => {
      await simulator.mood(mood);
      // Only silence has no end of its own.
      patience = mood === 'deaf' ? DEADLINE_MS : AMPLE_MS;
      try {
        await run();
      } finally {
        patience = AMPLE_MS;
        await simulator.mood('well');
      }
    };
    /** What stands in a sample about people must not stand in a reason or a log line. */
    function personal(body: unknown): string[] {
      const found: string[] = [];
      JSON.stringify(body, (key, value: unknown) => {
        if (typeof value === 'string' && /^(name|idNo|mobile|holder|accountNo)$/.test(key)) found.push(value);
        return value;
      });
      return found;
    }
    function tellsNobody(fault: Fault, body: unknown): void {
      const said = `${fault.message} ${fault.reason.code} ${fault.reason.zh} ${fault.reason.en}`;
      for (const value of personal(body))
        assert.ok(!said.includes(value), `a fault names a person: ${fault.reason.code}`);
    }

    const facts = () => live.facts;

    test('answers its probe; in the moods that a question can meet, with their fault', async () => {
      await called((call) => live.adapter.probe(call), AMPLE_MS);
      for (const mood of ['busy', 'absent', 'deaf', 'garbled'] as const) {
        await inMood(mood, async () => {
          const fault = await faultOf(() => called((call) => live.adapter.probe(call)));
          assert.equal(fault.kind, asked(RIGHT[mood]), `${mood}: ${fault.message}`);
        });
      }
    });

    test('its settings: what it needs and what it does not know are told by their place', () => {
      const means = { clock: wallClock, log: recorder(lines) };
      const problems = (settings: JsonObject): readonly string[] => {
        try {
          void folder.connect(settings, means).adapter.close();
        } catch (error) {
          assert.ok(error instanceof Unfit, String(error));
          return error.problems.map(({ pointer }) => pointer);
        }
        return [];
      };
      assert.deepEqual(problems(settings), []);
      const needed = Object.keys(settings).filter((name) => problems(without(settings, name)).includes(`/${name}`));
      assert.ok(needed.length > 0, 'nobody can be reached without a setting');
      assert.deepEqual(problems({}).toSorted(), needed.map((name) => `/${name}`).toSorted());
      assert.deepEqual(problems({ ...settings, colour: 'red' }), ['/colour']);
      assert.deepEqual(problems({ ...settings, terms: { deadlineMs: 'soon' } }), ['/terms/deadlineMs']);
    });

    test('every sample keeps its contract', () => {
      for (const { contract } of facts().delivers)
        assert.deepEqual(contracts.problems(contract, sample('envelopes', contract)), [], contract);
      for (const { name, request } of facts().queries)
        assert.deepEqual(contracts.problems(request, sample('queries', name)), [], name);
    });

    test('well: delivers, and answers within the contract of its result; the book has the key once', async () => {
      for (const { contract, result, replies } of facts().delivers) {
        const one = envelope(contract);
        const receipt = await called((call) => live.adapter.deliver(one, call), AMPLE_MS);
        const [entry, ...more] = entries(one.id);
        assert.ok(entry !== undefined && more.length === 0, `${contract}: ${more.length + 1} entries under ${one.id}`);
        assert.equal(receipt.duplicate, false);
        assert.equal(receipt.number, entry.number, `${contract}: the receipt has the number of the book`);
        if (replies !== 'atOnce') continue;
        assert.equal(receipt.answer?.outcome, 'done', contract);
        if (receipt.answer?.outcome === 'done' && result !== null)
          assert.deepEqual(contracts.problems(result, receipt.answer.result), [], contract);
      }
    });

    test('what it does not take stays here, and says whose mistake that is', async () => {
      const contract = 'nobody.nothing@1';
      const nothing: Envelope = {
        id: '331124261123999999-01',
        caseNo: '331124261123999999',
        stepNo: '01',
        to: folder.party,
        contract,
        body: {},
        traceparent: '',
        createdAt: 0,
      };
      const fault = await faultOf(() => called((call) => live.adapter.deliver(nothing, call)));
      assert.deepEqual(
        [fault.kind, fault.ours, fault.maybeArrived, fault.reason.code],
        ['malformed', true, false, 'notOffered'],
      );
      assert.deepEqual(entries(nothing.id), []);
    });

    test('the same envelope twice: success both times, one entry in the book, the same number', async () => {
      for (const { contract, replies } of facts().delivers) {
        const one = envelope(contract);
        const first = await called((call) => live.adapter.deliver(one, call), AMPLE_MS);
        const second = await called((call) => live.adapter.deliver(one, call), AMPLE_MS, {
          attempt: 2,
          sentBefore: true,
        });
        assert.equal(entries(one.id).length, 1, contract);
        assert.equal(second.number, first.number, contract);
        if (replies === 'atOnce') assert.deepEqual(second.answer, first.answer, contract);
      }
    });

    test('another case’s record under the same key is not adopted, whether it is found by sending or by asking after doubt', async () => {
      for (const { contract } of facts().delivers) {
        for (const [what, other] of strangers(sample('envelopes', contract))) {
          const theirs = { ...envelope(contract), body: other };
          await called((call) => live.adapter.deliver(theirs, call), 1_000);
          // Numbers have begun again: the same key, for a case of which they know nothing.
          const ours = { ...theirs, body: sample('envelopes', contract) };
          const sending = called((call) => live.adapter.deliver(ours, call), 1_000, { attempt: 1, sentBefore: false });
          const [sent] = await Promise.allSettled([sending]);
          const where = `${contract}, another ${what}`;
          if (sent.status === 'fulfilled') {
            // Who overwrites has ours now; who answers "duplicate" has not.
            assert.ok(facts().terms.idempotent && !sent.value.duplicate, `${where}: it was adopted`);
          } else {
            const fault = Fault.from(sent.reason);
            assert.equal(fault.kind, 'malformed', `${where}: ${fault.message}`);
            assert.ok(['otherRecord', 'duplicateUnproved'].includes(fault.reason.code), `${where}: ${fault.message}`);
            tellsNobody(fault, [ours.body, other]);
          }
          if (live.adapter.inquire === undefined) continue;
          const fault = await faultOf(() => called(async (call) => live.adapter.inquire?.(ours, call), 1_000));
          assert.deepEqual(
            [fault.kind, fault.reason.code, fault.maybeArrived],
            ['malformed', 'otherRecord', true],
            where,
          );
          tellsNobody(fault, [ours.body, other]);
          // And their own case is still adopted.
          const known = await called(async (call) => live.adapter.inquire?.(theirs, call), 1_000);
          assert.ok(known !== undefined && known !== 'neverArrived', where);
          const again = { attempt: 1, sentBefore: false };
          const own = await called((call) => live.adapter.deliver(theirs, call), 1_000, again);
          assert.deepEqual([own.duplicate, own.number], [true, known.number], where);
        }
      }
    });

    test('nasty names: each arrives whole, or is refused before a byte goes out; none is changed', async () => {
      for (const { contract } of facts().delivers) {
        if (people(sample('envelopes', contract)).length === 0) continue;
        for (const name of NASTY) {
          const one = envelope(contract);
          for (const person of people(one.body)) person.name = name;
          const [outcome] = await Promise.allSettled([called((call) => live.adapter.deliver(one, call), AMPLE_MS)]);
          const [entry] = entries(one.id);
          if (outcome.status === 'rejected') {
            const fault = Fault.from(outcome.reason);
            assert.ok(['unencodable', 'fieldTooLong'].includes(fault.reason.code), `${contract}: ${fault.message}`);
            assert.deepEqual([fault.ours, fault.maybeArrived, entry], [true, false, undefined], contract);
            assert.ok(!fault.message.includes(name));
          } else assert.ok(holdsText(entry?.content ?? null, name), `${contract}: ${name} is not in the book`);
        }
      }
    });

    for (const [mood, kind] of Object.entries(RIGHT) as [keyof typeof RIGHT, FaultKind][]) {
      test(`${mood}: a delivery is ${kind}, and the book says what inquiry says`, async () => {
        for (const { contract } of facts().delivers) {
          const one = envelope(contract);
          await inMood(mood, async () => {
            const fault = await faultOf(() => called((call) => live.adapter.deliver(one, call)));
            // Silence before the write was sent (a validate call, a log-in) leaves no doubt, and the fault says so.
            const certain = mood === 'deaf' && fault.kind === 'unreachable' && fault.reason.code === 'silence';
            if (!certain) assert.equal(fault.kind, kind, `${contract}: ${fault.message}`);
            tellsNobody(fault, one.body);
          });
          assert.equal(entries(one.id).length, mood === 'forgetful' ? 1 : 0, contract);
          if (live.adapter.inquire === undefined) {
            assert.ok(facts().terms.idempotent, 'who cannot be asked must honour the key');
            continue;
          }
          const known = await called(async (call) => live.adapter.inquire?.(one, call), AMPLE_MS);
          if (mood !== 'forgetful') assert.equal(known, 'neverArrived', contract);
          else
            assert.equal(
              known !== undefined && known !== 'neverArrived' ? known.number : undefined,
              entries(one.id)[0]?.number,
              contract,
            );
        }
      });
    }

    test('questions: well within the contract; in every other mood never in doubt, for a question has no effect', async () => {
      for (const { name, reply } of facts().queries) {
        const body = sample('queries', name);
        const answer = await called(async (call) => live.adapter.query?.(name, body, call), AMPLE_MS);
        assert.deepEqual(contracts.problems(reply, answer ?? null), [], name);
        for (const [mood, kind] of Object.entries(RIGHT) as [keyof typeof RIGHT, FaultKind][]) {
          if (mood === 'forgetful') continue;
          await inMood(mood, async () => {
            const fault = await faultOf(() => called(async (call) => live.adapter.query?.(name, body, call)));
            assert.equal(fault.kind, asked(kind), `${name} when ${mood}: ${fault.message}`);
            tellsNobody(fault, body);
          });
        }
      }
    });

    test('certificates: found with their holder; could not search is a fault, never an empty list', async () => {
      for (const type of facts().certificates) {
        const query = sample('certificates', type) as unknown as CertificateQuery;
        // What only comes into being by a filing is filed first.
        for (const { contract } of facts().delivers)
          await called((call) => live.adapter.deliver(envelope(contract), call), AMPLE_MS);
        let found: readonly Certificate[] = [];
        // An office that decides later has it a little later.
        for (const end = Date.now() + AMPLE_MS; found.length === 0 && Date.now() < end; )
          found = (await called(async (call) => live.adapter.certificates?.(query, call), AMPLE_MS)) ?? [];
        assert.ok(found.length > 0, `${type}: none found`);
        for (const certificate of found) {
          assert.equal(certificate.type, type);
          assert.equal(certificate.holder.idNo, query.holder.idNo);
          assert.match(certificate.state, /^0[1-7]$|^99$/);
          const known = Object.keys(types.get(type)?.fields ?? {});
          assert.ok(known.length > 0, `${type} stands in config/certificates.json`);
          for (const name of Object.keys(certificate.fields))
            assert.ok(known.includes(name), `${type}: the field ${name} is not one of ${known.join(', ')}`);
        }
        // Who hangs up after a filing files nothing here: an answer, or none.
        await inMood('forgetful', async () => {
          const asking = called(async (call) => live.adapter.certificates?.(query, call), AMPLE_MS);
          const [answer] = await Promise.allSettled([asking]);
          if (answer.status === 'fulfilled')
            assert.deepEqual(new Set(answer.value?.map(holderOf)), new Set(found.map(holderOf)));
          else assert.equal(Fault.from(answer.reason).kind, 'unreachable', String(answer.reason));
        });
        for (const mood of ['refuses', 'busy', 'absent', 'deaf', 'garbled'] as const) {
          await inMood(mood, async () => {
            const fault = await faultOf(() => called(async (call) => live.adapter.certificates?.(query, call)));
            assert.equal(fault.kind, asked(RIGHT[mood]), `${type} when ${mood}: ${fault.message}`);
            tellsNobody(fault, query);
          });
        }
      }
    });

    test('documents: the file its certificate speaks of, whole; what comes instead of it is a fault', async () => {
      for (const type of facts().documents) {
        const query = sample('certificates', type) as unknown as CertificateQuery;
        const found = (await called(async (call) => live.adapter.certificates?.(query, call), AMPLE_MS)) ?? [];
        const certificate = found.find(({ file }) => file !== undefined);
        if (certificate?.file === undefined) assert.fail(`${type}: no certificate with a file`);
        const { mediaType, digest } = certificate.file;
        const fetched = async (call: Call): Promise<Buffer> => {
          const document = await live.adapter.document?.(certificate, query, call);
          assert.equal(document?.mediaType, mediaType);
          const chunks: Uint8Array[] = [];
          for await (const chunk of document?.bytes ?? []) chunks.push(chunk);
          return Buffer.concat(chunks);
        };
        const bytes = await called(fetched, 2_000);
        const [algorithm = '', hex] = (digest ?? '').split(':');
        if (digest !== null) assert.equal(createHash(algorithm).update(bytes).digest('hex'), hex, `${type}: digest`);
        assert.match(bytes.subarray(0, 5).toString('latin1'), mediaType === 'application/pdf' ? /^%PDF-/ : /^PK/);
        // One that comes by itself breaks off; one that stands in a reply is answered.
        await inMood('forgetful', async () => {
          const [broken] = await Promise.allSettled([called(fetched, AMPLE_MS)]);
          if (broken.status === 'fulfilled') assert.deepEqual(broken.value, bytes);
          else assert.equal(Fault.from(broken.reason).kind, 'unreachable', String(broken.reason));
        });
        for (const mood of ['refuses', 'busy', 'absent', 'deaf', 'garbled'] as const) {
          await inMood(mood, async () => {
            const fault = await faultOf(() => called(fetched));
            assert.equal(fault.kind, asked(RIGHT[mood]), `document of ${type} when ${mood}: ${fault.message}`);
            tellsNobody(fault, query);
          });
        }
      }
    });

    test('verification: what it holds is valid, what it has never seen is unknown; could not look is a fault', async () => {
      if (!facts().verifies) return;
      for (const type of facts().certificates) {
        const query = sample('certificates', type) as unknown as CertificateQuery;
        const [held] = (await called(async (call) => live.adapter.certificates?.(query, call), AMPLE_MS)) ?? [];
        const claims: CertificateClaim[] = [
          ...(held?.identifier == null ? [] : [{ identifier: held.identifier }]),
          ...(held?.number == null ? [] : [{ type, number: held.number }]),
        ];
        const verdicts = await Promise.all(
          claims.map((claim) => called(async (call) => (await live.adapter.verify?.(claim, call))?.verdict, AMPLE_MS)),
        );
        const right = held?.state === '01' ? 'valid' : 'invalid';
        // Some know a certificate by its identifier only, some by its number only: by one of them, and by neither wrongly.
        const said = new Set(verdicts.filter((verdict) => verdict !== 'unknown'));
        assert.deepEqual(said, new Set([right]), `${type} in state ${held?.state}: ${verdicts.join()}`);
        const strange = { type, number: 'XX-000000' };
        const unknown = await called(async (call) => live.adapter.verify?.(strange, call), AMPLE_MS);
        assert.deepEqual(unknown, { verdict: 'unknown', state: null });
        await inMood('forgetful', async () => {
          const [answer] = await Promise.allSettled([
            called(async (call) => live.adapter.verify?.(strange, call), AMPLE_MS),
          ]);
          if (answer.status === 'fulfilled') assert.deepEqual(answer.value, unknown);
          else assert.equal(Fault.from(answer.reason).kind, 'unreachable', String(answer.reason));
        });
        for (const mood of ['refuses', 'busy', 'absent', 'deaf', 'garbled'] as const) {
          await inMood(mood, async () => {
            const fault = await faultOf(() => called(async (call) => live.adapter.verify?.(strange, call)));
            assert.equal(fault.kind, asked(RIGHT[mood]), `verification when ${mood}: ${fault.message}`);
          });
        }
      }
    });

    test('later answers: asked for when due, given once decided, under the key they were filed under', async () => {
      for (const { contract, result, replies } of facts().delivers) {
        if (replies !== 'later' || live.adapter.collect === undefined) continue;
        const one = envelope(contract);
        const { number } = await called((call) => live.adapter.deliver(one, call), AMPLE_MS);
        const messages: Message[] = [];
        const end = Date.now() + AMPLE_MS;
        while (messages.length === 0 && Date.now() < end) {
          const ask = (call: Call) =>
            live.adapter.collect?.(
              [{ envelope: one, number, deliveredAt: Date.now() }],
              async (message) => {
                messages.push(message);
                return 'applied';
              },
              call,
            ) ?? Promise.resolve();
          await called(ask, AMPLE_MS);
        }
        const [message] = messages;
        assert.ok(message, `${contract}: no answer came`);
        assert.deepEqual(message.about, { key: one.id });
        assert.equal(message.answer.outcome, 'done');
        if (message.answer.outcome === 'done' && result !== null)
          assert.deepEqual(contracts.problems(result, message.answer.result), []);
      }
    });

    test('pushes: kept, then answered as taken; what is changed, unsigned or nonsense is neither; twice is one message', async () => {
      if (live.adapter.callback === undefined) return;
      const taken: Message[] = [];
      const came: RawRequest[] = [];
      const accept = async (message: Message) => {
        taken.push(message);
        return 'applied' as const;
      };
      const give = (request: RawRequest, to: Accept = accept) =>
        called(
          async (call) =>
            (await live.adapter.callback?.(request, { accept: to, changed: nothingChanged }, call)) ??
            assert.fail('no callback'),
          AMPLE_MS,
        );
      const gate = await pushGate(async (request) => {
        const reply = await give(request);
        came.push(request);
        return reply;
      });
      const pushing = make();
      const { settings: own } = await pushing.start({ port: 0, decideAfterMs: 10, gateway: gate.url });
      const pushed = folder.connect(
        { ...(own as JsonObject), terms: TERMS },
        { clock: wallClock, log: recorder(lines) },
      );
      try {
        const later =
          facts().delivers.find(({ replies }) => replies === 'later') ?? assert.fail('who pushes, replies later');
        const one = envelope(later.contract);
        const receipt = await called((call) => pushed.adapter.deliver(one, call), AMPLE_MS);
        const end = Date.now() + AMPLE_MS;
        while (came.length === 0 && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 10));
        const [request] = came;
        const [message] = taken;
        assert.ok(request !== undefined && message !== undefined, 'no push came');
        const about = 'key' in message.about ? message.about.key === one.id : message.about.number === receipt.number;
        assert.ok(about, 'it is about the envelope');
        assert.equal(message.answer.outcome, 'done');
        if (message.answer.outcome === 'done' && later.result !== null)
          assert.deepEqual(contracts.problems(later.result, message.answer.result), []);
        const right = await give(request);
        assert.equal(taken.at(-1)?.dedupe, message.dedupe, 'twice is one message');

        const before = taken.length;
        const bodies = [
          Buffer.concat([request.body, Buffer.from(' ')]),
          request.body.subarray(0, -1),
          Buffer.alloc(0),
          Buffer.from('<a>'),
          Buffer.from([0xff, 0xfe, 0x00]),
          Buffer.from('[]'),
        ];
        const wrong: RawRequest[] = [{ ...request, headers: {} }, ...bodies.map((body) => ({ ...request, body }))];
        for (const each of wrong) assert.notDeepEqual(saidBy(await give(each)), saidBy(right));
        assert.equal(taken.length, before, 'nothing of it was kept');

        const busy = new Fault('busy', { reason: { code: 'notKept', zh: '-', en: '-' } });
        assert.notDeepEqual(saidBy(await give(request, () => Promise.reject(busy))), saidBy(right));
      } finally {
        await pushed.adapter.close();
        await pushing.stop();
        await gate.close();
      }
    });

    test('an aborted call lets go at once', async () => {
      const [first] = facts().delivers;
      if (first === undefined) return;
      await inMood('deaf', async () => {
        const started = performance.now();
        await faultOf(() => called((call) => live.adapter.deliver(envelope(first.contract), call), 100));
        assert.ok(performance.now() - started < AMPLE_MS);
      });
    });

    test('eight calls while the session ends: all succeed, one filing each', async () => {
      const [first] = facts().delivers;
      const [type] = facts().certificates;
      const lever = ['rotateSecret', 'stealToken', 'expireToken', 'endSignIn'];
      // A log-in that began while nobody answered may still be under way.
      await called((call) => live.adapter.probe(call)).catch(() => {});
      for (const name of lever) await simulator.pull?.(name, null).catch(() => {});
      if (first === undefined) {
        assert.ok(type !== undefined, 'who takes nothing is asked for certificates');
        const query = sample('certificates', type) as unknown as CertificateQuery;
        const found = await Promise.all(
          Array.from({ length: 8 }, () => called(async (call) => live.adapter.certificates?.(query, call), AMPLE_MS)),
        );
        for (const each of found) assert.equal(each?.length, 1);
        return;
      }
      const eight = Array.from({ length: 8 }, () => envelope(first.contract));
      const receipts = await Promise.all(
        eight.map((one) => called((call) => live.adapter.deliver(one, call), AMPLE_MS)),
      );
      assert.equal(receipts.length, 8);
      for (const one of eight) assert.equal(entries(one.id).length, 1);
    });

    test('no person and no secret stands in its log, nor in its faults', () => {
      const bodies = ['envelopes', 'queries', 'certificates'].flatMap((kind) => {
        const names = existsSync(path.join(home, 'samples', kind)) ? readdirSync(path.join(home, 'samples', kind)) : [];
        return names.map((name) => sample(kind, name.slice(0, -'.json'.length)));
      });
      const people = bodies.flatMap(personal);
      const secrets = Object.entries(settings).flatMap(([name, value]) =>
        typeof value === 'string' && /secret|key|token|password/i.test(name) ? [value] : [],
      );
      const values = [...people, ...secrets];
      assert.ok(values.length > 0 && lines.length > 0, 'nothing was looked at');
      for (const value of values)
        for (const line of lines)
          assert.ok(!line.includes(value), 'a log line or a fault names a person, or holds a secret');
    });
  });
}

const holderOf = ({ holder: { idNo } }: Certificate): string => idNo;

/** A question has no effect to be in doubt about. */
const asked = (kind: FaultKind): FaultKind => (kind === 'inDoubt' ? 'unreachable' : kind);

function without(settings: JsonObject, name: string): JsonObject {
  const { [name]: _, ...rest } = settings;
  return rest;
}

/** The same filing for other people, and over another amount: what another case would have under the same number. */
function strangers(body: JsonObject): readonly (readonly [string, JsonObject])[] {
  const changed = (change: (name: string, value: string) => string): JsonObject =>
    JSON.parse(
      JSON.stringify(body, (name, value: unknown) => (typeof value === 'string' ? change(name, value) : value)),
    ) as JsonObject;
  const variants = [
    ['person', changed((name, value) => (name === 'idNo' ? STRANGER : value))],
    ['application', changed((name, value) => (name === 'applicationNo' ? 'YC-OTHER' : value))],
    ['amount', changed((name, value) => (/^(price|base)$/.test(name) ? '860000.00' : value))],
  ] as const;
  return variants.filter(([, variant]) => JSON.stringify(variant) !== JSON.stringify(body));
}

/** Everybody in a body: what has a name and a number to it. */
function people(value: Json): JsonObject[] {
  if (Array.isArray(value)) return value.flatMap(people);
  if (value === null || typeof value !== 'object') return [];
  const inner = Object.values(value).flatMap(people);
  return typeof value.name === 'string' && 'idNo' in value ? [value, ...inner] : inner;
}

/** Whether a text stands somewhere in a book's entry, also inside a message inside a message. */
function holdsText(content: Json, text: string): boolean {
  const within = [text, JSON.stringify(text).slice(1, -1)];
  if (typeof content === 'string') return within.some((each) => content.includes(each));
  if (content === null || typeof content !== 'object') return false;
  return Object.values(content).some((inner) => holdsText(inner, text));
}

const saidBy = ({ status, body }: RawReply) => [status, Buffer.from(body).toString()];

/** Where the gateway takes callbacks: bytes in, bytes out. */
async function pushGate(take: (request: RawRequest) => Promise<RawReply>) {
  const server = createServer(async (incoming, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const { method = '', url = '', headers } = incoming;
    const plain = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
    const reply = await take({ method, path: url, query: {}, headers: plain, body: Buffer.concat(chunks) });
    response.writeHead(reply.status, { ...reply.headers }).end(reply.body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function recorder(lines: string[]): Logger {
  const at = (message: string, fields: LogFields = {}) =>
    void lines.push(
      `${message} ${JSON.stringify(fields, (_key, value: unknown) => (value instanceof Error ? `${value.message} ${value.stack}` : value))}`,
    );
  return { debug: at, info: at, warn: at, error: at, with: () => recorder(lines) };
}
