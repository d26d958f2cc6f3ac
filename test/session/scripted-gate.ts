/**
 * A gate that reads its verdicts off the text, so that a transcript explains
 * itself: DROP is refused, WARN passes with a warning, WAIT waits for `! resume`.
 * After `! revoke`, texts that say LATER are refused, too, as after a reload of the
 * policy. GUARD is counted, by a query of the name `count` (STDIN: it is a COPY … FROM
 * STDIN; PREVIEW: it may be undone); then LIMIT refuses it, and UNDO has it undone,
 * once, where that is possible: asked about it again, the gate refuses where it says
 * DENIED, waits for `! resume` where it says HELD, and does not count it any more where
 * it says FREE. ASK asks two questions before it runs, and refuses it where the answer is `no`; KEEP asks for the rows
 * of the second when it has been counted, refuses it when they are more than 100 bytes, waits for `! resume`, and asks a
 * last time. Of PEOPLE somebody decides: its Execute waits for `! resume`. A Query with a GUARD is carried. PREPARE,
 * DEALLOCATE, DECLARE, CLOSE, EXECUTE and DISCARD mean what they say.
 */
import type { Refusal } from '../../src/errors.js';
import type { NameChange } from '../../src/session/names.js';
import type {
  CarriedStatement,
  CountedAnswer,
  Counts,
  Ending,
  Execution,
  Guard,
  Meaning,
  MessageAnswer,
  NameLookup,
  PassedStatement,
  Question,
  QueryAnswer,
  StatementGate,
} from '../../src/session/ports.js';

export interface Text {
  readonly sql: string;
}

interface Portal {
  readonly texts: readonly Text[];
}

function run(sql: string): Question {
  return { kind: 'run', sql, parameters: ['p'] };
}

export class ScriptedGate implements StatementGate {
  /** What was said of executions, in words. */
  readonly outcomes: string[] = [];
  readonly seen: string[] = [];
  /** How often what was not yet committed was undone by an error. */
  failedCommits = 0;
  revoked = false;
  released = false;
  functionCalls = false;
  /** Called when what was counted is to stay. */
  onPass: () => void = () => undefined;
  /** What was undone, and is asked about again. */
  readonly #undone = new Set<string>();
  readonly #texts = new Map<string, Text>();

  query(bytes: Buffer, start: number, end: number, names: NameLookup): QueryAnswer {
    const sql = bytes.toString('utf8', start, end);
    if (this.#mustWait(sql)) return { kind: 'wait' };
    this.seen.push(sql);
    const parts = sql.split(';').filter((part) => part.trim() !== '');
    for (const part of parts) {
      const refusal = this.#refusal(part) ?? this.#byName(part, names);
      if (refusal !== null) return { kind: 'refuse', refusal };
    }
    const again = this.#again(sql);
    if (again !== null) return again;
    if (parts.some((part) => this.#guard(part) !== null)) {
      const carried: CarriedStatement[] = parts.map((part) => ({
        execution: { sql: part.trim() },
        changes: this.#changes(part),
        text: Buffer.from(part.trim()),
        guard: this.#guard(part),
      }));
      return { kind: 'carry', statements: carried, notice: notice(sql) };
    }
    const statements: PassedStatement[] = (parts.length === 0 ? [sql] : parts).map((part) => ({
      execution: { sql: part.trim() },
      changes: this.#changes(part),
    }));
    return { kind: 'pass', statements, notice: notice(sql) };
  }

  parse(_name: string, bytes: Buffer, start: number, end: number): MessageAnswer {
    const sql = bytes.toString('utf8', start, end);
    if (this.#mustWait(sql)) return { kind: 'wait' };
    this.seen.push(sql);
    const refusal = this.#refusal(sql);
    if (refusal !== null) return { kind: 'refuse', refusal };
    return { kind: 'pass', execution: null, changes: [], meaning: this.#text(sql), notice: notice(sql) };
  }

  bind(meanings: readonly Meaning[], statement: string): MessageAnswer {
    const texts = meanings as readonly Text[];
    this.seen.push(`bind ${texts.map(({ sql }) => sql).join(' | ')}`);
    if (texts.length === 0) return { kind: 'refuse', refusal: refusal('26000', `no ${statement}`) };
    for (const { sql } of texts) {
      const no = this.#refusal(sql);
      if (no !== null) return { kind: 'refuse', refusal: no };
    }
    const guard = this.#guard(texts.at(-1)?.sql ?? '');
    const meaning: Portal = { texts };
    return {
      kind: 'pass',
      execution: null,
      changes: [],
      meaning,
      notice: null,
      again: guard?.preview === true || texts.some(({ sql }) => sql.includes('PEOPLE')),
    };
  }

  execute(meanings: readonly Meaning[], portal: string, names: NameLookup): MessageAnswer {
    const texts = (meanings as readonly Portal[]).flatMap((meaning) => meaning.texts);
    this.seen.push(`execute ${texts.map(({ sql }) => sql).join(' | ')}`);
    for (const { sql } of texts) {
      const no = this.#refusal(sql) ?? this.#byName(sql, names);
      if (no !== null) return { kind: 'refuse', refusal: no };
    }
    // Which of them runs is not known, so neither is what it changes.
    const several = new Set(texts).size > 1;
    if (several && texts.some((text) => this.#changes(text.sql).length > 0)) {
      return { kind: 'refuse', refusal: refusal('54000', `${portal} may change names, or not`) };
    }
    const sql = texts.at(-1)?.sql ?? `unknown ${portal}`;
    if (sql.includes('PEOPLE') && !this.released) return { kind: 'wait', people: true };
    const again = this.#again(sql);
    if (again !== null) return again;
    const guard = this.#guard(sql);
    return {
      kind: 'pass',
      execution: { sql },
      changes: this.#changes(sql),
      meaning: null,
      notice: null,
      guard,
    };
  }

  functionCall(): MessageAnswer {
    if (!this.functionCalls) return { kind: 'refuse', refusal: refusal('42501', 'FunctionCall') };
    return { kind: 'pass', execution: { sql: 'FunctionCall' }, changes: [], meaning: null, notice: null };
  }

  counted(
    execution: Execution | null,
    { rows }: Ending,
    before: Counts,
    after: Counts,
    undoable: boolean,
  ): CountedAnswer {
    const { sql } = execution as Text;
    const words = `${sql}: counted ${rows ?? '-'}, ${before.flat().join()} to ${after.flat().join()}`;
    if (sql.includes('UNDO') && undoable && !this.#undone.has(sql)) {
      this.#undone.add(sql);
      this.outcomes.push(`${words}: undo`);
      return { kind: 'undo' };
    }
    if (sql.includes('LIMIT')) {
      this.outcomes.push(`${words}: refuse`);
      return { kind: 'refuse', refusal: refusal('42501', 'LIMIT') };
    }
    const pass: CountedAnswer = { kind: 'pass', notice: sql.includes('WARN') ? notice(sql) : null };
    const settle = (answer: CountedAnswer): CountedAnswer => {
      this.outcomes.push(`${words}: ${answer.kind}`);
      if (answer.kind === 'pass') this.onPass();
      return answer;
    };
    return sql.includes('KEEP') ? this.#keeping(sql, pass, settle) : settle(pass);
  }

  #keeping(
    sql: string,
    pass: CountedAnswer,
    settle: (answer: CountedAnswer) => CountedAnswer,
  ): CountedAnswer {
    return {
      kind: 'ask',
      questions: [{ kind: 'read', cursor: '0' }],
      limit: 100,
      then: (answers) => {
        if (answers === null) return settle({ kind: 'refuse', refusal: refusal('54000', 'KEEP') });
        this.outcomes.push(`${sql}: kept ${answers.flat(2).join()}`);
        const last: CountedAnswer = {
          kind: 'ask',
          questions: [run('SELECT back')],
          limit: 100,
          then: () => settle(pass),
        };
        const look = (): CountedAnswer => (this.released ? last : { kind: 'wait', then: look });
        return look();
      },
    };
  }

  uncounted(
    execution: Execution | null,
    sqlstate: string,
    _message: string,
    what: 'counting' | 'asking',
  ): Refusal | null {
    if (execution !== null) this.ended(execution, { rows: null, sqlstate, skipped: false });
    return sqlstate.startsWith('25')
      ? null
      : refusal(what === 'asking' ? '42000' : '42501', 'cannot be told');
  }

  commitFailed(): void {
    this.failedCommits += 1;
  }

  #guard(sql: string): Guard | null {
    if (!sql.includes('GUARD') || (sql.includes('FREE') && this.#undone.has(sql))) return null;
    return {
      before: { name: 'count', sql: 'SELECT counts' },
      after: sql.includes('NAMES')
        ? { name: 'names', sql: 'SELECT names' }
        : { name: 'count', sql: 'SELECT counts' },
      copyIn: sql.includes('STDIN'),
      preview: sql.includes('PREVIEW'),
      first: sql.includes('ASK') ? this.#asking(sql) : null,
    };
  }

  #asking(sql: string): Guard['first'] {
    return {
      kind: 'ask',
      questions: [run('SELECT asked')],
      limit: 100,
      then: (answers) => {
        const answer = answers?.flat(2).join() ?? 'too much';
        this.outcomes.push(`${sql}: asked ${answer}`);
        if (answer === 'no') return { kind: 'refuse', refusal: refusal('42501', 'ASK') };
        return {
          kind: 'ask',
          questions: [{ kind: 'open', cursor: '0', sql: 'SELECT rows' }],
          limit: 0,
          then: () => ({ kind: 'run' }),
        };
      },
    };
  }

  /** What is said to a message that was undone; null: it passes. */
  #again(sql: string): { kind: 'refuse'; refusal: Refusal } | { kind: 'wait' } | null {
    if (!this.#undone.has(sql)) return null;
    if (sql.includes('DENIED')) return { kind: 'refuse', refusal: refusal('57014', 'DENIED') };
    return sql.includes('HELD') && !this.released ? { kind: 'wait' } : null;
  }

  ended(execution: Execution, { rows, sqlstate, skipped }: Ending): void {
    const how = skipped ? 'skipped' : sqlstate === null ? `ok ${rows ?? '-'}` : `failed ${sqlstate}`;
    this.outcomes.push(`${(execution as Text).sql}: ${how}`);
  }

  unrecorded(): Refusal {
    return refusal('58030', 'the audit log cannot be written');
  }

  parameter(name: string, value: string): Refusal | null {
    const lost = name === 'default_transaction_read_only' && value === 'off';
    return lost ? { ...refusal('42501', 'read only'), severity: 'FATAL' } : null;
  }

  #mustWait(sql: string): boolean {
    return sql.includes('WAIT') && !this.released;
  }

  /** One object a text, as the real gate's cache gives. */
  #text(sql: string): Text {
    const known = this.#texts.get(sql);
    if (known !== undefined) return known;
    const text = { sql };
    this.#texts.set(sql, text);
    return text;
  }

  #refusal(sql: string): Refusal | null {
    if (/\bDROP\b/.test(sql)) return refusal('42501', 'DROP');
    return this.revoked && sql.includes('LATER') ? refusal('42501', 'LATER') : null;
  }

  #byName(sql: string, names: NameLookup): Refusal | null {
    const [, name] = /^\s*EXECUTE (\w+)/.exec(sql) ?? [];
    if (name === undefined) return null;
    const texts = names.statements(name) as readonly Text[];
    if (texts.length === 0) return refusal('26000', `no ${name}`);
    return texts.map((text) => this.#refusal(text.sql)).find((no) => no !== null) ?? null;
  }

  #changes(sql: string): NameChange<Meaning>[] {
    const [, verb = '', name = '', rest = ''] =
      /^\s*(PREPARE|DEALLOCATE|DECLARE|CLOSE|DISCARD) (\w+)\s*(.*)$/s.exec(sql) ?? [];
    switch (verb) {
      case 'PREPARE':
        return [{ kind: 'define_statement', name, meaning: this.#text(rest.replace(/^AS /, '')) }];
      case 'DEALLOCATE':
        return [name === 'ALL' ? { kind: 'drop_all_statements' } : { kind: 'drop_statement', name }];
      case 'DECLARE': {
        const meaning: Portal = { texts: [this.#text(rest.replace(/^.* FOR /, ''))] };
        return [{ kind: 'define_portal', name, meaning, hold: rest.includes('WITH HOLD') }];
      }
      case 'CLOSE':
        return [name === 'ALL' ? { kind: 'drop_all_portals' } : { kind: 'drop_portal', name }];
      case 'DISCARD':
        return [{ kind: 'drop_all_statements' }, { kind: 'drop_all_portals' }];
      default:
        return [];
    }
  }
}

function refusal(sqlstate: string, message: string): Refusal {
  return { severity: 'ERROR', sqlstate, message: `holdfast: ${message}`, routine: 'holdfast/test' };
}

function notice(
  sql: string,
): { severity: 'WARNING'; sqlstate: string; message: string; routine: string } | null {
  return sql.includes('WARN')
    ? { severity: 'WARNING', sqlstate: '01000', message: 'holdfast: careful', routine: 'holdfast/test' }
    : null;
}
