/**
 * The commands and their arguments.
 *
 * Law: no decisions. Each command is a function elsewhere, imported only when it
 * is called, so that `--help` does not load a parser.
 */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { OperatorError } from '../errors.js';
import type { BudgetsResetOptions } from './budgets.js';
import type { CheckOptions } from './check.js';
import type { ExplainOptions } from './explain.js';
import type { HoldsListOptions, HoldsOptions, HoldsSurroundings, HoldsVoteOptions } from './holds.js';
import type { Terminal } from './terminal.js';
import type { UndoScriptOptions, UndoShowOptions } from './undo.js';
import type { TestOptions } from './test.js';

const WRONG_USAGE = 2;
/** Of help that goes to no terminal. */
const HELP_WIDTH = 80;

const CASES_HELP = `
A file of cases:

  policy: policy.yaml                            # relative to this file; optional
  defaults: { user: shop_app, database: shop }   # for cases that do not say
  cases:
    - name: clean-up script                      # optional
      sql: DELETE FROM accounts
      verdict: deny                              # allow, warn, confirm, hold or deny
      rule: require-where                        # optional

user, database, application and address say whose session it is. A case is as
expected when its verdict is, and its rule, if it names one, is among the rules
that match with that verdict. Editors complete it with config/cases.schema.json.`;

function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/**
 * Runs the command that the arguments name.
 * @returns its exit status; null: it goes on, or has none of its own
 * @throws what is no fault of whoever called it
 */
export async function runProgram(args: readonly string[], terminal: Terminal): Promise<number | null> {
  let status: number | null = null;
  try {
    await program(terminal, (ended) => {
      status = ended;
    }).parseAsync(args, { from: 'user' });
    return status;
  } catch (error) {
    // Commander has printed help, version or its own complaint already.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : WRONG_USAGE;
    if (!(error instanceof OperatorError)) throw error;
    terminal.complain(error.message);
    return error.exitCode;
  }
}

function program(terminal: Terminal, end: (status: number) => void): Command {
  const holdfast = new Command('holdfast')
    .description(
      'A PostgreSQL wire-protocol proxy that checks, holds and measures statements before they reach production',
    )
    .version(version(), '-V, --version')
    .showHelpAfterError('(add --help for usage)')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void terminal.print(withoutNewline(text)),
      writeErr: (text) => {
        terminal.complain(withoutNewline(text));
      },
      getOutHelpWidth: () => terminal.columns ?? HELP_WIDTH,
      getErrHelpWidth: () => terminal.columns ?? HELP_WIDTH,
    });
  holdfast
    .command('serve')
    .description('run the proxy; SIGHUP reloads the policy, SIGTERM drains')
    .option(
      '--config <file>',
      'settings (default: config/holdfast.yaml if it is there, else built-in defaults)',
    )
    .action(async ({ config }: { config?: string }) => {
      const { defaultSettingsPath } = await import('../config/settings.js');
      const { serve } = await import('../net/serve.js');
      const settingsPath = config ?? defaultSettingsPath(process.cwd());
      await serve(settingsPath === undefined ? {} : { settingsPath });
    });

  holdfast
    .command('demo')
    .description('start a real PostgreSQL with a small shop database and the proxy before it')
    .action(async () => {
      const { demo } = await import('../demo/demo.js');
      await demo();
    });

  holdfast
    .command('incidents')
    .description(
      'replay real incidents straight to PostgreSQL and through the proxy, and print what each lost',
    )
    .action(async () => {
      const { incidents } = await import('../demo/incidents.js');
      end(await incidents());
    });

  holdfast
    .command('check')
    .description('validate settings and policy; problems as file:line:column: message')
    .option('--config <file>', 'settings')
    .option('--policy <file>', 'policy (default: the one that the settings name)')
    .action(async (options: CheckOptions) => {
      const { checkCommand } = await import('./check.js');
      end(await checkCommand(options, terminal));
    });

  holdfast
    .command('explain')
    .description('what would happen to a statement, and why; exit status 1 when it would be denied or held')
    .argument('[sql]', 'the statement; without it, standard input')
    .option('--policy <file>', 'policy (default: the one that the settings name)')
    .option('--config <file>', 'settings, for the name of the environment and of the policy')
    .option('--user <name>', 'database user of the session (required, except with --jsonl)')
    .option(
      '--database <name>',
      'database of the session (default: that of --catalog, else the name of the user)',
    )
    .option('--application <name>', 'application_name of the session', '')
    .option('--address <ip>', 'IP address of the client', '127.0.0.1')
    .option(
      '--catalog <url>',
      "read this database's catalog first, as the proxy does; PGPASSWORD and the like count",
    )
    .option('--json', 'print JSON')
    .option('--jsonl', 'read {"sql","user","database"} lines from standard input, write one verdict a line')
    .action(async (sql: string | undefined, options: ExplainOptions) => {
      const { explainCommand } = await import('./explain.js');
      end(await explainCommand(sql, options, terminal));
    });

  holdfast
    .command('test')
    .description(
      'is the policy what it is meant to be? exit status 1 when a case is not as expected, 2 when a file cannot be used',
    )
    .argument('<files...>', 'cases, YAML')
    .option('--policy <file>', 'policy of the files that name none (default: the one that the settings name)')
    .option('--config <file>', 'settings, for the name of the environment and of the policy')
    .option('--catalog <url>', 'judge with the catalog of this database, as the proxy does')
    .option('--json', 'print one JSON object a case')
    .addHelpText('after', CASES_HELP)
    .action(async (files: string[], options: TestOptions) => {
      const { testCommand } = await import('./test.js');
      end(await testCommand(files, options, terminal));
    });

  const holds = holdfast
    .command('holds')
    .description('see and decide what waits for approval; the token of an approver in HOLDFAST_TOKEN');
  const surroundings = (): HoldsSurroundings => ({ terminal, token: process.env['HOLDFAST_TOKEN'] });
  const url = ['--url <url>', "Holdfast's admin port (default: http://127.0.0.1:9432)"] as const;
  holds
    .command('list')
    .description('what you may see of what waits')
    .option(...url)
    .option('--state <state>', 'open, closed, all, or a state (default: open)')
    .option('--watch', 'stay, and print every change')
    .option('--json', 'print JSON')
    .action(async (options: HoldsListOptions) => {
      const { holdsListCommand } = await import('./holds.js');
      end(await holdsListCommand(options, surroundings()));
    });
  holds
    .command('show')
    .description('exactly what would run, as whom and why it waits')
    .argument('<id>', 'the hold')
    .option(...url)
    .option('--json', 'print JSON')
    .action(async (id: string, options: HoldsOptions) => {
      const { holdsShowCommand } = await import('./holds.js');
      end(await holdsShowCommand(id, options, surroundings()));
    });
  for (const choice of ['approve', 'deny'] as const) {
    holds
      .command(choice)
      .description(
        choice === 'approve' ? 'let it run, together with the other approvals' : 'end it: it will not run',
      )
      .argument('<id>', 'the hold')
      .option(...url)
      .option('--reason <text>', 'why; others and the audit log will have it')
      .option('--totp <code>', 'one-time code, if your votes need one')
      .option('--json', 'print JSON')
      .action(async (id: string, options: HoldsVoteOptions) => {
        const { holdsVoteCommand } = await import('./holds.js');
        end(await holdsVoteCommand(choice, id, options, surroundings()));
      });
  }

  const undo = holdfast
    .command('undo')
    .description('the old rows of approved statements (roles with undo: capture), and how to put them back');
  const config = ['--config <file>', 'settings, for where they are kept'] as const;
  const directory = ['--directory <path>', 'where they are kept (default: as the settings say)'] as const;
  undo
    .command('list')
    .description('what is kept, oldest first')
    .option(...config)
    .option(...directory)
    .option('--json', 'print a JSON object a line')
    .action(async (options: UndoShowOptions) => {
      const { undoListCommand } = await import('./undo.js');
      end(await undoListCommand(options, terminal));
    });
  undo
    .command('show')
    .description('the statement, and how many rows of which tables are kept of it')
    .argument('<id>', 'the decision or the hold')
    .option(...config)
    .option(...directory)
    .option('--json', 'print all of it as JSON, rows included')
    .action(async (id: string, options: UndoShowOptions) => {
      const { undoShowCommand } = await import('./undo.js');
      end(await undoShowCommand(id, options, terminal));
    });
  undo
    .command('script')
    .description('the SQL that puts the rows back; it refuses where they have changed since')
    .argument('<id>', 'the decision or the hold')
    .option(...config)
    .option(...directory)
    .option('--overwrite', 'put rows back even where they have changed since')
    .action(async (id: string, options: UndoScriptOptions) => {
      const { undoScriptCommand } = await import('./undo.js');
      end(await undoScriptCommand(id, options, terminal));
    });

  const budgets = holdfast
    .command('budgets')
    .description('see and reset what users have spent of their write budgets; token in HOLDFAST_TOKEN');
  budgets
    .command('list')
    .description('what you may see of what is spent; tripped budgets first')
    .option(...url)
    .option('--json', 'print JSON')
    .action(async (options: HoldsOptions) => {
      const { budgetsListCommand } = await import('./budgets.js');
      end(await budgetsListCommand(options, surroundings()));
    });
  budgets
    .command('reset')
    .description('forget what a user has spent: their writes pass again')
    .argument('<user>', 'database user')
    .requiredOption('--role <name>', 'role of the policy')
    .option(...url)
    .option('--reason <text>', 'why; the audit log will have it')
    .option('--totp <code>', 'one-time code, if your votes need one')
    .option('--json', 'print JSON')
    .action(async (user: string, options: BudgetsResetOptions) => {
      const { budgetsResetCommand } = await import('./budgets.js');
      end(await budgetsResetCommand(user, options, surroundings()));
    });

  const audit = holdfast.command('audit').description('work with audit logs');
  audit
    .command('verify')
    .description('check the seals of an audit log: finds changed, removed and reordered lines')
    .argument('<files...>', 'log files, oldest first')
    .action(async (files: string[]) => {
      const { auditVerifyCommand } = await import('./audit-verify.js');
      end(await auditVerifyCommand(files, terminal));
    });

  return holdfast;
}

/** The terminal ends its lines itself. */
function withoutNewline(text: string): string {
  return text.replace(/\n$/, '');
}
