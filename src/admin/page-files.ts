/**
 * The files of the approvals page, at `/` and `/page/`: what runs in the browser of
 * an approver, and the headers that keep everything else out of it.
 *
 * Law: a fixed list of files, read once at the start; no path of a request ever
 * reaches the file system. Nothing here is secret: who may see a hold is asked by the
 * API. The browser is told to run and to show what comes from here, and nothing else.
 */
import { readFile, readdir } from 'node:fs/promises';
import type { FastifyPluginCallback } from 'fastify';

export interface PageFile {
  readonly path: string;
  readonly type: string;
  readonly content: Buffer;
}

/** Where the build puts the page; from src and from dist it is the same place. */
const PAGE_DIRECTORY = new URL('../../dist/admin/page/', import.meta.url);

const TYPES: ReadonlyMap<string, string> = new Map([
  ['html', 'text/html; charset=utf-8'],
  ['css', 'text/css; charset=utf-8'],
  ['js', 'text/javascript; charset=utf-8'],
  ['svg', 'image/svg+xml'],
]);
const INDEX = 'index.html';

/**
 * No inline script or style, no frame around it, no form that is sent anywhere, and
 * (trusted types) no text that is ever parsed as HTML.
 */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

/** @throws Error when the page has not been built */
export async function readPage(directory: URL = PAGE_DIRECTORY): Promise<readonly PageFile[]> {
  const names = await readdir(directory).catch(() => []);
  const files = names.flatMap((name) => {
    const type = TYPES.get(name.slice(name.lastIndexOf('.') + 1));
    return type === undefined ? [] : [{ name, type }];
  });
  if (!files.some(({ name }) => name === INDEX))
    throw new Error(`the approvals page is not in ${directory.pathname}: npm run build puts it there`);
  return Promise.all(
    files.map(async ({ name, type }) => ({
      path: name === INDEX ? '/' : `/page/${name}`,
      type,
      content: await readFile(new URL(name, directory)),
    })),
  );
}

/** To be registered without a prefix. */
export function approvalsPage(files: readonly PageFile[]): FastifyPluginCallback {
  return (app, _options, done) => {
    for (const { path, type, content } of files) {
      app.get(path, (_request, reply) =>
        reply
          .type(type)
          .headers({ 'content-security-policy': POLICY, 'cross-origin-opener-policy': 'same-origin' })
          .send(content),
      );
    }
    done();
  };
}
