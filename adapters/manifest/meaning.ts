import type { Mapping, MappingFunctions } from '../../contracts/mapping.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { Answer, Json, Reason, Words } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import { textsAt } from './answers.ts';
import type { Input, Outcome } from './call.ts';
import { impersonal } from './personal.ts';

/** What a sequence of calls came to: its last outcome, and what a result mapping sees. */
export interface Done extends Outcome {
  /** Whether the call that came to this was a write. */
  readonly write: boolean;
  readonly input: Input & { readonly reply: Json };
  /** What its result mappings may call. */
  readonly functions: MappingFunctions;
}

/** For a party that says "busy" and not until when. */
const BUSY_MS = 60_000;
/** Characters of a party's sentence; more is no sentence. */
const LONGEST = 500;

/** What a party's outcome stands for in our words: a fault, a reason, an answer. */
export class Meanings {
  readonly #title: Words;
  readonly #clock: Clock;

  constructor(title: Words, { clock }: { readonly clock: Clock }) {
    this.#title = title;
    this.#clock = clock;
  }

  /** The party's own code and sentence, for the telephone, without the people in it; ours where it gives none. */
  reason({ rule, reply, input }: Pick<Done, 'rule' | 'reply' | 'input'>, code: string, zh: string, en: string): Reason {
    const { envelope, query, certificate, claim, document } = input;
    const numbers = [claim, document].flatMap((one) => (one !== undefined && 'number' in one ? [one.number] : []));
    const said = (path: string | undefined): string | undefined => {
      const first = path === undefined ? undefined : textsAt(reply, path).find((text) => text !== '');
      return first === undefined
        ? undefined
        : impersonal(first, [envelope, query, certificate, { idNo: numbers }]).slice(0, LONGEST);
    };
    const words = said(rule.words);
    return {
      code: said(rule.code) ?? code,
      zh: words ?? zh,
      en: words === undefined ? en : `${this.#title.en}: ${words}`,
    };
  }

  /** The fault that an outcome of no use stands for. */
  fault(done: Done): Fault {
    switch (done.as) {
      case 'busy':
      case 'pending':
        return new Fault('busy', {
          until: this.#clock.now() + (done.retryAfterMs ?? done.rule.waitMs ?? BUSY_MS),
          // Who has taken it and not decided is asked next, never given it again.
          maybeArrived: done.as === 'pending' && done.write,
          reason: this.reason(done, 'busy', '对方系统繁忙，请稍后', 'they ask to come back later'),
        });
      case 'unauthorized':
      case 'sessionLost':
        return new Fault('unauthorized', {
          reason: this.reason(done, 'unauthorized', '对方系统拒绝了我方身份', 'they did not accept who we are'),
        });
      case 'refused':
        return new Fault('refused', { reason: this.reason(done, 'refused', '对方不予受理', 'they refused') });
      default:
        return new Fault('malformed', {
          maybeArrived: done.write,
          reason: this.reason(done, done.as, '应答在此处没有意义', 'the answer makes no sense here'),
        });
    }
  }

  /** Undefined: nothing is decided yet. @throws Fault when it is no answer */
  async answer(map: Mapping | undefined, done: Done): Promise<Answer | undefined> {
    switch (done.as) {
      case 'filed':
      case 'duplicate':
        return { outcome: 'done', result: map === undefined ? {} : objectOf(await this.mapped(map, done)) };
      case 'refused':
        return { outcome: 'refused', reason: this.reason(done, 'refused', '不予办理', 'refused') };
      case 'correction': {
        const { asks } = done.rule;
        return {
          outcome: 'correction',
          reason: this.reason(done, 'correction', '需要补正', 'something is to be mended'),
          asks: asks === undefined ? [] : textsAt(done.reply, asks).filter((ask) => ask !== ''),
        };
      }
      case 'progress':
        return { outcome: 'progress', reason: this.reason(done, 'progress', '办理中', 'being worked on') };
      case 'pending':
      case 'none':
        return undefined;
      default:
        throw this.fault(done);
    }
  }

  /** A mapping over what they answered. When it fails the answer is not what was agreed, and what was written stays written. */
  async mapped(map: Mapping, done: Pick<Done, 'write' | 'input' | 'functions'>): Promise<Json | undefined> {
    try {
      return await map(done.input, done.functions);
    } catch (error) {
      if (error instanceof Fault && error.kind !== 'malformed') throw done.write ? arrived(error) : error;
      const lacking = { code: 'answerMapping', zh: '应答缺少约定的内容', en: 'the reply lacks what was agreed' };
      throw new Fault('malformed', {
        maybeArrived: done.write,
        reason: error instanceof Fault ? error.reason : lacking,
        cause: error,
      });
    }
  }
}

/** Whatever keeps a result mapping from its end (a sequence that is used up, a store that is away): what was written stays written. */
const arrived = (fault: Fault): Fault =>
  fault.maybeArrived
    ? fault
    : new Fault(fault.kind, {
        reason: fault.reason,
        ours: fault.ours,
        maybeArrived: true,
        ...(fault.until === undefined ? {} : { until: fault.until }),
        cause: fault,
      });

export const objectOf = (value: Json | undefined): { [key: string]: Json } =>
  value !== null && typeof value === 'object' && !Array.isArray(value) ? value : {};
