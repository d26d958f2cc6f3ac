/**
 * What the rules make of one count: whether what was counted may stay, is refused, or is
 * undone so that people can approve it first.
 *
 * Law: nothing is remembered and nothing recorded here; the same count in the same role
 * comes to the same word. A policy that only watches never keeps anything from passing.
 */
import type { Refusal } from '../errors.js';
import { total, within } from '../impact/impact.js';
import type { Approved, Impact } from '../impact/impact.js';
import { judgeImpact, runsOnce, strictestFirst, toleranceOf } from '../policy/measured.js';
import type { Match } from '../policy/types.js';
import { commandWords, described } from '../policy/words.js';
import type { StatementFacts } from '../sql/facts.js';
import type { CountingNeeds } from './counting-needs.js';
import { cannotBeHeld } from './hold-words.js';
import {
  CANNOT_BE_UNDONE,
  NOT_RUN_TWICE,
  WAITS_AT_COMMIT,
  atCommit,
  cannotBeTried,
  exceeds,
  impactRefusal,
} from './impact-words.js';
import type { JudgedStatementRecord } from './statement-record.js';
import type { SessionRole } from './session-role.js';

/** What is to become of what was counted. */
export type Word = 'pass' | 'refuse' | 'undo';

/** What was approved of a run; `unmeasured`: the statement, whatever it changes; null: nothing had to be. */
export type ApprovedOf = readonly Approved[] | 'unmeasured' | null;

/** One count, and what it is judged by. */
export interface CountedRun {
  readonly record: JudgedStatementRecord;
  readonly impact: Impact;
  /** What its transaction has come to with it. */
  readonly transaction: Impact;
  /** It is committed with itself. */
  readonly ofOneStatement: boolean;
  readonly approved: ApprovedOf;
  /** It runs only to be counted, and undone. */
  readonly trial: boolean;
  /** The conversation can undo it. */
  readonly undoable: boolean;
}

export interface Verdict {
  readonly matches: readonly Match[];
  readonly word: Word;
}

export class CountVerdict {
  readonly #role: SessionRole;
  readonly #needs: CountingNeeds;
  readonly #user: string;
  readonly #environment: string;
  readonly #confirmed: () => boolean;

  /** @param confirmed whether the session has named the environment that it means */
  constructor(parts: {
    readonly role: SessionRole;
    readonly needs: CountingNeeds;
    readonly user: string;
    readonly environment: string;
    readonly confirmed: () => boolean;
  }) {
    this.#role = parts.role;
    this.#needs = parts.needs;
    this.#user = parts.user;
    this.#environment = parts.environment;
    this.#confirmed = parts.confirmed;
  }

  of(counted: CountedRun): Verdict {
    const matches = this.#matches(counted);
    return { matches, word: this.#word(matches[0] ?? null, counted) };
  }

  /** What the client hears of a count whose word is `refuse`. */
  refusal(matches: readonly Match[], decision: string): Refusal {
    const decisive = matches[0] ?? null;
    if (decisive === null || decisive.action === 'warn') return cannotBeTried(decision);
    return impactRefusal(matches, decisive, decision, {
      unheld: decisive.action === 'hold' ? (this.#unheld ?? this.#notUndone) : null,
      environment: decisive.action === 'confirm' ? this.#environment : null,
    });
  }

  /** What the rules say of what was counted, and whether it may be committed at all without people. */
  #matches({ impact, transaction, ofOneStatement, approved, record }: CountedRun): readonly Match[] {
    const { role } = this.#role.scope;
    const subject = (): string => subjectOf(record.facts, record.operation);
    const all = judgeImpact(role, {
      subject,
      role: role.name,
      statement: impact,
      transaction,
    });
    // What is not in a block is committed with the statement.
    if (this.#needs.heldAtCommit && ofOneStatement && total(impact) > 0)
      all.push(atCommit(role.name, impact, true));
    if (approved === null) return strictestFirst(all);
    if (approved === 'unmeasured' || within(impact, approved, toleranceOf(role)))
      return strictestFirst(all.filter(({ action }) => action !== 'hold'));
    return strictestFirst([exceeds(subject()), ...all]);
  }

  #word(decisive: Match | null, { trial, undoable }: CountedRun): Word {
    if (this.#role.observing) return 'pass';
    switch (decisive?.action) {
      case 'deny':
        return 'refuse';
      case 'hold':
        return undoable && this.#unheld === null ? 'undo' : 'refuse';
      case 'confirm':
        if (!this.#confirmed()) return 'refuse';
        break;
      case undefined:
      case 'allow':
      case 'warn':
        break;
    }
    if (!trial) return 'pass';
    return undoable ? 'undo' : 'refuse';
  }

  /** Why nothing of this role can be held; null: it can. */
  get #unheld(): string | null {
    const { role, policy } = this.#role.scope;
    return cannotBeHeld(role, policy.approvers, this.#user);
  }

  /** Why what must be approved is not undone for that, and run again. */
  get #notUndone(): string {
    if (!runsOnce(this.#role.scope.role)) return CANNOT_BE_UNDONE;
    return this.#needs.heldAtCommit ? `${NOT_RUN_TWICE} ${WAITS_AT_COMMIT}` : NOT_RUN_TWICE;
  }
}

function subjectOf(facts: StatementFacts | null, operation: string): string {
  const action = facts?.actions.find(({ effect }) => effect !== 'read') ?? facts?.actions[0];
  return action === undefined ? commandWords(operation) : described(action);
}
