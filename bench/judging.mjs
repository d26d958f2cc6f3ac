/**
 * What it takes to judge a text, in this process and without a network: one that was never seen before
 * (analysis and judgement), and one that was (the look-up). Owns: the statements and the sampling.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { median } from './statistics.mjs';

const ROUNDS = 15;

const POLICY = `version: 1
mode: enforce
roles:
  - name: app
    access: write
`;

/** Each makes texts that differ, so that nothing that remembers texts can help. @type {[string, (n: number) => string][]} */
const STATEMENTS = [
  ['select by key', (n) => `SELECT abalance FROM pgbench_accounts WHERE aid = ${n}`],
  ['update by key', (n) => `UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = ${n}`],
  ['delete by key', (n) => `DELETE FROM orders WHERE id = ${n}`],
  ['insert one row', (n) => `INSERT INTO orders (customer_id, total, note) VALUES (${n}, 12.50, 'by phone')`],
  ['begin', (n) => `BEGIN /* ${n} */`],
];

/** Not short, and so not held to the goal. @type {[string, (n: number) => string]} */
const JOIN = [
  'join of about 300 bytes',
  (n) =>
    `SELECT o.id, o.total, c.name, count(l.id) AS lines FROM orders o JOIN customers c ON c.id = o.customer_id ` +
    `LEFT JOIN order_lines l ON l.order_id = o.id WHERE o.created_at > now() - interval '7 days' ` +
    `AND c.country IN ('DE', 'AT', 'CH') AND o.id > ${n} GROUP BY o.id, o.total, c.name ORDER BY o.total DESC LIMIT 50`,
];

/** The tables that the statements name, as a catalog that was read would show them. */
const CONTENT = {
  database: 'bench',
  serverVersion: 180000,
  schemas: ['public'],
  relations: ['pgbench_accounts', 'orders', 'customers', 'order_lines'].map((name, index) => ({
    oid: 20_000 + index,
    schema: 'public',
    name,
    kind: 'table',
    columns: ['id', 'aid', 'abalance', 'total', 'note'].map((column) => ({
      name: column,
      type: 'other',
      notNull: column === 'id',
    })),
    rows: 100_000,
    children: [],
    reads: [],
    calls: [],
  })),
  foreignKeys: [],
  functions: [],
};

/** @typedef {{ title: string, short: boolean, analyze: number, judge: number, cached: number }} JudgingRow medians, µs */

/**
 * @param {import('./options.mjs').Options} options
 * @returns {Promise<JudgingRow[]>}
 */
export async function measureJudging({ quick }) {
  const texts = quick ? 200 : 2000;
  const { analyze, judge, role, catalog, reader } = await load();
  const context = { environment: 'bench', database: 'bench', catalog, catalogUnknown: 'strict' };
  let n = 0;
  return [...STATEMENTS, JOIN].map(([title, text]) => {
    /** @type {{ analyze: number[], judge: number[], cached: number[] }} */
    const times = { analyze: [], judge: [], cached: [] };
    const known = Buffer.from(text(0));
    for (let round = 0; round < ROUNDS; round++) {
      const unseen = Array.from({ length: texts }, () => text(++n));
      const analyses = timed(times.analyze, unseen, (each) => analyze(each));
      timed(times.judge, analyses, (analysis) => judge(analysis, role, context));
      timed(times.cached, unseen, () => reader(known));
    }
    return {
      title,
      short: title !== JOIN[0],
      analyze: median(times.analyze),
      judge: median(times.judge),
      cached: median(times.cached),
    };
  });
}

/**
 * Runs `work` on each item and notes the mean µs.
 * @template T, R
 * @param {number[]} times
 * @param {T[]} items
 * @param {(item: T) => R} work
 * @returns {R[]}
 */
function timed(times, items, work) {
  const begin = performance.now();
  const results = items.map(work);
  times.push(((performance.now() - begin) * 1000) / items.length);
  return results;
}

/** The built code, put together as a session would. */
async function load() {
  const built = (/** @type {string} */ path) => {
    const url = new URL(`../dist/${path}.js`, import.meta.url);
    if (!existsSync(fileURLToPath(url)))
      throw new Error(`dist/${path}.js is not there; run \`npm run build\``);
    return import(url.href);
  };
  const [sql, engine, policyFile, snapshot, catalogs, policies, sessionRole, textReader, metrics] =
    await Promise.all(
      [
        'sql/analyze',
        'policy/engine',
        'config/policy-file',
        'catalog/snapshot',
        'gate/catalog-store',
        'gate/policy-store',
        'gate/session-role',
        'gate/text-reader',
        'metrics',
      ].map(built),
    );
  await sql.loadParser();
  const { policy } = policyFile.parsePolicy(POLICY, 'bench policy', {});
  const [role] = policy.roles;
  const catalog = snapshot.createCatalog(CONTENT);
  const clock = () => performance.now();
  const store = catalogs.createCatalogStore({ maxAge: Infinity, retryAfter: 0, clock });
  const database = store.enter('bench');
  database.begin().done(catalog);
  const inForce = policies.createPolicyStore(policy, store);
  const login = { user: 'app', database: 'bench', application: '', address: '127.0.0.1' };
  const session = new sessionRole.SessionRole(inForce, database, login, inForce.current.scope(role, 'bench'));
  const all = metrics.createMetrics();
  const services = {
    environment: 'bench',
    recordSql: 'full',
    recordLimit: 1_048_576,
    metrics: all,
    statementLimit: 16_777_216,
    clock,
    cacheHits: all.analysisCache.child('hit'),
    cacheMisses: all.analysisCache.child('miss'),
  };
  const texts = new textReader.TextReader(services, session, false, () => undefined);
  return {
    analyze: sql.analyze,
    judge: engine.judge,
    role,
    catalog,
    /** A text that comes again: the policy and the catalog looked after, the verdict found. @param {Buffer} bytes */
    reader: (bytes) => {
      session.refresh();
      return texts.read(bytes, 0, bytes.length, 0);
    },
  };
}
