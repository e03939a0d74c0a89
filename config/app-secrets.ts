import type { App } from './settings.ts';

/** Where an app's secrets stand in a settings file, in the order of `App.secrets`. */
const FIELDS = ['secret', 'previousSecret'] as const;

type WrittenApp = { readonly [field in (typeof FIELDS)[number]]?: string };

/** 128 bits: 32 digits of hex; 22 letters of base64url, or of whatever else can be seen. */
const LEAST = { hex: 32, other: 22 } as const;

/** Whether a secret made by chance, written in the usual ways, would be as long. Nothing can tell how it was made. */
export function isLongEnough(secret: string): boolean {
  if (/^[0-9a-fA-F]*$/.test(secret)) return secret.length >= LEAST.hex;
  return [...secret.replaceAll(/[\s\p{C}]/gu, '')].length >= LEAST.other;
}

/** Secrets that stand more than once, over all apps: whoever has one of them could sign in another's name. Never shown. */
export function repeatedSecrets(apps: readonly WrittenApp[]): readonly string[] {
  const first = new Map<string, string>();
  return apps.flatMap((app, at) =>
    FIELDS.flatMap((field) => {
      const secret = app[field];
      if (secret === undefined) return [];
      const place = `apps[${at}].${field}`;
      const before = first.get(secret);
      if (before === undefined) {
        first.set(secret, place);
        return [];
      }
      return [`${place}: the same as ${before}; every app has a secret of its own, and another one each time`];
    }),
  );
}

/** Which secrets are shorter than they should be, by app and field. To be refused from the next version on. */
export function shortSecrets(apps: readonly App[]): readonly { readonly app: string; readonly field: string }[] {
  return apps.flatMap(({ key, secrets }) =>
    secrets.flatMap((secret, at) => (isLongEnough(secret) ? [] : [{ app: key, field: FIELDS[at] ?? 'secret' }])),
  );
}
