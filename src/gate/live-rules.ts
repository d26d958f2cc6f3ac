/**
 * The rules of one session that only the moment can answer: their questions are asked
 * each time that a text is to run, and what it changes is charged to its user's budget.
 *
 * Law: a text that was kept is never changed; with what its questions found it is
 * another text, good for the message at hand alone. What is asked must have been found
 * out before (waits.ts); here nothing waits. It blocks nothing and records nothing.
 */
import { prospects } from '../holds/eligibility.js';
import type { BudgetKey, WriteBudgets } from '../impact/budget.js';
import { questionsOf, withAnswers } from '../policy/live.js';
import type { BudgetAsk, LiveFacts } from '../policy/live-facts.js';
import type { Judgement, LiveQuestion } from '../policy/types.js';
import { statementRecord } from './statement-record.js';
import type { JudgedText, JudgingContext } from './judged-text.js';
import type { Run } from './recorder.js';
import type { RecoveryStore } from './recovery-store.js';
import type { SessionRole } from './session-role.js';

export interface LiveServices extends JudgingContext {
  readonly budgets: WriteBudgets;
  /** Milliseconds since 1970, on the clock that the budgets go by. */
  readonly budgetClock: () => number;
  readonly recovery: RecoveryStore;
}

export class LiveRules {
  readonly #services: LiveServices;
  readonly #user: string;
  readonly #role: SessionRole;
  readonly #facts: LiveFacts;
  /** Runs that count and whose rows are not known yet, with the budget that they are charged to. */
  readonly #open = new Map<Run, BudgetKey>();

  /** @param user the database user of the session */
  constructor(services: LiveServices, user: string, role: SessionRole) {
    const { budgets, recovery, budgetClock } = services;
    this.#services = services;
    this.#user = user;
    this.#role = role;
    this.#facts = {
      user,
      resetBy: () => this.#resetBy(),
      recovery: (ask) => recovery.recovery(ask),
      spent: (ask) => budgets.spent(this.#key(ask), budgetClock()),
      clearsIn: (ask) => budgets.clearsIn(this.#key(ask), ask, budgetClock()),
    };
  }

  /**
   * The text with what its questions find now; the same object where they find nothing.
   * @param earlier statements of the same message that run before it
   */
  settle(judged: JudgedText, earlier = ofOwnNames(judged)): JudgedText {
    const judgement = withAnswers(judged.judgement, this.#facts, earlier);
    return judgement === judged.judgement ? judged : this.#judgedAs(judged, judgement);
  }

  /** Several texts, of which one that stands there twice stays one. */
  settleAll(texts: readonly JudgedText[]): JudgedText[] {
    if (texts.every(({ judgement }) => questionsOf(judgement).length === 0)) return [...texts];
    const settled = new Map<JudgedText, JudgedText>();
    return texts.map((text) => {
      const known = settled.get(text) ?? this.settle(text);
      settled.set(text, known);
      return known;
    });
  }

  /**
   * Whether a text must wait until it is known what those before it in this session have changed: otherwise a
   * pipeline could spend a budget of rows many times over before the first of them has been counted.
   */
  mustCountFirst(texts: readonly JudgedText[]): boolean {
    if (this.#open.size === 0) return false;
    return texts.some((text) => (budgetOf(questionsOf(text.judgement))?.rows ?? null) !== null);
  }

  /**
   * The runs of a text are let through: each that counts is charged as a statement, and its rows when they are known.
   * @param runs one for each of the text's statements
   * @param reached what its EXECUTE and FETCH statements run
   */
  passed(judged: JudgedText, runs: readonly (Run | null)[], reached: readonly JudgedText[]): void {
    const byText = questionsOf(judged.judgement);
    // A name may be one that the text itself prepares.
    const byName =
      budgetOf(reached.flatMap((text) => questionsOf(text.judgement))) ??
      (judged.prepares.size > 0 ? budgetOf(byText) : null);
    if (byName === null && byText.length === 0) return;
    for (const [index, run] of runs.entries()) {
      const { questions = [], facts = null } = judged.judgement.statements[index] ?? {};
      const named = facts?.names.some(({ kind }) => kind === 'execute' || kind === 'fetch') === true;
      const ask = (byText.length > 0 ? budgetOf(questions) : null) ?? (named ? byName : null);
      if (run === null || ask === null || facts?.operation === 'prepare') continue;
      const key = this.#key(ask);
      this.#services.budgets.charge(key, { rows: 0, statements: 1 }, this.#services.budgetClock());
      this.#open.set(run, key);
    }
  }

  /**
   * What a run has changed is known: it is charged, where the run counts. Only the first word on a run counts.
   * @param rows changed by it; 0 where it failed
   */
  changed(run: Run, rows: number): void {
    const key = this.#open.get(run);
    if (key === undefined) return;
    this.#open.delete(run);
    if (rows > 0) this.#services.budgets.charge(key, { rows, statements: 0 }, this.#services.budgetClock());
  }

  /** Who may reset this user's budget, as long as there is somebody. */
  #resetBy(): readonly string[] {
    const { role, policy } = this.#role.scope;
    const groups = role.hold?.approvers ?? [];
    const { enough } = prospects(policy.approvers, { user: this.#user, groups, approvals: 1 });
    return enough ? groups : [];
  }

  #key({ windowMs }: BudgetAsk): BudgetKey {
    return { role: this.#role.scope.role.name, user: this.#user, windowMs };
  }

  /** A text whose judgement is another one, with records that say so. */
  #judgedAs(judged: JudgedText, judgement: Judgement): JudgedText {
    return {
      ...judged,
      judgement,
      verdict: judgement.verdict,
      statements: judged.statements.map((record, index) =>
        statementRecord(judged.scope, this.#services.metrics, {
          operation: record.operation,
          facts: record.facts,
          sql: record.sql,
          verdict: judgement.verdict,
          matches: [...(judgement.statements[index]?.matches ?? []), ...judgement.matches],
          changes: record.changes,
          measuring: record.measuring,
        }),
      ),
    };
  }
}

/** How often a text may run what it prepares itself. */
function ofOwnNames({ prepares, executes }: JudgedText): number {
  return prepares.size > 0 ? Math.max(0, executes.length - 1) : 0;
}

function budgetOf(questions: readonly LiveQuestion[]): BudgetAsk | null {
  for (const { ask } of questions) if (ask.kind === 'budget') return ask;
  return null;
}
