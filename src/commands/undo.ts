/**
 * `holdfast undo`: what is kept of approved statements' old rows, and the SQL that puts
 * them back.
 */
import { resolve } from 'node:path';
import { listUndoFiles, readUndoFile } from '../audit/undo-files.js';
import { defaultSettingsPath, loadSettings } from '../config/settings.js';
import { OperatorError } from '../errors.js';
import { UndoError } from '../undo/document.js';
import type { UndoDocument } from '../undo/document.js';
import { relation } from '../undo/quoting.js';
import { countsInWords, undoScript } from '../undo/script.js';
import type { ExitStatus, Terminal } from './terminal.js';
import { jsonLine, visible } from './visible.js';

export interface UndoOptions {
  readonly config?: string;
  readonly directory?: string;
}

export interface UndoShowOptions extends UndoOptions {
  readonly json?: boolean;
}

export interface UndoScriptOptions extends UndoOptions {
  readonly overwrite?: boolean;
}

/** Ids of decisions and of holds. */
const ID = /^[A-Za-z0-9_-]{1,80}$/;
const EMPTY = 'nothing is kept; roles need "undo: capture"';

async function directoryOf({ config, directory }: UndoOptions): Promise<string> {
  if (directory !== undefined) return resolve(directory);
  const settings = await loadSettings(config ?? defaultSettingsPath(process.cwd()), process.env);
  return settings.undo.path;
}

async function read(id: string, options: UndoOptions): Promise<UndoDocument> {
  if (!ID.test(id)) throw new OperatorError(`"${visible(id)}" is no id of a decision or a hold`, 2);
  try {
    return await readUndoFile(await directoryOf(options), id);
  } catch (error) {
    if (error instanceof UndoError) throw new OperatorError(error.message);
    throw error;
  }
}

export async function undoListCommand(options: UndoShowOptions, terminal: Terminal): Promise<ExitStatus> {
  const kept = await listUndoFiles(await directoryOf(options));
  if (options.json === true) {
    for (const { decision, hold, size, at } of kept)
      await terminal.print(jsonLine({ decision, hold, size, at: new Date(at).toISOString() }));
    return 0;
  }
  if (kept.length === 0) await terminal.print(EMPTY);
  for (const { decision, hold, size, at } of kept)
    await terminal.print(
      `${new Date(at).toISOString()}  decision ${decision}  hold ${hold}  ${size.toString()} bytes`,
    );
  return 0;
}

export async function undoShowCommand(
  id: string,
  options: UndoShowOptions,
  terminal: Terminal,
): Promise<ExitStatus> {
  const document = await read(id, options);
  if (options.json === true) {
    await terminal.print(jsonLine(document));
    return 0;
  }
  const { decision, hold, at, environment, database, user, role, transaction, sql, tables } = document;
  const lines = [
    `Decision ${decision}, approved as hold ${hold}`,
    `${at}, ${environment}, database ${database}, user ${user} (role ${role})`,
    ...(transaction === null
      ? []
      : [`Whether it was committed: SELECT pg_xact_status('${transaction}'), or the audit log.`]),
    '',
    ...sql.split('\n').map((line) => `  ${line}`),
    '',
    ...tables.map((table, at) => `${relation(table)}: ${countsInWords(document, at)}`),
    '',
    `To put the rows back: holdfast undo script ${decision} > undo.sql`,
  ];
  for (const line of lines) await terminal.print(visible(line));
  return 0;
}

export async function undoScriptCommand(
  id: string,
  options: UndoScriptOptions,
  terminal: Terminal,
): Promise<ExitStatus> {
  const document = await read(id, options);
  await terminal.print(undoScript(document, { overwrite: options.overwrite === true }).trimEnd());
  return 0;
}
