/** Bodies of calls: JSON, small, and what is said of those that are not. */
import type { FastifyInstance } from 'fastify';
import type { ProblemCode } from './problems.js';

/** A reason of the longest, every character escaped, and names. */
export const BODY_LIMIT_BYTES = 8_192;

/** What Fastify says of a body, by its status. */
export const BODY_PROBLEMS: ReadonlyMap<
  number,
  readonly [code: ProblemCode, message: string, hint: string | null]
> = new Map([
  [
    400,
    [
      'invalid_request',
      'The request cannot be read.',
      'The body is a JSON object; /api/openapi.json says what may stand in it.',
    ],
  ],
  [413, ['too_large', 'The body is too large.', null]],
  [415, ['unsupported_media_type', 'The body must be application/json.', null]],
]);

/** JSON and nothing else: what a form on another site can send is not read at all. */
export function readBodies(api: FastifyInstance): void {
  api.removeAllContentTypeParsers();
  api.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) => {
    if (body === '') {
      done(null, {});
      return;
    }
    try {
      done(null, JSON.parse(body as string));
    } catch {
      done(Object.assign(new Error('not JSON'), { statusCode: 400 }));
    }
  });
}

/** What is wrong with a body, without quoting it. */
export function bodyWords(
  issues: readonly { readonly path: readonly PropertyKey[]; readonly code: string }[],
): string {
  const issue = issues[0];
  if (issue === undefined) return 'The body is not what it must be.';
  if (issue.code === 'unrecognized_keys') return 'The body has a key that is not known.';
  return issue.path.length === 0
    ? 'The body must be an object.'
    : `"${issue.path.map(String).join('.')}" in the body is not what it must be.`;
}
