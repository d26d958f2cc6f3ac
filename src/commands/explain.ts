/**
 * `holdfast explain`: what would happen to a statement, and why.
 */
import type { Catalog } from '../catalog/catalog.js';
import { OperatorError } from '../errors.js';
import { explain, explainJson } from '../gate/explain.js';
import type { Explanation } from '../gate/explain.js';
import { explainText } from '../gate/explain-text.js';
import { isAddress } from '../policy/match.js';
import type { Login, Policy } from '../policy/types.js';
import { unsendable } from '../config/cases-schema.js';
import { loadPolicy } from '../config/policy-file.js';
import { defaultSettingsPath, loadSettings } from '../config/settings.js';
import { createAnalyzer } from './analyzer.js';
import type { Analyzer } from './analyzer.js';
import { readAll, readLines } from './input.js';
import type { ExitStatus, Terminal } from './terminal.js';

export interface ExplainOptions {
  readonly config?: string;
  readonly policy?: string;
  /** URL of a database whose catalog is read first. */
  readonly catalog?: string;
  readonly user?: string;
  readonly database?: string;
  readonly application?: string;
  readonly address?: string;
  readonly json?: boolean;
  readonly jsonl?: boolean;
}

interface Context {
  readonly policy: Policy;
  readonly environment: string;
  readonly catalog: Catalog | null;
  readonly analyzer: Analyzer;
  readonly options: ExplainOptions;
}

export async function explainCommand(
  sql: string | undefined,
  options: ExplainOptions,
  terminal: Terminal,
): Promise<ExitStatus> {
  if (options.jsonl === true && sql !== undefined) {
    throw new OperatorError('--jsonl reads standard input; it takes no SQL as argument', 2);
  }
  if (options.jsonl !== true && options.user === undefined) {
    throw new OperatorError('whose statement is it? --user is missing', 2);
  }
  if (options.jsonl !== true && sql === undefined && terminal.input.isTTY) {
    throw new OperatorError('no SQL: give it as an argument or on standard input', 2);
  }
  if (options.address !== undefined && !isAddress(options.address)) {
    throw new OperatorError(`--address ${options.address} is no IP address`, 2);
  }
  const settings = await loadSettings(options.config ?? defaultSettingsPath(process.cwd()), process.env);
  const policy = await loadPolicy(options.policy ?? settings.policy, process.env);
  const catalog =
    options.catalog === undefined
      ? null
      : await (await import('./live-catalog.js')).readLiveCatalog(options.catalog);
  const analyzer = await createAnalyzer();
  const context: Context = { policy, environment: settings.environment, catalog, analyzer, options };
  try {
    if (options.jsonl === true) return await explainLines(context, terminal);
    const text = sql ?? (await readAll(terminal.input));
    const problem = unsendable(text, 'the SQL');
    if (problem !== null) throw new OperatorError(problem, 2);
    const explanation = await explainOne(context, text, loginOf(context, {}));
    await terminal.print(
      options.json === true ? JSON.stringify(explainJson(explanation)) : explainText(explanation, terminal),
    );
    const { verdict } = explanation.judgement;
    return verdict === 'deny' || verdict === 'hold' ? 1 : 0;
  } finally {
    await analyzer.close();
  }
}

/** One verdict a line. A line that cannot be read costs its own verdict, not the others'. */
async function explainLines(context: Context, terminal: Terminal): Promise<ExitStatus> {
  let status: ExitStatus = 0;
  for await (const { number, content } of readLines(terminal.input)) {
    if ('text' in content && content.text.trim() === '') continue;
    const parsed = 'problem' in content ? content : parseLine(content.text, context);
    if ('problem' in parsed) {
      status = 1;
      await terminal.print(JSON.stringify({ error: `line ${number}: ${parsed.problem}` }));
    } else {
      const explanation = await explainOne(context, parsed.sql, parsed.login);
      await terminal.print(JSON.stringify(explainJson(explanation)));
    }
  }
  return status;
}

const LINE_KEYS = ['sql', 'user', 'database', 'application', 'address'] as const;

function parseLine(
  line: string,
  context: Context,
): { readonly sql: string; readonly login: Login } | { readonly problem: string } {
  let data: unknown;
  try {
    data = JSON.parse(line);
  } catch {
    return { problem: 'not valid JSON' };
  }
  if (typeof data !== 'object' || data === null || Array.isArray(data))
    return { problem: 'expected an object' };
  const fields: Partial<Record<(typeof LINE_KEYS)[number], string>> = {};
  for (const [key, value] of Object.entries(data)) {
    const known = LINE_KEYS.find((candidate) => candidate === key);
    if (known === undefined)
      return { problem: `unknown key ${JSON.stringify(key)}; known are ${LINE_KEYS.join(', ')}` };
    if (typeof value !== 'string') return { problem: `"${key}" must be text` };
    fields[known] = value;
  }
  if (fields.sql === undefined) return { problem: '"sql" is missing' };
  if ((fields.user ?? context.options.user) === undefined) return { problem: '"user" is missing' };
  if (fields.address !== undefined && !isAddress(fields.address))
    return { problem: '"address" is no IP address' };
  const problem = unsendable(fields.sql, 'the SQL');
  return problem === null ? { sql: fields.sql, login: loginOf(context, fields) } : { problem };
}

/** A session of this user as the proxy would see it; what is not said is what a local client would send. */
function loginOf({ options, catalog }: Context, fields: Partial<Login>): Login {
  const user = fields.user ?? options.user ?? '';
  return {
    user,
    // As libpq does: a client that names no database gets the one of its own name.
    database: fields.database ?? options.database ?? catalog?.database ?? user,
    application: fields.application ?? options.application ?? '',
    address: fields.address ?? options.address ?? '127.0.0.1',
  };
}

async function explainOne(context: Context, sql: string, login: Login): Promise<Explanation> {
  const { policy, environment, catalog, analyzer } = context;
  const analysis = await analyzer.analyze(sql);
  return explain({ policy, environment, login, sql, analysis, ...(catalog === null ? {} : { catalog }) });
}
