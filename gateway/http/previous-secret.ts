import type { App } from '../../config/settings.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { Millis } from '../../contracts/ports/envelope.ts';
import type { Logger } from '../../contracts/ports/logger.ts';

/** How long nothing more is said of one app. */
const QUIET_MS = 3_600_000;

/**
 * Tells the operator, once an hour for each app, that it still signs with its previous secret: once no line has come for as long as the app may be silent, that
 * secret can go. Bounded by the apps that are set.
 */
export function previousSecretLog(
  apps: readonly App[],
  { clock, log }: { readonly clock: Clock; readonly log: Logger },
): (appKey: string, secretNo: number) => void {
  const quietUntil = new Map<string, Millis>(
    apps.flatMap(({ key, secrets }) => (secrets.length > 1 ? [[key, 0]] : [])),
  );
  return (app, secretNo) => {
    const until = quietUntil.get(app);
    const now = clock.now();
    if (secretNo === 0 || until === undefined || now < until) return;
    quietUntil.set(app, now + QUIET_MS);
    log.warn('an app still signs with its previous secret; take it out of the settings once it no longer does', {
      app,
    });
  };
}
