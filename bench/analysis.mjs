/**
 * `node bench/analysis.mjs [--quick]`: µs to analyze and to judge a text that was never seen before,
 * in this process, without a network. Needs `npm run build`.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { median } from './statistics.mjs';

const ROUNDS = 15;
const TEXTS_A_ROUND = process.argv.includes('--quick') ? 200 : 2000;

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
  ['insert one row', (n) => `INSERT INTO orders (customer_id, total, note) VALUES (${n}, 12.50, 'by phone')`],
  ['begin', (n) => `BEGIN /* ${n} */`],
  [
    'join of about 300 bytes',
    (n) =>
      `SELECT o.id, o.total, c.name, count(l.id) AS lines FROM orders o JOIN customers c ON c.id = o.customer_id ` +
      `LEFT JOIN order_lines l ON l.order_id = o.id WHERE o.created_at > now() - interval '7 days' ` +
      `AND c.country IN ('DE', 'AT', 'CH') AND o.id > ${n} GROUP BY o.id, o.total, c.name ORDER BY o.total DESC LIMIT 50`,
  ],
];

process.exitCode = await main();

/** @returns {Promise<number>} */
async function main() {
  const paths = ['sql/analyze.js', 'policy/engine.js', 'config/policy-file.js'].map((path) =>
    fileURLToPath(new URL(`../dist/${path}`, import.meta.url)),
  );
  const absent = paths.filter((path) => !existsSync(path));
  if (absent.length > 0) {
    process.stderr.write(`not there: ${absent.join(', ')}; run \`npm run build\`\n`);
    return 1;
  }
  const [{ loadParser, analyze }, { judge }, { parsePolicy }] = await Promise.all(
    paths.map((path) => import(path)),
  );
  await loadParser();
  const role = parsePolicy(POLICY, 'bench policy', {}).policy.roles[0];
  const context = { environment: 'bench', database: 'bench' };

  const lines = ['| statement, unseen text | analyze µs | judge µs | both µs |', '| --- | --: | --: | --: |'];
  let n = 0;
  for (const [title, text] of STATEMENTS) {
    /** @type {{ analyze: number[], judge: number[] }} */
    const times = { analyze: [], judge: [] };
    for (let round = 0; round < ROUNDS; round++) {
      const texts = Array.from({ length: TEXTS_A_ROUND }, () => text(++n));
      const begin = performance.now();
      const analyses = texts.map((each) => analyze(each));
      const analyzed = performance.now();
      for (const analysis of analyses) judge(analysis, role, context);
      const judged = performance.now();
      times.analyze.push(((analyzed - begin) * 1000) / TEXTS_A_ROUND);
      times.judge.push(((judged - analyzed) * 1000) / TEXTS_A_ROUND);
    }
    const [a, j] = [median(times.analyze), median(times.judge)];
    lines.push(`| ${title} | ${a.toFixed(1)} | ${j.toFixed(1)} | ${(a + j).toFixed(1)} |`);
  }
  process.stdout.write(`${lines.join('\n')}\n`);
  return 0;
}
