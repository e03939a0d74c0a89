import type { App } from './settings.ts';

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
