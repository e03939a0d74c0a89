import type { Clock } from '../../contracts/ports/clock.ts';
import type { Metrics } from '../../contracts/ports/observe.ts';
import { json, type OpenRoute } from './route.ts';

/** Whether each part the gateway needs is there, by name. */
export interface Readiness {
  readonly ready: boolean;
  readonly parts: { readonly [name: string]: boolean };
}

export interface HealthParts {
  readonly ready: () => Promise<Readiness>;
  readonly metrics: Metrics;
  readonly version: string;
  readonly clock: Clock;
}

/** A part that does not answer within this is not there. */
const ANSWER_WITHIN_MS = 2_000;

export function healthRoutes({ ready, metrics, version, clock }: HealthParts): readonly OpenRoute[] {
  async function readiness(): Promise<Readiness> {
    let cancel = () => {};
    const late = new Promise<Readiness>((resolve) => {
      cancel = clock.after(ANSWER_WITHIN_MS, () => resolve({ ready: false, parts: { answered: false } }));
    });
    try {
      return await Promise.race([ready(), late]);
    } catch {
      return { ready: false, parts: { answered: false } };
    } finally {
      cancel();
    }
  }

  return [
    {
      method: 'GET',
      path: '/livez',
      id: 'live',
      tag: 'probes',
      access: 'open',
      words: { zh: '进程存活', en: 'The process is alive' },
      replies: { 200: { words: { zh: '存活', en: 'Alive' }, schema: 'Alive' } },
      handle: async () => json(200, { state: 'alive', version }),
    },
    {
      method: 'GET',
      path: '/readyz',
      id: 'ready',
      tag: 'probes',
      access: 'open',
      words: { zh: '可以接收办件', en: 'Cases can be taken' },
      replies: {
        200: { words: { zh: '就绪', en: 'Ready' }, schema: 'Readiness' },
        503: { words: { zh: '未就绪或正在停止', en: 'Not ready, or stopping' }, schema: 'Readiness' },
      },
      async handle() {
        const { ready: yes, parts } = await readiness();
        return json(yes ? 200 : 503, { ready: yes, parts }, yes ? {} : { 'Retry-After': '5' });
      },
    },
    {
      method: 'GET',
      path: '/metrics',
      id: 'metrics',
      tag: 'probes',
      access: 'open',
      words: { zh: 'Prometheus 指标', en: 'Prometheus metrics' },
      replies: { 200: { words: { zh: '指标', en: 'The metrics' }, type: 'text/plain' } },
      async handle() {
        const { contentType, text } = await metrics.render();
        return { status: 200, headers: { 'Content-Type': contentType }, content: text };
      },
    },
  ];
}
