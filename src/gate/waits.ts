/**
 * What keeps a message from being judged at once: replies to what was sent before it,
 * and catalogs that are to be read first. And who need not wait any longer: a message
 * for which a cancel request came.
 *
 * Law: one message waits at a time, and it is asked about again from the start when
 * the connection says ready(). It judges nothing and records nothing.
 */
import type { TransactionStatus } from '../protocol/constants.js';
import type { Notice } from '../protocol/encode.js';
import type { DatabaseCatalog } from './catalog-store.js';
import type { JudgedText } from './judged-text.js';
import type { RecoveryAsk } from '../policy/live-facts.js';
import type { RecoveryStore } from './recovery-store.js';

/** What the gate needs of the connection that it judges for. */
export interface GatedConnection {
  /** What was answered `wait` can be asked again. */
  ready(): void;
  /** Begins to read the catalogs on the session's own connection. @returns false where that is not possible now */
  readCatalog(): boolean;
  /** Begins to ask for the state of WAL archiving on the session's own connection. @returns false where that is not possible now */
  readArchiver(): boolean;
  /** The server owes a ReadyForQuery for what was sent before the message at hand. */
  groupOutstanding(): boolean;
  /** The server owes an answer to anything that was sent before the message at hand. */
  owed(): boolean;
  /** Has the server send what it has answered so far, without the Sync that only the client can send. */
  flush(): void;
  /** Where the transaction stands. */
  transaction(): TransactionState;
  /** Tells the client something between two of the server's messages. */
  notify(notice: Notice): void;
  /** The bytes of the message at hand stay as they are, and are kept while it waits. */
  keepsMessage(): boolean;
}

export interface TransactionState {
  /** The server's last word on it. */
  readonly status: TransactionStatus;
  /** Executes that were sent since the last Sync or Query. */
  readonly executed: number;
  /** The server owes a ReadyForQuery. */
  readonly groupOutstanding: boolean;
  /** How often the server has reported that it is idle outside a transaction. */
  readonly idles: number;
}

/** What standard_conforming_strings and client_encoding are about: backslashes, and what is not ASCII. */
const LEXER_MATTERS = /[^\x00-\x5b\x5d-\x7f]/;

export class Waits {
  readonly #connection: GatedConnection;
  readonly #catalog: DatabaseCatalog;
  readonly #recovery: RecoveryStore;
  readonly #backstop: boolean;
  /**
   * What the message at hand has waited for: a reading of the catalogs that may have begun before it came, or one that
   * has begun since and knows all that there is.
   */
  #catalogAwaited: 'nothing' | 'reading' | 'fresh' = 'nothing';
  /** What the message at hand has waited to find out about the way back; new with each message. */
  #found = new Set<'archiver' | readonly string[]>();
  #heldBack = false;
  #settling = false;
  #cancelled = false;
  /** Code that is none of PostgreSQL's own was let through, and what it has changed is not known yet. */
  #foreignCode = false;
  /** What was let through may change the schema, and has not been committed, or not answered yet. */
  #schemaChanges = false;

  /** @param backstop default_transaction_read_only = on was set at login */
  constructor(
    connection: GatedConnection,
    catalog: DatabaseCatalog,
    recovery: RecoveryStore,
    backstop: boolean,
  ) {
    this.#connection = connection;
    this.#catalog = catalog;
    this.#recovery = recovery;
    this.#backstop = backstop;
  }

  /** A message waits until the server has answered what was sent before it. */
  get heldBack(): boolean {
    return this.#heldBack;
  }

  /**
   * Whether the message must wait until the server has answered all that was sent before the last Sync or Query. Only
   * behind the read-only backstop: that a function takes it away would be seen too late for what was sent on in the
   * meantime.
   */
  mustHoldBack(): boolean {
    this.#heldBack = this.#backstop && this.#connection.groupOutstanding();
    return this.#heldBack;
  }

  /** A message that people are to decide about waits for the answers to what was sent before it. */
  get settling(): boolean {
    return this.#settling;
  }

  /** The answers have come; the message is to be asked about again, if it still is there. */
  settled(): void {
    this.#settling = false;
  }

  /**
   * Whether what people are to decide about must wait until the server has answered all that was sent before it: only
   * then is it known in which transaction it would run, what its names stand for, and that it would run at all.
   */
  mustSettle(): boolean {
    const before = this.#settling;
    this.#settling = this.#connection.owed();
    if (this.#settling && !before) this.#connection.flush();
    return this.#settling;
  }

  /** A text was let through that runs such code. */
  ranForeignCode(): void {
    this.#foreignCode = true;
  }

  /** A text was let through that may change what the catalogs say. */
  changesSchema(): void {
    this.#schemaChanges = true;
  }

  /** What was let through may have changed the schema in the transaction at hand, which no catalog knows. */
  get schemaChanged(): boolean {
    return this.#schemaChanges;
  }

  /** The server has reported, with ReadyForQuery, what changed. @param quiet it owes nothing more */
  requestEnded(status: TransactionStatus, quiet: boolean): void {
    if (!quiet) return;
    this.#foreignCode = false;
    if (status === 'I') this.#schemaChanges = false;
  }

  /**
   * Whether a text can be read as the server will read it, after code that may have changed that: `wait` until the
   * server has reported its settings, `refuse` what would have to wait for a Sync that only the client can send.
   */
  readingAgrees({ sql, whole }: JudgedText): 'yes' | 'wait' | 'refuse' {
    // Of a text that is not kept whole, the rest may hold anything.
    if (!this.#foreignCode || (whole === null && !LEXER_MATTERS.test(sql))) return 'yes';
    this.#heldBack = this.#connection.groupOutstanding();
    return this.#heldBack ? 'wait' : 'refuse';
  }

  /**
   * Whether the message must wait until the catalogs have been read; it is then judged anew, by what is known then.
   * @param asks its judgement depends on them
   * @param unknown names in it that they do not have
   */
  mustReadCatalog(asks: boolean, unknown: readonly string[]): boolean {
    if (!asks) return false;
    const awaited = this.#catalogAwaited;
    this.#catalogAwaited = 'nothing';
    if (awaited === 'fresh') return false;
    // Whether the schema was changed by what was sent before is known when that is answered.
    if (this.#schemaChanges && this.#waitsForAnswers()) return true;
    const usual = awaited === 'nothing' ? this.#catalog.advice() : 'judge';
    const early = usual === 'judge' && unknown.length > 0;
    switch (early ? this.#catalog.adviceOn(unknown) : usual) {
      case 'judge':
        return false;
      case 'read':
        if (!this.#connection.readCatalog()) return early && this.#waitsForAnswers();
        if (early) this.#catalog.seeks(unknown);
        this.#catalogAwaited = 'fresh';
        return true;
      case 'wait':
        this.#catalog.whenRead((end) => {
          const next = awaited === 'nothing' ? 'reading' : 'fresh';
          this.#catalogAwaited = end === 'abandoned' ? 'nothing' : next;
          this.#connection.ready();
        });
        return true;
    }
  }

  /** Whether there are answers to wait for: of one group of messages they come only behind the Sync that the client sends. */
  #waitsForAnswers(): boolean {
    this.#heldBack ||= this.#connection.groupOutstanding();
    return this.#heldBack;
  }

  /**
   * Whether the message must wait until it is known what it has to know about the way back; it is then judged by what
   * is known.
   */
  mustAskRecovery(asks: readonly RecoveryAsk[]): boolean {
    if (asks.length === 0) return false;
    for (const ask of asks) if (this.#mustAskArchiver(ask) || this.#mustRunCommand(ask)) return true;
    this.#found = new Set();
    return false;
  }

  #mustAskArchiver(ask: RecoveryAsk): boolean {
    const found = this.#found;
    if (found.has('archiver')) return false;
    switch (this.#recovery.advice(ask)) {
      case 'judge':
        return false;
      case 'read':
        if (this.#connection.readArchiver()) {
          found.add('archiver');
          return true;
        }
        // Behind other requests it waits for their answers; within one group, and in a transaction, it cannot be asked.
        return this.#waitsForAnswers();
      case 'wait':
        this.#recovery.whenRead((end) => {
          if (end !== 'abandoned') found.add('archiver');
          this.#connection.ready();
        });
        return true;
    }
  }

  #mustRunCommand(ask: RecoveryAsk): boolean {
    const { command } = ask;
    const found = this.#found;
    if (command === null || found.has(command)) return false;
    return this.#recovery.mustRun(ask, () => {
      found.add(command);
      this.#connection.ready();
    });
  }

  /** A cancel request came for the message that waits. */
  cancel(): void {
    this.#cancelled = true;
  }

  /** Whether the message at hand was cancelled while it waited. */
  takeCancelled(): boolean {
    const cancelled = this.#cancelled;
    if (cancelled) {
      this.#cancelled = false;
      this.#heldBack = false;
      this.#settling = false;
      this.#catalogAwaited = 'nothing';
      this.#found = new Set();
    }
    return cancelled;
  }
}
