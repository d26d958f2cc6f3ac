/**
 * openapi.json (OpenAPI 3.1), made from the schemas that requests and answers are
 * checked and typed with.
 */
import { z } from 'zod';
import { SESSION_COOKIE, SESSION_HEADER } from './guard.js';
import { PROBLEM_STATUSES } from './problems.js';
import {
  budgetListSchema,
  budgetResetBodySchema,
  budgetResetSchema,
  budgetSchema,
  holdIdSchema,
  holdListSchema,
  holdSchema,
  holdSummarySchema,
  listQuerySchema,
  problemSchema,
  sessionSchema,
  voteBodySchema,
  whoamiSchema,
} from './schemas.js';

const COMPONENTS = {
  Hold: holdSchema,
  HoldSummary: holdSummarySchema,
  HoldList: holdListSchema,
  Vote: voteBodySchema,
  Budget: budgetSchema,
  BudgetList: budgetListSchema,
  BudgetResetRequest: budgetResetBodySchema,
  BudgetReset: budgetResetSchema,
  Whoami: whoamiSchema,
  Session: sessionSchema,
  Problem: problemSchema,
} as const satisfies Readonly<Record<string, z.ZodType>>;

type Component = keyof typeof COMPONENTS;

function reference(name: Component): { readonly $ref: string } {
  return { $ref: `#/components/schemas/${name}` };
}

function json(name: Component): object {
  return { content: { 'application/json': { schema: reference(name) } } };
}

function answers(description: string, content: object, status = '200'): object {
  const problems = PROBLEM_STATUSES.map((status): readonly [string, object] => [
    status.toString(),
    { description: 'no, and why', ...json('Problem') },
  ]);
  const ok: readonly [string, object] = [status, { description, ...content }];
  return { responses: Object.fromEntries([ok, ...problems]) as Record<string, object> };
}

const ID = { name: 'id', in: 'path', required: true, schema: bare(holdIdSchema) };

function voting(choice: 'approve' | 'deny'): object {
  return {
    post: {
      operationId: `${choice}Hold`,
      summary: `${choice} a hold; a vote stands`,
      parameters: [ID],
      requestBody: { required: false, ...json('Vote') },
      ...answers('the hold with the vote', json('Hold')),
    },
  };
}

function session(): object {
  return {
    post: {
      operationId: 'signIn',
      summary: 'opens a session of the page with a token; the cookie comes with the answer',
      security: [{ token: [] }],
      ...answers('the session', json('Session')),
    },
    get: {
      operationId: 'getSession',
      summary: 'the session of the caller',
      security: [{ cookie: [], key: [] }],
      ...answers('the session', json('Session')),
    },
    delete: {
      operationId: 'signOut',
      summary: 'ends the session',
      security: [{ cookie: [], key: [] }],
      ...answers('it has ended', {}, '204'),
    },
  };
}

/** A schema without the dialect that a whole document names once. */
function bare(schema: z.ZodType): Record<string, unknown> {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: 'input' });
  return rest;
}

function schemas(): Record<string, unknown> {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(COMPONENTS)) registry.add(schema, { id });
  const made = z.toJSONSchema(registry, { uri: (id) => `#/components/schemas/${id}`, io: 'input' }).schemas;
  return Object.fromEntries(
    Object.entries(made).map(([name, { $schema: _dialect, $id: _id, ...schema }]) => [name, schema]),
  );
}

function queryParameters(): object[] {
  return Object.entries(listQuerySchema.shape).map(([name, schema]) => ({
    name,
    in: 'query',
    required: false,
    schema: bare(schema),
  }));
}

/** The whole document. */
export function openApi(): object {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Holdfast: approvals',
      version: '1',
      description:
        'Statements that wait until people approve them, and write budgets that they may reset. Every call needs the token of an approver, or a session that the approvals page has opened with one.',
    },
    security: [{ token: [] }, { cookie: [], key: [] }],
    paths: {
      '/api/holds': {
        get: {
          operationId: 'listHolds',
          summary: 'the holds that the caller may see',
          parameters: queryParameters(),
          ...answers('open ones by their deadline, then closed ones, latest first', json('HoldList')),
        },
      },
      '/api/holds/{id}': {
        get: {
          operationId: 'getHold',
          summary: 'a hold with everything that would run',
          parameters: [ID],
          ...answers('the hold', json('Hold')),
        },
      },
      '/api/holds/{id}/approve': voting('approve'),
      '/api/holds/{id}/deny': voting('deny'),
      '/api/budgets': {
        get: {
          operationId: 'listBudgets',
          summary: 'what users have spent of their write budgets, as far as the caller may see it',
          ...answers('tripped ones first', json('BudgetList')),
        },
      },
      '/api/budgets/reset': {
        post: {
          operationId: 'resetBudget',
          summary: 'forgets what a user of a role has spent; not of oneself',
          requestBody: { required: true, ...json('BudgetResetRequest') },
          ...answers('what was forgotten', json('BudgetReset')),
        },
      },
      '/api/events': {
        get: {
          operationId: 'events',
          summary:
            'server-sent events: `open` with the list of open holds first, then `hold` for each change; `budgets` with the list of write budgets behind `open`, and when it is another one',
          ...answers('a stream that does not end', {
            content: { 'text/event-stream': { schema: { type: 'string' } } },
          }),
        },
      },
      '/api/whoami': {
        get: { operationId: 'whoami', summary: 'the caller', ...answers('the caller', json('Whoami')) },
      },
      '/api/session': session(),
      '/api/openapi.json': {
        get: {
          operationId: 'openapi',
          summary: 'this document',
          ...answers('this document', { content: { 'application/json': { schema: { type: 'object' } } } }),
        },
      },
    },
    components: {
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer' },
        cookie: { type: 'apiKey', in: 'cookie', name: SESSION_COOKIE },
        key: { type: 'apiKey', in: 'header', name: SESSION_HEADER },
      },
      schemas: schemas(),
    },
  };
}
