/**
 * A small model of how PostgreSQL keeps prepared statements and portals
 * (tcop/postgres.c, commands/prepare.c, utils/mmgr/portalmem.c), with failures
 * thrown in. It knows what each name means at the moment a message is carried out.
 * Compared with a real server: unnamed statements survive DEALLOCATE ALL, unnamed
 * portals survive an empty Query and one that fails, PREPARE survives a commit that fails.
 */
import { backend } from './messages.js';

interface Portal {
  readonly text: string;
  readonly hold: boolean;
  /** Nesting of savepoints in which it was made; null once its transaction was committed. */
  level: number | null;
  /** A utility statement runs once. */
  done: boolean;
}

type Reply = string;

export interface ModelServer {
  /** @returns what the server answers, as bytes */
  receive(line: string): Buffer[];
}

class Failure extends Error {}

const UTILITY = /^(PREPARE|DEALLOCATE|DECLARE|CLOSE|BEGIN|COMMIT|ROLLBACK|SAVEPOINT|DISCARD|EXECUTE)/;

/**
 * @param fails whether the next thing that can fail does, a commit or anything else
 * @param used what a Bind, Execute or EXECUTE really used
 */
export function modelServer(
  fails: (commit: boolean) => boolean,
  used: (kind: 'bind' | 'execute' | 'EXECUTE', text: string | null) => void,
): ModelServer {
  const statements = new Map<string, string>();
  const portals = new Map<string, Portal>();
  let status: 'I' | 'T' | 'E' = 'I';
  let level = 0;
  let skipping = false;

  function endTransaction(committed: boolean): void {
    for (const [name, portal] of portals) {
      const kept = portal.hold && (committed || portal.level === null);
      if (kept) portal.level = null;
      else portals.delete(name);
    }
    status = 'I';
    level = 0;
  }

  function abort(): void {
    if (status === 'I') endTransaction(false);
    else status = 'E';
  }

  function checkAborted(text: string): void {
    if (status === 'E' && !/^(COMMIT|ROLLBACK)/.test(text)) throw new Failure('25P02');
  }

  /** Carries out one statement. @param active the portal that it runs in */
  function run(text: string, active: Portal | null): string {
    const [, verb = '', name = '', rest = ''] = /^(\w+) ?(\w*) ?(.*)$/.exec(text) ?? [];
    checkAborted(text);
    if (verb === 'EXECUTE') used('EXECUTE', statements.get(name) ?? null);
    if (fails(false) && verb !== 'ROLLBACK') throw new Failure('XX000');
    switch (verb) {
      case 'BEGIN':
        if (status === 'I') status = 'T';
        return 'BEGIN';
      case 'COMMIT':
        endTransaction(status !== 'E');
        return 'COMMIT';
      case 'ROLLBACK':
        if (name === 'TO') {
          if (level === 0) throw new Failure('3B001');
          for (const [portalName, portal] of portals)
            if ((portal.level ?? -1) > 0) portals.delete(portalName);
          status = 'T';
          return 'ROLLBACK';
        }
        endTransaction(false);
        return 'ROLLBACK';
      case 'SAVEPOINT':
        if (status !== 'T') throw new Failure('25P01');
        level = 1;
        return 'SAVEPOINT';
      case 'PREPARE':
        if (statements.has(name)) throw new Failure('42P05');
        statements.set(name, rest.replace(/^AS /, ''));
        return 'PREPARE';
      case 'DEALLOCATE':
      case 'DISCARD':
        if (name !== 'ALL') {
          if (!statements.delete(name)) throw new Failure('26000');
          return 'DEALLOCATE';
        }
        if (verb === 'DISCARD') {
          if (status !== 'I') throw new Failure('25001');
          for (const [portalName, portal] of portals) if (portal !== active) portals.delete(portalName);
        }
        for (const statement of [...statements.keys()]) if (statement !== '') statements.delete(statement);
        return verb;
      case 'DECLARE': {
        const hold = rest.includes('WITH HOLD');
        if (status === 'I' && !hold) throw new Failure('25P01');
        if (portals.has(name)) throw new Failure('42P03');
        portals.set(name, { text: rest.replace(/^.* FOR /, ''), hold, level, done: false });
        return 'DECLARE CURSOR';
      }
      case 'CLOSE':
        if (name === 'ALL') {
          for (const [portalName, portal] of portals) if (portal !== active) portals.delete(portalName);
        } else if (!portals.delete(name)) {
          throw new Failure('34000');
        }
        return 'CLOSE CURSOR';
      case 'EXECUTE':
        if (!statements.has(name)) throw new Failure('26000');
        return 'SELECT 1';
      default:
        return 'SELECT 1';
    }
  }

  function query(text: string): Reply[] {
    statements.delete('');
    const replies: Reply[] = [];
    const parts = text
      .split(';')
      .map((part) => part.trim())
      .filter((part) => part !== '');
    try {
      if (text.startsWith('holdfast refused')) throw new Failure('42601');
      if (parts.length === 0) replies.push('EmptyQueryResponse');
      for (const [index, part] of parts.entries()) {
        checkAborted(part);
        portals.delete('');
        const tag = run(part, null);
        // The commit comes before the last statement is reported complete, and may fail (a deferred constraint).
        if (index === parts.length - 1 && status === 'I') {
          if (fails(true)) throw new Failure('23505');
          endTransaction(true);
        }
        replies.push(`CommandComplete "${tag}"`);
      }
      if (status === 'I') endTransaction(true);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      abort();
      replies.push(`ErrorResponse ${error.message}`);
    }
    return [...replies, `ReadyForQuery ${status}`];
  }

  function extended(name: string, first: string, second: string): Reply[] {
    switch (name) {
      case 'Parse':
        if (first === '') statements.delete('');
        checkAborted(second);
        if (fails(false)) throw new Failure('42601');
        if (statements.has(first)) throw new Failure('42P05');
        statements.set(first, second);
        return ['ParseComplete'];
      case 'Bind': {
        const text = statements.get(second);
        used('bind', text ?? null);
        if (text === undefined) throw new Failure('26000');
        checkAborted(text);
        if (first === '') portals.delete('');
        if (portals.has(first)) throw new Failure('42P03');
        if (fails(false)) throw new Failure('22P02');
        portals.set(first, { text, hold: false, level, done: false });
        return ['BindComplete'];
      }
      case 'Execute': {
        const portal = portals.get(first);
        const usable = portal !== undefined && !portal.done;
        used('execute', usable ? portal.text : null);
        if (portal === undefined) throw new Failure('34000');
        if (!usable) throw new Failure('55000');
        if (portal.text === '') return ['EmptyQueryResponse'];
        if (UTILITY.test(portal.text)) portal.done = true;
        return [`CommandComplete "${run(portal.text, portal)}"`];
      }
      case 'Close':
        (first.startsWith('S') ? statements : portals).delete(second);
        return ['CloseComplete'];
      default:
        throw new Error(`the model knows no ${name}`);
    }
  }

  return {
    receive(line) {
      const [name = '', ...rest] = Array.from(line.matchAll(/"(?:[^"\\]|\\.)*"|\S+/g), ([word]) =>
        word.startsWith('"') ? (JSON.parse(word) as string) : word,
      );
      const [first = '', second = ''] = rest;
      let replies: Reply[] = [];
      if (name === 'Sync') {
        skipping = false;
        if (status === 'I') {
          const failed = fails(true);
          endTransaction(!failed);
          if (failed) replies.push('ErrorResponse 23505');
        }
        replies.push(`ReadyForQuery ${status}`);
      } else if (skipping || name === 'Flush') {
        replies = [];
      } else if (name === 'Query') {
        replies = query(first);
      } else {
        try {
          if (line === 'Execute missing') throw new Failure('34000');
          replies = extended(name, first, second);
        } catch (error) {
          if (!(error instanceof Failure)) throw error;
          abort();
          skipping = true;
          replies = [`ErrorResponse ${error.message}`];
        }
      }
      return replies.map(backend);
    },
  };
}
