#!/usr/bin/env node
/**
 * The command line: arguments in, text and an exit status out.
 *
 * Law: no decisions. Each command is a function elsewhere, imported only when it
 * is called, so that `--help` does not load a parser. The only file that writes
 * to the console.
 */
import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import { Command, CommanderError } from 'commander';
import type { BudgetsResetOptions } from './commands/budgets.js';
import type { CheckOptions } from './commands/check.js';
import type { ExplainOptions } from './commands/explain.js';
import type {
  HoldsListOptions,
  HoldsOptions,
  HoldsSurroundings,
  HoldsVoteOptions,
} from './commands/holds.js';
import type { UndoScriptOptions, UndoShowOptions } from './commands/undo.js';
import type { TestOptions } from './commands/test.js';
import type { Terminal } from './commands/terminal.js';
import { OperatorError } from './errors.js';

const WRONG_USAGE = 2;

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

const terminal: Terminal = {
  print: async (line) => {
    if (!process.stdout.write(`${line}\n`)) await once(process.stdout, 'drain');
  },
  complain: (line) => {
    console.error(line);
  },
  color: process.stdout.isTTY && (process.env['NO_COLOR'] ?? '') === '',
  // A terminal that does not know its size says 0.
  columns: process.stdout.isTTY && process.stdout.columns > 0 ? process.stdout.columns : null,
  input: process.stdin,
};

function version(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

function program(): Command {
  const holdfast = new Command('holdfast')
    .description(
      'A PostgreSQL wire-protocol proxy that checks, holds and measures statements before they reach production',
    )
    .version(version(), '-V, --version')
    .showHelpAfterError('(add --help for usage)')
    .exitOverride();
  holdfast
    .command('serve')
    .description('run the proxy; SIGHUP reloads the policy, SIGTERM drains')
    .option(
      '--config <file>',
      'settings (default: config/holdfast.yaml if it is there, else built-in defaults)',
    )
    .action(async ({ config }: { config?: string }) => {
      const { defaultSettingsPath } = await import('./config/settings.js');
      const { serve } = await import('./net/serve.js');
      const settingsPath = config ?? defaultSettingsPath(process.cwd());
      await serve(settingsPath === undefined ? {} : { settingsPath });
    });

  holdfast
    .command('demo')
    .description('start a real PostgreSQL with a small shop database and the proxy before it')
    .action(async () => {
      const { demo } = await import('./demo/demo.js');
      await demo();
    });

  holdfast
    .command('incidents')
    .description(
      'replay real incidents straight to PostgreSQL and through the proxy, and print what each lost',
    )
    .action(async () => {
      const { incidents } = await import('./demo/incidents.js');
      process.exitCode = await incidents();
    });

  holdfast
    .command('check')
    .description('validate settings and policy; problems as file:line:column: message')
    .option('--config <file>', 'settings')
    .option('--policy <file>', 'policy (default: the one that the settings name)')
    .action(async (options: CheckOptions) => {
      const { checkCommand } = await import('./commands/check.js');
      process.exitCode = await checkCommand(options, terminal);
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
      const { explainCommand } = await import('./commands/explain.js');
      process.exitCode = await explainCommand(sql, options, terminal);
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
      const { testCommand } = await import('./commands/test.js');
      process.exitCode = await testCommand(files, options, terminal);
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
      const { holdsListCommand } = await import('./commands/holds.js');
      process.exitCode = await holdsListCommand(options, surroundings());
    });
  holds
    .command('show')
    .description('exactly what would run, as whom and why it waits')
    .argument('<id>', 'the hold')
    .option(...url)
    .option('--json', 'print JSON')
    .action(async (id: string, options: HoldsOptions) => {
      const { holdsShowCommand } = await import('./commands/holds.js');
      process.exitCode = await holdsShowCommand(id, options, surroundings());
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
        const { holdsVoteCommand } = await import('./commands/holds.js');
        process.exitCode = await holdsVoteCommand(choice, id, options, surroundings());
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
      const { undoListCommand } = await import('./commands/undo.js');
      process.exitCode = await undoListCommand(options, terminal);
    });
  undo
    .command('show')
    .description('the statement, and how many rows of which tables are kept of it')
    .argument('<id>', 'the decision or the hold')
    .option(...config)
    .option(...directory)
    .option('--json', 'print all of it as JSON, rows included')
    .action(async (id: string, options: UndoShowOptions) => {
      const { undoShowCommand } = await import('./commands/undo.js');
      process.exitCode = await undoShowCommand(id, options, terminal);
    });
  undo
    .command('script')
    .description('the SQL that puts the rows back; it refuses where they have changed since')
    .argument('<id>', 'the decision or the hold')
    .option(...config)
    .option(...directory)
    .option('--overwrite', 'put rows back even where they have changed since')
    .action(async (id: string, options: UndoScriptOptions) => {
      const { undoScriptCommand } = await import('./commands/undo.js');
      process.exitCode = await undoScriptCommand(id, options, terminal);
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
      const { budgetsListCommand } = await import('./commands/budgets.js');
      process.exitCode = await budgetsListCommand(options, surroundings());
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
      const { budgetsResetCommand } = await import('./commands/budgets.js');
      process.exitCode = await budgetsResetCommand(user, options, surroundings());
    });

  const audit = holdfast.command('audit').description('work with audit logs');
  audit
    .command('verify')
    .description('check the seals of an audit log: finds changed, removed and reordered lines')
    .argument('<files...>', 'log files, oldest first')
    .action(async (files: string[]) => {
      const { auditVerifyCommand } = await import('./commands/audit-verify.js');
      process.exitCode = await auditVerifyCommand(files, terminal);
    });

  return holdfast;
}

// A reader that went away (`| head`) is no error of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

try {
  await program().parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    // Commander has printed help, version or its own complaint already.
    process.exitCode = error.exitCode === 0 ? 0 : WRONG_USAGE;
  } else if (error instanceof OperatorError) {
    terminal.complain(error.message);
    process.exitCode = error.exitCode;
  } else {
    console.error(error);
    process.exitCode = 1;
  }
}
