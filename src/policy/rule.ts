/**
 * What a rule is: one named check on one statement.
 *
 * Law: a rule sees facts, never SQL text, sockets, clocks or the role that
 * asks. It says what it found; the action is the role's choice and belongs to
 * engine.ts. Each rule has its own file in rules/, its page in docs/rules/ and
 * its line in registry.ts, and nowhere else is its id spelled.
 */
import type { z } from 'zod';
import type { Catalog } from '../catalog/catalog.js';
import type { Action, StatementFacts } from '../sql/facts.js';
import type { Impact } from '../impact/impact.js';
import type { LiveAsk, LiveFacts } from './live-facts.js';
import type { CatalogUnknown, Verdict } from './types.js';

/** One statement of the text, with what a rule may know of its surroundings. */
export interface RuleSubject {
  readonly statement: StatementFacts;
  /** Zero-based place of the statement in its text. */
  readonly index: number;
  /** How many statements the text holds. */
  readonly count: number;
  /** The environment's name from the settings, for messages: `production`. */
  readonly environment: string;
  /** The database of the session. */
  readonly databaseName: string;
  /** What is known of the database; null: nothing, and `catalogUnknown` says what to make of that. */
  readonly catalog: Catalog | null;
  readonly catalogUnknown: CatalogUnknown;
}

/** A statement that has run and been counted, and is not committed. */
export interface MeasuredSubject {
  /** The statement as the subject of a sentence: `DELETE on "account"`. Worked out where there is something to say. */
  readonly subject: () => string;
  /** The policy role's name. */
  readonly role: string;
  /** What the statement did. */
  readonly statement: Impact;
  /** What its transaction did so far, the statement included. */
  readonly transaction: Impact;
}

/** Something that a rule found. */
export interface RuleFinding {
  /** A whole sentence for a person: what would happen. */
  readonly message: string;
  /** What to do instead. */
  readonly hint: string | null;
  /** More for the DETAIL of the error: the tables that would be emptied, with their estimated rows. A sentence or several. */
  readonly detail?: string;
  /** UTF-16 offset in the analysed text of the offending place; null where unknown. */
  readonly offset: number | null;
}

/**
 * `S` is the schema of the rule's own options, always a closed object: an
 * option that the rule does not know is a mistake in the policy, never ignored.
 */
export interface Rule<S extends z.ZodObject = z.ZodObject> {
  /** Kebab case; what policy files, audit records and metrics call the rule. */
  readonly id: string;
  /** What the rule matches, in a few words, for lists and the JSON Schema. */
  readonly title: string;
  /** The action where a role does not name the rule; null: the rule does nothing until a role names it with options. */
  readonly defaultAction: Verdict | null;
  readonly options: S;
  /** `text`: a finding is about the text as a whole (how many statements it holds), not about the statement. */
  readonly scope: 'statement' | 'text';
  /**
   * Everything that matches in one statement. `options` is what the rule's own
   * schema made of the policy file. A method, so that the registry can hold
   * rules of different options in one list.
   */
  check(subject: RuleSubject, options: z.output<S>): readonly RuleFinding[];
  /** Everything that matches in what a statement really did. A rule that has this makes its role's writes be counted before they are committed. */
  measure?(subject: MeasuredSubject, options: z.output<S>): readonly RuleFinding[];
  /**
   * Only of a rule with options of which each may be left out, but not all: what is
   * missing, as a problem of the policy file; null: nothing.
   */
  missing?(options: Readonly<Record<string, unknown>>): string | null;
  /**
   * Only of a rule that depends on more than the statement, the policy and the catalog:
   * `check` finds what it asks about, and whether that matches is asked each time that
   * the statement is to run.
   */
  readonly live?: LiveRule<S>;
}

/** The part of a rule that only the moment can answer. */
export interface LiveRule<S extends z.ZodObject = z.ZodObject> {
  /** What is to be asked, worked out once for each text. */
  ask(options: z.output<S>): LiveAsk;
  /**
   * What is found once the answers are there; null: the statement may pass.
   * @param earlier how many statements that ask the same run before this one in the same message
   */
  answer(
    options: z.output<S>,
    facts: LiveFacts,
    earlier: number,
  ): Pick<RuleFinding, 'message' | 'hint'> | null;
}

/** Gives a rule's `check` the type of its own options. */
export function defineRule<S extends z.ZodObject>(rule: Rule<S>): Rule<S> {
  return rule;
}

const NOTHING: readonly never[] = Object.freeze([]);

/** One finding for each action that a rule is about. Most statements have none, and then nothing is allocated. */
export function findingsOf(
  statement: StatementFacts,
  concerns: (action: Action) => boolean,
  finding: (action: Action) => RuleFinding | null,
): readonly RuleFinding[] {
  let found: RuleFinding[] | null = null;
  for (const action of statement.actions) {
    if (!concerns(action)) continue;
    const one = finding(action);
    if (one !== null) (found ??= []).push(one);
  }
  return found ?? NOTHING;
}

/** What a finding has where the catalog has more to say, and nothing where it has not. */
export function detail(text: string | null): { readonly detail?: string } {
  return text === null ? {} : { detail: text };
}
