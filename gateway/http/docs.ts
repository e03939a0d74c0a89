import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { JsonObject } from '../../contracts/ports/envelope.ts';
import type { Page } from './route.ts';

/** Swagger UI writes `style` attributes; scripts are files of ours or its own, and nothing comes from elsewhere. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const ours = (name: string) => new URL(`docs/${name}`, import.meta.url);
const theirs = (name: string) => new URL(import.meta.resolve(`swagger-ui-dist/${name}`));

const FILES: readonly { readonly path: string; readonly file: URL; readonly type: string }[] = [
  { path: '/docs', file: ours('page.html'), type: 'text/html; charset=utf-8' },
  { path: '/docs/page.css', file: ours('page.css'), type: 'text/css; charset=utf-8' },
  { path: '/docs/page.js', file: ours('page.js'), type: 'text/javascript; charset=utf-8' },
  { path: '/docs/swagger-ui.css', file: theirs('swagger-ui.css'), type: 'text/css; charset=utf-8' },
  { path: '/docs/swagger-ui-bundle.js', file: theirs('swagger-ui-bundle.js'), type: 'text/javascript; charset=utf-8' },
  { path: '/docs/favicon-32x32.png', file: theirs('favicon-32x32.png'), type: 'image/png' },
];

/** The API's description, and a page to read it. All files are local. */
export function docsPages(document: JsonObject): readonly Page[] {
  const content = Buffer.from(JSON.stringify(document));
  return [
    {
      method: 'GET',
      path: '/openapi.json',
      access: 'open',
      handle: async () => ({ status: 200, headers: { 'Content-Type': 'application/json' }, content }),
    },
    ...FILES.map(({ path, file, type }): Page => {
      // Read once: anybody may ask for it, as often as they like.
      let read: Promise<Uint8Array> | undefined;
      return {
        method: 'GET',
        path,
        access: 'open',
        async handle() {
          read ??= readFile(fileURLToPath(file));
          return {
            status: 200,
            headers: { 'Content-Type': type, 'Content-Security-Policy': POLICY, 'Cache-Control': 'max-age=300' },
            content: await read,
          };
        },
      };
    }),
  ];
}
