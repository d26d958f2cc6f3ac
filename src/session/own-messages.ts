/**
 * The messages of the extended protocol by which Holdfast has the server do something
 * of its own between two messages of the client's, with their places in the reply
 * queue. The client hears nothing of them.
 *
 * Law: names of their own, random for this process, so that no client's statement,
 * portal or savepoint is touched; what is opened is closed again, but for the query
 * that counts, which stays prepared.
 */
import { randomBytes } from 'node:crypto';
import { bind, close, describePortal, execute, parse } from '../protocol/encode.js';
import { reply } from './replies.js';
import type { Reply } from './replies.js';
import type { Question } from './ports.js';

/** Bytes for the server, and what they are answered with, in order. */
export interface Batch {
  readonly bytes: Buffer[];
  readonly replies: Reply[];
}

const OWN = `holdfast_${randomBytes(12).toString('hex')}`;
const SAVEPOINT = `holdfast_${randomBytes(12).toString('hex')}`;
const ENCLOSED = Buffer.concat([bind(OWN, OWN), execute(OWN), close('P', OWN)]);

function step(batch: Batch, sql: string, end: 'own_close' | 'undo_close'): void {
  batch.bytes.push(parse(OWN, Buffer.from(sql)), ENCLOSED, close('S', OWN));
  batch.replies.push(reply('own'), reply(end));
}

/** Begins what can be taken back within a transaction block. */
export function savepoint(batch: Batch): void {
  step(batch, `SAVEPOINT ${SAVEPOINT}`, 'own_close');
}

/** What was done since the savepoint stays. */
export function keepSince(batch: Batch): void {
  step(batch, `RELEASE SAVEPOINT ${SAVEPOINT}`, 'own_close');
}

/** What was done since the savepoint is taken back; the answer to the last of it is `undone`. */
export function undoSince(batch: Batch): void {
  step(batch, `ROLLBACK TO SAVEPOINT ${SAVEPOINT}`, 'own_close');
  step(batch, `RELEASE SAVEPOINT ${SAVEPOINT}`, 'undo_close');
}

/** Prepares the query that counts, under its name, whether or not there is one of that name already. */
export function prepareCount(batch: Batch, name: string, sql: string): void {
  batch.bytes.push(close('S', name), parse(name, Buffer.from(sql)));
  batch.replies.push(reply('count_close'), reply('count_parse'));
}

/** Has the server count. */
export function count(batch: Batch, name: string): void {
  batch.bytes.push(bind(OWN, name), execute(OWN), close('P', OWN));
  batch.replies.push(reply('count'));
}

/** A statement, run to its end; nothing is left of it. */
export function statement(sql: string, parameters: readonly (string | null)[] = []): Buffer[] {
  return [
    parse(OWN, Buffer.from(sql)),
    bind(OWN, OWN, parameters),
    execute(OWN),
    close('P', OWN),
    close('S', OWN),
  ];
}

/** A question; the last answer to it is that of `answered`. */
export function ask(batch: Batch, question: Question): void {
  switch (question.kind) {
    case 'run':
      batch.bytes.push(...statement(question.sql, question.parameters));
      batch.replies.push(reply('asked'), reply('own_close'));
      return;
    case 'open': {
      const name = cursorName(question.cursor);
      // One that is left of what was undone would be in the way.
      batch.bytes.push(
        close('P', name),
        close('S', name),
        parse(name, Buffer.from(question.sql)),
        bind(name, name),
      );
      batch.replies.push(reply('own_close'), reply('own_close'), reply('asked_open'));
      return;
    }
    case 'read': {
      const name = cursorName(question.cursor);
      batch.bytes.push(execute(name), close('P', name), close('S', name));
      batch.replies.push(reply('asked'), reply('own_close'));
      return;
    }
  }
}

function cursorName(cursor: string): string {
  return `${OWN}_${cursor}`;
}

/** A statement of a Query string, up to where it can be executed. It takes the unnamed statement and portal, which the Query would drop anyway. */
export function carry(
  batch: Batch,
  text: Buffer,
  describe: 'carried_describe' | 'preview_describe' = 'carried_describe',
): void {
  batch.bytes.push(parse('', text), CARRIED);
  batch.replies.push(reply('carried_parse'), reply('carried_bind'), reply(describe));
}

const CARRIED = Buffer.concat([bind('', ''), describePortal('')]);
/** Execute of what carry() has made ready. */
export const CARRIED_EXECUTE = execute('');

/** No unnamed statement or portal is left, as behind a Query. */
export function endCarrying(batch: Batch): void {
  batch.bytes.push(close('P', ''), close('S', ''));
  batch.replies.push(reply('carried_close'), reply('carried_close'));
}
