/**
 * Who may import whom, as dependency-cruiser rules. Imports point down:
 *
 *   cli → demo → net → gate, session → policy → impact, catalog → sql
 *                  net → holds-postgres → holds
 *                          session → protocol
 *
 * The pure folders (protocol, sql, catalog, impact, policy, session, holds, undo) can be tested by calling them,
 * and stay so only while nothing in them can reach a socket, a file or a clock of
 * its own.
 */

const PURE = '^src/(protocol|sql|catalog|impact|policy|session|holds|undo)/';
const IO_MODULES =
  '^(node:)?(child_process|cluster|dgram|dns|fs|http|http2|https|inspector|net|os|process|readline|repl|tls|worker_threads)(/|$)';
const SOCKET_MODULES = '^(node:)?(dgram|dns|http|http2|https|net|tls)(/|$)';

/** dependency-cruiser names a package by its path in node_modules when it is installed. */
const npmPackage = (name) => `(^|/)node_modules/${name}/`;

const only = (name, comment, from, allowed) => ({
  name,
  comment,
  severity: 'error',
  from: { path: from },
  to: { pathNot: allowed },
});

const forbidden = (name, comment, from, to) => ({ name, comment, severity: 'error', from, to });

export const RULES = [
  forbidden(
    'pure-no-io',
    'protocol, sql, catalog, impact, policy, session, holds and undo do no input or output',
    // The parser's worker is told what to do through its port: that is all it uses.
    { path: PURE, pathNot: '^src/sql/worker\\.ts$' },
    { path: IO_MODULES },
  ),
  forbidden(
    'worker-port-only',
    'src/sql/worker.ts may use worker_threads and no other input or output',
    { path: '^src/sql/worker\\.ts$' },
    { path: IO_MODULES, pathNot: '^(node:)?worker_threads$' },
  ),
  only('protocol-knows-nothing-above', 'protocol imports itself and errors.ts', '^src/protocol/', [
    '^src/protocol/',
    '^src/errors\\.ts$',
    '^(node:)?(buffer|util)$',
    npmPackage('pg-protocol'),
  ]),
  only('sql-knows-nothing-above', 'sql imports itself, errors.ts and the parser', '^src/sql/', [
    '^src/sql/',
    '^src/errors\\.ts$',
    // `module`: the parser is loaded anew when it can no longer be trusted. `crypto`: the worker hashes what it reads.
    '^(node:)?(buffer|crypto|module|util|worker_threads)$',
    npmPackage('(libpg-query|@pgsql/types)'),
  ]),
  only('catalog-imports', 'catalog imports itself, the facts of sql and errors.ts', '^src/catalog/', [
    '^src/catalog/',
    '^src/sql/facts\\.ts$',
    '^src/errors\\.ts$',
  ]),
  only('impact-imports', 'impact imports itself and errors.ts', '^src/impact/', [
    '^src/impact/',
    '^src/errors\\.ts$',
  ]),
  only('undo-imports', 'undo imports itself and zod', '^src/undo/', [
    '^src/undo/',
    '^(node:)?(buffer|crypto)$',
    npmPackage('zod'),
  ]),
  only(
    'policy-imports',
    'policy imports itself, catalog, impact, sql, errors.ts, zod and ipaddr.js',
    '^src/policy/',
    ['^src/(policy|catalog|impact|sql)/', '^src/errors\\.ts$', npmPackage('(zod|ipaddr\\.js)')],
  ),
  only(
    'session-imports',
    'session imports protocol, the facts of sql, the words of policy and errors.ts',
    '^src/session/',
    [
      '^src/(session|protocol)/',
      '^src/sql/facts\\.ts$',
      '^src/policy/types\\.ts$',
      '^src/errors\\.ts$',
      '^(node:)?(buffer|crypto|util)$',
    ],
  ),
  only('holds-imports', 'holds imports the words of policy and the facts of sql', '^src/holds/', [
    '^src/holds/',
    '^src/sql/facts\\.ts$',
    '^src/policy/types\\.ts$',
    '^src/errors\\.ts$',
    '^(node:)?(buffer|crypto|util)$',
  ]),
  only(
    'holds-postgres-imports',
    'holds-postgres imports holds, what that is made of, budgets, and the database client',
    '^src/holds-postgres/',
    [
      '^src/(holds-postgres|holds)/',
      '^src/impact/budgets?\\.ts$',
      '^src/policy/types\\.ts$',
      '^src/errors\\.ts$',
      '^(node:)?(buffer|crypto)$',
      npmPackage('(pg|zod|@types/pg)'),
    ],
  ),
  forbidden(
    'shared-store-by-net',
    'whether holds are shared is settled where everything is put together',
    { path: '^src/', pathNot: '^src/(net|holds-postgres)/' },
    { path: '^src/holds-postgres/' },
  ),
  forbidden(
    'database-client',
    'what opens sessions of its own on a database: the shared holds, the demo, and commands',
    { path: '^src/', pathNot: '^src/(holds-postgres|demo|commands)/' },
    { path: npmPackage('(pg|@types/pg)') },
  ),
  only(
    'config-imports',
    'config reads files and the words of policy and sql; it starts nothing',
    '^src/config/',
    [
      '^src/(config|policy|sql)/',
      '^src/errors\\.ts$',
      '^(node:)?(buffer|crypto|fs|fs/promises|path|process|url|util)$',
      npmPackage('(yaml|zod)'),
    ],
  ),
  only('page-imports', 'the page runs in a browser: it imports itself', '^src/admin/page/[^/]+\\.ts$', [
    '^src/admin/page/',
  ]),
  forbidden(
    'nobody-imports-page',
    'the page is served, not run',
    { path: '^src/', pathNot: '^src/admin/page/' },
    { path: '^src/admin/page/' },
  ),
  forbidden(
    'nobody-imports-net',
    'net is the driver on top: only the command line, the demo and other processes’ entry points start it',
    { path: '^src/', pathNot: '^src/(net|demo|commands)/|^src/cli\\.ts$' },
    { path: '^src/net/' },
  ),
  forbidden(
    'nobody-imports-demo',
    'the demo is no part of the product: only the command line starts it',
    { path: '^src/', pathNot: '^src/(demo|commands)/|^src/cli\\.ts$' },
    { path: '^src/demo/' },
  ),
  forbidden(
    'nobody-imports-cli',
    'the command line is the top',
    { path: '^src/' },
    { path: '^src/cli\\.ts$' },
  ),
  forbidden(
    'sockets-in-net-and-admin',
    'only net and admin open sockets',
    { path: '^src/', pathNot: '^src/(net|admin)/' },
    { path: `${SOCKET_MODULES}|${npmPackage('fastify')}` },
  ),
  forbidden(
    'parser-in-sql',
    'only sql imports the SQL parser',
    { path: '^src/', pathNot: '^src/sql/' },
    { path: npmPackage('(libpg-query|@pgsql)') },
  ),
  forbidden(
    'arguments-in-cli',
    'only the command line parses arguments',
    { path: '^src/', pathNot: '^src/(commands/|cli\\.ts$)' },
    { path: npmPackage('commander') },
  ),
  forbidden(
    'no-tests-in-product',
    'src imports nothing from test or bench',
    { path: '^src/' },
    { path: '^(test|bench)/' },
  ),
  forbidden('no-circular', 'no import leads back to its own file', { path: '^src/' }, { circular: true }),
  forbidden('resolvable', 'what is imported is there', { path: '^src/' }, { couldNotResolve: true }),
  forbidden(
    'production-dependencies',
    'what the product imports stands in the dependencies of package.json',
    { path: '^src/' },
    { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'] },
  ),
];
