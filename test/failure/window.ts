import { setTimeout as rest } from 'node:timers/promises';
import { Client, demoApp } from '../../console/client.ts';
import type { JsonObject, Millis } from '../../contracts/ports/envelope.ts';
import type { CaseSeen, ProblemSeen } from '../support/follow.ts';

export interface Acknowledged {
  readonly submission: JsonObject;
  readonly caseNo: string;
  /** From the first try to the answer. */
  readonly from: Millis;
  readonly until: Millis;
}

/** A node that did not answer is passed over for so long, as a balancer does. */
const PASSED_OVER_MS = 2_000;
const ANSWER_WITHIN_MS = 4_000;
const REST_MS = 250;
const PATIENCE_MS = 120_000;

/** Submits as windows do: the same number again, to whichever node, until it has an answer. */
export class Window {
  readonly acknowledged: Acknowledged[] = [];
  /** Submissions that had no answer, or 503, and were sent again. */
  again = 0;
  /** Answers that no window should get. */
  readonly strange: string[] = [];
  readonly #nodes: readonly { readonly client: Client; backAt: Millis }[];
  #turn = 0;

  constructor(urls: readonly string[]) {
    const app = demoApp('window-demo');
    this.#nodes = urls.map((url) => ({ client: new Client(url, app, 'HMAC-SHA256', ANSWER_WITHIN_MS), backAt: 0 }));
  }

  /** @throws when there is no case number after two minutes */
  async submit(submission: JsonObject): Promise<void> {
    const from = Date.now();
    for (;;) {
      const caseNo = await this.#tried(submission);
      if (caseNo !== undefined) {
        this.acknowledged.push({ submission, caseNo, from, until: Date.now() });
        return;
      }
      if (Date.now() - from > PATIENCE_MS)
        throw new Error(`${String(submission.applicationNo)} was not taken within ${PATIENCE_MS / 1_000} s`);
      this.again += 1;
      await rest(REST_MS);
    }
  }

  async #tried(submission: JsonObject): Promise<string | undefined> {
    const node = this.#next();
    try {
      const { status, body, headers } = await node.client.post<CaseSeen & ProblemSeen>('/v1/cases', submission);
      if (status === 200 || status === 202) return body.caseNo;
      const tellsWhen = headers.has('retry-after');
      if (status !== 503 || !tellsWhen)
        if (status !== 422 || !tellsWhen)
          // A certificate whose source is away, 422, tells when to come again as well.
          this.strange.push(`${new Date().toISOString()} ${status} ${body.code}${tellsWhen ? '' : ', no Retry-After'}`);
    } catch {
      node.backAt = Date.now() + PASSED_OVER_MS;
    }
    return undefined;
  }

  #next() {
    const now = Date.now();
    const up = this.#nodes.filter(({ backAt }) => backAt <= now);
    const among = up.length > 0 ? up : this.#nodes;
    this.#turn += 1;
    return among[this.#turn % among.length] as (typeof among)[number];
  }
}
