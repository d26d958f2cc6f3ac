/**
 * Whether a text may pass in one session now, or could if people approved it: by its
 * judgement, by what its names stand for, and by whether the server reads it alike.
 *
 * Law: it only looks; what is done about it, recording included, is the gate's.
 */
import type { HeldParameter } from '../holds/hold.js';
import type { NameLookup } from '../session/ports.js';
import { parametersNotKept, unknownName } from './blocks.js';
import type { Block } from './blocks.js';
import { TOO_LONG_TO_HOLD, cannotBeHeld } from './hold-words.js';
import type { Bound, JudgedText } from './judged-text.js';
import type { LexerAgreement } from './lexer-agreement.js';
import type { LiveRules } from './live-rules.js';
import type { SessionRole } from './session-role.js';
import type { SessionTarget } from './target.js';
import type { TextReader } from './text-reader.js';
import { TARGET_VALID_MS, policyRefusal } from './words.js';

/** What names in a text stand for: why that blocks the text, and what of it people must approve. */
export interface ByNames {
  readonly block: Block | null;
  readonly held: readonly JudgedText[];
  /** Everything that would run by them. */
  readonly reached: readonly JudgedText[];
  /** What the portals among them are bound to. */
  readonly parameters: readonly HeldParameter[];
}

const NO_NAMES: ByNames = { block: null, held: [], reached: [], parameters: [] };

export interface PassageParts {
  readonly environment: string;
  readonly clock: () => number;
  /** The database user of the session. */
  readonly user: string;
  readonly role: SessionRole;
  readonly texts: TextReader;
  readonly target: SessionTarget;
  readonly lexer: LexerAgreement;
  readonly live: LiveRules;
}

export class Passage {
  readonly #parts: PassageParts;

  constructor(parts: PassageParts) {
    this.#parts = parts;
  }

  /** Whether the text itself passes only once it is approved, where nothing blocks it. A PREPARE runs nothing. */
  needsApproval({ verdict, statements }: JudgedText): boolean {
    if (verdict !== 'hold' || this.#parts.role.observing) return false;
    return statements.some(({ operation }) => operation !== 'prepare');
  }

  /** Whether it, or what its names stand for when it runs, may have to be approved. */
  mayNeedApproval(text: JudgedText): boolean {
    return this.needsApproval(text) || text.mayBeHeld || text.executes.length > 0 || text.fetches.length > 0;
  }

  /** Why `judged` may not pass now, whoever approves it; null: nothing. */
  block(judged: JudgedText): Block | null {
    const { role, lexer, environment } = this.#parts;
    if (role.observing) return null;
    const disagreement = lexer.refusal;
    if (disagreement !== null) {
      return {
        refusal: () => disagreement,
        match: {
          rule: 'lexer',
          action: 'deny',
          message: disagreement.message,
          hint: disagreement.hint ?? null,
          offset: null,
        },
      };
    }
    let unheld: string | null = null;
    switch (judged.verdict) {
      case 'allow':
      case 'warn':
        return null;
      case 'confirm':
        if (this.confirmed()) return null;
        break;
      case 'hold':
        unheld = this.#cannotBeHeld(judged);
        if (unheld === null) return null;
        break;
      case 'deny':
        break;
    }
    return { refusal: (decision) => policyRefusal(judged, decision, environment, unheld), match: null };
  }

  #cannotBeHeld({ whole }: JudgedText): string | null {
    const { policy, role } = this.#parts.role.scope;
    return (
      cannotBeHeld(role, policy.approvers, this.#parts.user) ?? (whole === null ? null : TOO_LONG_TO_HOLD)
    );
  }

  /** Whether the session has named its environment, for `confirm`. */
  confirmed(): boolean {
    const { environment, clock, target } = this.#parts;
    return target.says(environment, clock() - TARGET_VALID_MS);
  }

  /**
   * EXECUTE and FETCH are judged by what the name stands for: by everything that it may stand for, and where that is
   * an EXECUTE again (a Parse may be one), by what that one's name stands for.
   */
  byNames(judged: JudgedText, names: NameLookup): ByNames {
    if (judged.executes.length === 0 && judged.fetches.length === 0) return NO_NAMES;
    const { role, texts, live } = this.#parts;
    if (role.observing) return NO_NAMES;
    const held: JudgedText[] = [];
    const parameters: HeldParameter[] = [];
    const blocked = (block: Block): ByNames => ({ ...NO_NAMES, block });
    /** All that run by names but the first are later than it; none of them has been counted. */
    const earlier = judged.executes.length + judged.fetches.length - 1;
    // Grows while it is gone through.
    const reached = [judged];
    for (const text of reached) {
      const meanings: JudgedText[] = [];
      for (const name of text.executes) {
        const known = names.statements(name) as readonly JudgedText[];
        if (known.length === 0 && !judged.prepares.has(name) && !role.mayDoAnything)
          return blocked(unknownName(name));
        meanings.push(...known);
      }
      const portals: (readonly [name: string, portal: Bound])[] = [];
      for (const name of text.fetches) {
        for (const portal of names.portals(name) as readonly Bound[]) portals.push([name, portal]);
      }
      for (const [, portal] of portals) meanings.push(...portal.texts);
      for (const meaning of meanings) {
        const current = texts.current(meaning);
        if (reached.includes(current)) continue;
        const settled = live.settle(current, earlier);
        const block = this.block(settled);
        if (block !== null) return blocked({ ...block, match: block.match ?? settled.judgement.decisive });
        if (this.needsApproval(settled)) held.push(settled);
        reached.push(current);
      }
      for (const [name, portal] of portals) {
        const needs = (meaning: JudgedText): boolean =>
          this.needsApproval(live.settle(texts.current(meaning), earlier));
        if (!portal.texts.some(needs)) continue;
        if (portal.kept.values === null) return blocked(parametersNotKept(name));
        parameters.push(...portal.kept.values);
      }
    }
    return { block: null, held, reached: reached.slice(1), parameters };
  }
}
