/**
 * From a text's bytes to the text as the session's role sees it: out of the cache,
 * analysed on the spot, or analysed by the pool where it is large.
 *
 * Law: every way of reading a text, and of standing in for one that is not read,
 * ends here in a JudgedText. It knows neither the session's names nor what blocks a
 * statement beside its own judgement, and records nothing.
 */
import { isUtf8 } from 'node:buffer';
import { hash } from 'node:crypto';
import type { CounterChild } from '../metrics.js';
import type { Match } from '../policy/types.js';
import { INLINE_LIMIT_BYTES, analyze } from '../sql/analyze.js';
import type { Analysis } from '../sql/facts.js';
import { sharedText } from './analysis-pool.js';
import type { AnalysisPool, PooledAnalysis } from './analysis-pool.js';
import { judgeText, unreadText } from './judged-text.js';
import type { JudgedText, JudgingContext } from './judged-text.js';
import type { SessionRole } from './session-role.js';
import { INSUFFICIENT_PRIVILEGE } from './words.js';

export interface ReaderServices extends JudgingContext {
  readonly pool: AnalysisPool;
  /** Largest statement, bytes. */
  readonly statementLimit: number;
  /** Milliseconds on a clock that never goes back. */
  readonly clock: () => number;
  readonly cacheHits: CounterChild;
  readonly cacheMisses: CounterChild;
}

/** A text that is with the analysis pool, and what it made of it. */
interface LargeText {
  readonly text: Buffer;
  readonly startedAt: number;
  result: PooledAnalysis | null;
}

const NO_TEXT = {
  text: null,
  sha256: hash('sha256', '', 'hex'),
  bytes: 0,
  truncated: false,
  redacted: false,
} as const;

/** The first `limit` bytes, less what would cut a character in two. */
function beginning(text: Buffer, limit: number): Buffer {
  if (text.length <= limit) return text;
  let end = limit;
  while (end > 0 && ((text[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return text.subarray(0, end);
}

export class TextReader {
  readonly #services: ReaderServices;
  readonly #role: SessionRole;
  readonly #replication: boolean;
  /** Called when a text that read() had no answer for can be asked about again. */
  readonly #onReady: () => void;
  /** The text that is with the analysis pool, and its analysis once that is back. */
  #large: LargeText | null = null;

  /** @param replication the session is a replication connection, whose commands are not SQL */
  constructor(services: ReaderServices, role: SessionRole, replication: boolean, onReady: () => void) {
    this.#services = services;
    this.#role = role;
    this.#replication = replication;
    this.#onReady = onReady;
  }

  /** When the message at hand was first looked at: a large text is asked about twice. */
  startOfDecision(): number {
    return this.#large?.result ? this.#large.startedAt : this.#services.clock();
  }

  /** The text `bytes[start, end)` judged for this session's role; null while it is with the analysis pool. */
  read(bytes: Buffer, start: number, end: number, startedAt: number): JudgedText | null {
    const size = end - start;
    if (size > INLINE_LIMIT_BYTES) return this.#largeText(bytes.subarray(start, end), startedAt);
    const { scope } = this.#role;
    const key = bytes.toString('latin1', start, end);
    const known = scope.texts.get(key);
    if (known !== undefined) {
      this.#services.cacheHits.inc();
      return known;
    }
    const text = bytes.subarray(start, end);
    if (!isUtf8(text)) return this.#notUtf8(text);
    this.#services.cacheMisses.inc();
    const decoded = text.toString('utf8');
    // One string where both spellings agree: the text is ASCII then.
    const sql = decoded.length === key.length ? key : decoded;
    const judged = judgeText(key, sql, this.#classified(analyze(sql)), scope, this.#services);
    scope.texts.set(key, judged);
    return judged;
  }

  /** A text that was judged before, judged by the policy in force. */
  current(text: JudgedText): JudgedText {
    const { scope } = this.#role;
    if (text.scope === scope) return text;
    const known = scope.texts.get(text.key);
    if (known !== undefined) return known;
    if (text.key === '') {
      // Nobody knows its text, so only who may do anything may go on using it.
      const match: Match = {
        rule: 'names',
        action: 'deny',
        message: 'what this name stands for is not known',
        hint: null,
        offset: null,
      };
      return this.unread(
        'unknown_statement',
        this.#role.mayDoAnything ? null : match,
        INSUFFICIENT_PRIVILEGE,
      );
    }
    const judged = judgeText(text.key, text.sql, text.analysis, scope, this.#services, text.whole);
    // The key of a large text is its hash: short, however much hangs on it.
    if (text.sql.length <= INLINE_LIMIT_BYTES) scope.texts.set(text.key, judged);
    return judged;
  }

  /**
   * Stands in for a text that there is none of, or that is not read.
   * @param match why it may not pass; null: it may
   * @param text what to record the hash of
   */
  unread(operation: string, match: Match | null, sqlstate: string, text?: Buffer): JudgedText {
    const sql =
      text === undefined
        ? NO_TEXT
        : {
            text: null,
            sha256: hash('sha256', text, 'hex'),
            bytes: text.length,
            truncated: false,
            redacted: false,
          };
    return unreadText(this.#role.scope, this.#services, operation, match, sqlstate, sql);
  }

  /** A text that is analysed by the pool, and never cached. The main thread does with it as little as it can. */
  #largeText(text: Buffer, startedAt: number): JudgedText | null {
    if (text.length > this.#services.statementLimit) return this.#tooLarge(text);
    if (!isUtf8(text)) return this.#notUtf8(text);
    const large = this.#large;
    if (large?.text.equals(text) !== true) {
      this.#analyzeElsewhere(sharedText(text), startedAt);
      return null;
    }
    if (large.result === null) return null;
    this.#large = null;
    this.#services.cacheMisses.inc();
    const { analysis, sha256 } = large.result;
    const limit = this.#services.recordLimit;
    const digest = sha256 ?? hash('sha256', text, 'hex');
    return judgeText(
      `\0sha256:${digest}`,
      beginning(text, limit).toString('utf8'),
      this.#classified(analysis),
      this.#role.scope,
      this.#services,
      text.length > limit ? { sha256: digest, bytes: text.length } : null,
    );
  }

  #analyzeElsewhere(text: Buffer, startedAt: number): void {
    const large: LargeText = { text, startedAt, result: null };
    this.#large = large;
    void this.#services.pool.analyze(text).then((result) => {
      if (this.#large !== large) return;
      large.result = result;
      this.#onReady();
    });
  }

  #notUtf8(text: Buffer): JudgedText {
    const match: Match = {
      rule: 'encoding',
      action: 'deny',
      message: 'the statement is not valid UTF-8, the only encoding in which statements are judged',
      hint: 'Set client_encoding to UTF8 and send UTF-8.',
      offset: null,
    };
    return this.unread('unreadable', match, '22021', text);
  }

  #tooLarge(text: Buffer): JudgedText {
    const match: Match = {
      rule: 'too-large',
      action: 'deny',
      message: `the statement is ${text.length} bytes long; the limit is ${this.#services.statementLimit}`,
      hint: 'Split it, or load the data with COPY. The limit is limits.statement in the settings.',
      offset: null,
    };
    return this.unread('too_large', match, '54000', text);
  }

  /** Replication commands are not SQL; on a replication connection, which takes admin access, they pass as what they are. */
  #classified(analysis: Analysis): Analysis {
    if (!this.#replication || analysis.kind !== 'syntax_error') return analysis;
    return { kind: 'statements', statements: [] };
  }
}
