import type { Accept, Adapter, Call, RawReply, RawRequest } from '../../contracts/ports/adapter.ts';
import type { Answer, Envelope, JsonObject, Message, Receipt } from '../../contracts/ports/envelope.ts';
import { Fault, type FaultDetail, type FaultKind } from '../../contracts/ports/fault.ts';
import type { Mood } from '../../contracts/ports/simulator.ts';
import type { AwaitedAnswer } from '../../contracts/ports/store.ts';
import { words } from './party.ts';

const fault = (kind: FaultKind, code: string, more: Partial<FaultDetail> = {}) =>
  new Fault(kind, { reason: { code, zh: `${code}（原话）`, en: `${code} in their words` }, ...more });

/** An office with a book, that is moody at our request. What it says about an envelope in `answer` it says at once; otherwise when it is asked. */
export class TeaOffice {
  mood: Mood | 'shut' | 'buggy' | 'hung' = 'well';
  /** For so many deliveries more, then it is well. */
  moodFor = Number.POSITIVE_INFINITY;
  /** `refuses`: not the envelope but the question about it. */
  inquiry: 'well' | 'absent' | 'refuses' = 'well';
  answer: Answer | undefined;
  /** What it was asked, in order: `deliver <envelope>`, `inquire <envelope>`, `collect <envelope>`. */
  readonly asked: string[] = [];
  /** Each effect, by the key under which it was taken. */
  readonly book: string[] = [];
  atOnce = 0;
  most = 0;
  /** Given to `deliver` before it answers. */
  work: () => Promise<void> = async () => {};
  busyUntil: number | undefined;

  adapter(able: { readonly inquire?: boolean; readonly collect?: boolean } = {}): Adapter {
    const { inquire = true, collect = true } = able;
    return {
      deliver: (envelope, call) => this.#counted(() => this.#deliver(envelope, call)),
      ...(inquire
        ? { inquire: (envelope: Envelope, call: Call) => this.#counted(() => this.#inquire(envelope, call)) }
        : {}),
      ...(collect
        ? {
            collect: (awaited: readonly AwaitedAnswer[], accept: Accept, call: Call) =>
              this.#counted(() => this.#collect(awaited, accept, call)),
          }
        : {}),
      query: async (name, body, { signal }) => {
        await this.#mood(signal);
        return this.#reply(name, body);
      },
      callback: (request, inbox) => this.#callback(request, inbox.accept),
      probe: async () => {},
      close: async () => {
        this.asked.push('close');
      },
    };
  }

  /** What it says later about an envelope it has. */
  says(envelope: string, answer: Answer, dedupe = envelope): Message {
    return { from: 'tea-office', about: { key: envelope }, dedupe, at: 5, answer };
  }

  async #counted<T>(run: () => Promise<T>): Promise<T> {
    this.most = Math.max(this.most, ++this.atOnce);
    try {
      return await run();
    } finally {
      this.atOnce -= 1;
    }
  }

  async #deliver({ id }: Envelope, { signal }: Call): Promise<Receipt> {
    this.asked.push(`deliver ${id}`);
    await this.work();
    const mood = this.mood;
    if (--this.moodFor <= 0) this.mood = 'well';
    if (mood === 'forgetful') {
      this.book.push(id);
      throw fault('inDoubt', 'hungUp');
    }
    await this.#mood(signal, mood);
    this.book.push(id);
    return this.#receipt(id);
  }

  async #inquire({ id }: Envelope, { signal }: Call): Promise<Receipt | 'neverArrived'> {
    this.asked.push(`inquire ${id}`);
    if (this.inquiry === 'absent') throw fault('unreachable', 'noRoute');
    if (this.inquiry === 'refuses') throw fault('refused', 'noQuestions');
    await this.#mood(signal);
    return this.book.includes(id) ? this.#receipt(id) : 'neverArrived';
  }

  async #collect(awaited: readonly AwaitedAnswer[], accept: Accept, { signal }: Call): Promise<void> {
    for (const { envelope } of awaited) {
      this.asked.push(`collect ${envelope.id}`);
      await this.#mood(signal);
      if (this.answer !== undefined) await accept(this.says(envelope.id, this.answer));
    }
  }

  async #callback({ body }: RawRequest, accept: Accept): Promise<RawReply> {
    const say = (status: number, text: string) => ({ status, headers: {}, body: Buffer.from(text) });
    const { envelope, ...answer } = JSON.parse(Buffer.from(body).toString()) as Answer & { envelope: string };
    if (envelope === 'hang') await new Promise<never>(() => {});
    if (envelope === 'bug') throw new TypeError('x is not a function');
    try {
      return say(200, await accept(this.says(envelope, answer)));
    } catch (error) {
      return say(400, `not taken: ${Fault.from(error).reason.code}`);
    }
  }

  #receipt(id: string): Receipt {
    const { answer } = this;
    return { number: `TEA-${id}`, duplicate: false, ...(answer === undefined ? {} : { answer }) };
  }

  #reply(name: string, body: JsonObject): JsonObject {
    return name === 'garden' ? { tea: body.no ?? null } : {};
  }

  async #mood(signal: AbortSignal, mood = this.mood): Promise<void> {
    switch (mood) {
      case 'well':
      case 'forgetful':
        return;
      case 'refuses':
        throw fault('refused', 'R07');
      case 'busy':
        throw fault('busy', 'B01', this.busyUntil === undefined ? {} : { until: this.busyUntil });
      case 'absent':
        throw fault('unreachable', 'connectRefused');
      case 'garbled':
        throw fault('malformed', 'unreadable', { maybeArrived: true });
      case 'shut':
        throw fault('unauthorized', 'keyRefused');
      case 'buggy':
        throw new TypeError('x is not a function');
      case 'hung':
        return new Promise<never>(() => {});
      case 'deaf':
        return new Promise<never>((_, reject) => {
          const letGo = () => reject(fault('inDoubt', 'noAnswer'));
          if (signal.aborted) letGo();
          else signal.addEventListener('abort', letGo);
        });
    }
  }
}

const text = { type: 'string' };
const contract = (name: string, field: string) => ({
  name,
  title: words(name),
  schema: {
    type: 'object',
    required: [field],
    additionalProperties: false,
    properties: { [field]: text },
  },
});

/** The office's contracts. */
export const TEA_CONTRACTS = [
  contract('tea-office.work@1', 'no'),
  contract('tea-office.work.result@1', 'leaf'),
  contract('tea-office.garden@1', 'no'),
  contract('tea-office.garden.reply@1', 'tea'),
];
