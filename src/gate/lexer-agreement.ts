/**
 * Whether the server's lexer reads a text as Holdfast's parser does, going by the
 * settings that the server reports.
 *
 * Law: this file owns which settings make the two agree, and what the server has
 * said of them. What was not reported does not agree. It knows neither statements
 * nor the policy: whoever judges asks refusal.
 */
import type { Refusal } from '../errors.js';
import { lexerDisagrees } from './words.js';

/** What the server's lexer must be set to for Holdfast's parser to read the same text. */
const LEXER_SETTINGS: readonly (readonly [name: string, wanted: string, synonym?: string])[] = [
  ['standard_conforming_strings', 'on'],
  // PostgreSQL reports UNICODE under the name that it was set by, for old JDBC drivers (check_client_encoding in commands/variable.c).
  ['client_encoding', 'UTF8', 'UNICODE'],
];

export class LexerAgreement {
  #reported: ReadonlyMap<string, string> = new Map();
  #refusal: Refusal | null;

  constructor() {
    this.#refusal = this.#disagreement();
  }

  /** Why nothing can be judged: the server has not reported the lexer's settings, or reported others. null: it can. */
  get refusal(): Refusal | null {
    return this.#refusal;
  }

  /** The server has reported a setting, of the lexer or not. */
  parameter(name: string, value: string): void {
    if (!LEXER_SETTINGS.some(([setting]) => setting === name)) return;
    this.#reported = new Map([...this.#reported, [name, value]]);
    this.#refusal = this.#disagreement();
  }

  #disagreement(): Refusal | null {
    for (const [name, wanted, synonym] of LEXER_SETTINGS) {
      const reported = this.#reported.get(name) ?? '';
      if (reported !== wanted && reported !== synonym) return lexerDisagrees(name, reported, wanted);
    }
    return null;
  }
}
