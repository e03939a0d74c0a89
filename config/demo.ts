import { isLoopback } from './loopback.ts';
import type { App, Settings } from './settings.ts';

const demoApp = (key: string, rest: Omit<App, 'key' | 'secrets'>): App => ({
  key,
  secrets: [`${key}-secret`],
  ...rest,
});

/** Callers of the demo profile; everybody knows their secrets, so outside that profile they do not exist. */
export const demoApps: readonly App[] = [
  demoApp('window-demo', { role: 'window', channels: ['window', 'web', 'app', 'terminal', 'post'] }),
  demoApp('tax-demo', { role: 'department', party: 'tax' }),
  demoApp('operator-demo', { role: 'operator' }),
  demoApp('auditor-demo', { role: 'auditor' }),
];

/** What is wrong with where a gateway with the demo apps listens: whoever reaches it can do everything. `place`: how whoever set the host knows it. */
export async function demoMistakes(
  { demo, host }: Pick<Settings, 'demo' | 'host'>,
  place = 'host',
): Promise<readonly string[]> {
  if (!demo || (await isLoopback(host))) return [];
  return [
    `${place}: everybody knows the secrets of the demo apps, so that demo (--demo) serves this machine alone: expected 127.0.0.1, ::1 or localhost, got ${JSON.stringify(host)}`,
  ];
}
