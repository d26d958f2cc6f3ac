/**
 * What a conversation needs from outside, as interfaces: the two byte sinks and
 * the gate. The conversation has no clock, no sockets and no policy of its own;
 * tests drive it with recorders in place of these.
 */
import type { Notice } from '../protocol/encode.js';
import type { TransactionStatus } from '../protocol/constants.js';
import type { Refusal } from '../errors.js';
import type { NameChange } from './names.js';

/** One run of one statement that the gate let through, until its outcome is known. Opaque here. */
export type Execution = object;

/** What a prepared statement or portal stands for. Opaque here. */
export type Meaning = object;

/** How an execution ended. */
export interface Ending {
  /** From the CommandComplete tag; null where it has none, or on error. */
  readonly rows: number | null;
  /** null: it succeeded (or was suspended with rows left). */
  readonly sqlstate: string | null;
  /** The server never ran it, because an earlier message of its pipeline failed. */
  readonly skipped: boolean;
}

/** A statement of a Query string, as far as the conversation is concerned. */
export interface PassedStatement {
  readonly execution: Execution | null;
  /** Take effect when the statement's CommandComplete arrives. */
  readonly changes: readonly NameChange<Meaning>[];
}

/** What the server counts of a transaction, as rows of text columns. The conversation does not read them. */
export type Counts = readonly (readonly (string | null)[])[];

/** What the server is asked, in the client's own transaction, without the client hearing of it. */
export type Question =
  /** A statement, run to its end; its rows are the answer. */
  | {
      readonly kind: 'run';
      readonly sql: string;
      readonly parameters: readonly (string | null)[];
    }
  /** A query that is opened as `cursor` and sees the rows as they are now, whenever it is read. Its answer has no rows. */
  | { readonly kind: 'open'; readonly cursor: string; readonly sql: string }
  /** An open query is read to its end, and is gone. */
  | { readonly kind: 'read'; readonly cursor: string };

/** Questions, in their order, and what is to be done when all are answered. */
export interface Asking<Next> {
  readonly kind: 'ask';
  readonly questions: readonly Question[];
  /** Bytes of the answers that are kept at most. */
  readonly limit: number;
  /** @param answers one for each question; null: they are more than the limit */
  readonly then: (answers: readonly Counts[] | null) => Next;
}

/** Whether a guarded execution, before which something was asked, may begin. */
export type BeforeAnswer =
  { readonly kind: 'run' } | { readonly kind: 'refuse'; readonly refusal: Refusal } | Asking<BeforeAnswer>;

/** A query that reads the server's counts. It has no parameters, and one name stands for one text. */
export interface CountQuery {
  readonly name: string;
  readonly sql: string;
}

/** That what an execution did is to be counted before anything of it is committed. */
export interface Guard {
  /** What reads the server's counts before it, where they are not known, and behind it. */
  readonly before: CountQuery | null;
  readonly after: CountQuery;
  /** It is a COPY … FROM STDIN, whose data comes behind its Execute. */
  readonly copyIn: boolean;
  /** It may have to be undone and asked about again, so the client sees nothing of it before it has been counted. */
  readonly preview: boolean;
  /** What is asked first, as the very first of its transaction where that begins with it; null: nothing. */
  readonly first: Asking<BeforeAnswer> | null;
}

/** A statement of a Query string that is carried by the extended protocol. */
export interface CarriedStatement extends PassedStatement {
  /** What the server parses: where the statement stands in the string, it stands here, so that positions in errors are right. */
  readonly text: Buffer;
  /** null: it is not counted. */
  readonly guard: Guard | null;
}

/** What the gate says to a guarded execution that has been counted. */
export type CountedAnswer =
  /** It stays; it is committed as the client wishes. */
  | { readonly kind: 'pass'; readonly notice: Notice | null }
  | { readonly kind: 'refuse'; readonly refusal: Refusal }
  /** It is undone as if it had never been sent, and its message asked about again. Only where that is possible. */
  | { readonly kind: 'undo' }
  /** More must be known of what it did. */
  | Asking<CountedAnswer>
  /** Not yet: asked again after resume(), where the answer must be another question, or `wait` again. */
  | { readonly kind: 'wait'; readonly then: () => CountedAnswer };

export type QueryAnswer =
  | { readonly kind: 'pass'; readonly statements: readonly PassedStatement[]; readonly notice: Notice | null }
  /** It passes, and the statements run one by one, so that what they do can be counted. */
  | {
      readonly kind: 'carry';
      readonly statements: readonly CarriedStatement[];
      readonly notice: Notice | null;
    }
  | { readonly kind: 'refuse'; readonly refusal: Refusal }
  /** Not known yet. The conversation keeps the message and asks again after resume(). */
  | { readonly kind: 'wait' };

export type MessageAnswer =
  | {
      readonly kind: 'pass';
      readonly execution: Execution | null;
      readonly changes: readonly NameChange<Meaning>[];
      /** Parse and Bind: what the new name will mean. */
      readonly meaning: Meaning | null;
      readonly notice: Notice | null;
      /** Execute: what it does is to be counted. */
      readonly guard?: Guard | null;
      /** Bind: what is executed of it may be undone, so that it must be bound again. */
      readonly again?: boolean;
    }
  | { readonly kind: 'refuse'; readonly refusal: Refusal }
  /** As for a Query. `people`: they decide about it, which may take long. */
  | { readonly kind: 'wait'; readonly people?: boolean };

/** The session's names, as the gate may ask for them. */
export interface NameLookup {
  statements(name: string): readonly Meaning[];
  portals(name: string): readonly Meaning[];
}

/**
 * Judges and records. `bytes[start, end)` is SQL text as it will be forwarded,
 * not yet checked for UTF-8; in a Parse, its parameters' types stand behind. Every `pass` has been handed to the audit log; the
 * bytes that follow it to toServer() must not leave before that record is durable.
 */
export interface StatementGate {
  query(bytes: Buffer, start: number, end: number, names: NameLookup): QueryAnswer;
  parse(name: string, bytes: Buffer, start: number, end: number, names: NameLookup): MessageAnswer;
  /** `bytes[start, end)`: parameter formats and values. */
  bind(
    meanings: readonly Meaning[],
    statement: string,
    bytes: Buffer,
    start: number,
    end: number,
  ): MessageAnswer;
  /**
   * With several meanings, which of them runs is not known, so `changes` must be those of each of them: where they
   * differ, the gate refuses. A change confirmed that never happened would make the names lie.
   */
  execute(meanings: readonly Meaning[], portal: string, names: NameLookup): MessageAnswer;
  functionCall(): MessageAnswer;
  ended(execution: Execution, ending: Ending): void;
  /**
   * A guarded execution came to its end and has been counted: in place of ended().
   * @param undoable whether `undo` is an answer now
   */
  counted(
    execution: Execution | null,
    ending: Ending,
    before: Counts,
    after: Counts,
    undoable: boolean,
  ): CountedAnswer;
  /** What the server counts could not be read, or what it was asked not be answered. @returns what the client gets in place of the server's error; null: that error itself */
  uncounted(
    execution: Execution | null,
    sqlstate: string,
    message: string,
    what: 'counting' | 'asking',
  ): Refusal | null;
  /** What a Sync was to commit could not be committed. */
  commitFailed(): void;
  /** The refusal to give when the record of a statement could not be written. */
  unrecorded(): Refusal;
  /** ParameterStatus from the server. @returns a refusal that must end the session, or null */
  parameter(name: string, value: string): Refusal | null;
}

export interface ConversationPorts {
  readonly gate: StatementGate;
  /** Bytes for the server, in order. They may leave only when all records handed to the audit log so far are durable. */
  toServer(bytes: Buffer): void;
  /** Bytes for the client, in order. */
  toClient(bytes: Buffer): void;
  /** The client said Terminate; everything for the server has been handed over. */
  terminated(): void;
  /** A request was answered: the server reported ReadyForQuery with this status. */
  requestEnded(status: TransactionStatus): void;
  /** The conversation cannot go on. `refusal` is for the client, already passed to toClient() where that was possible. */
  failed(refusal: Refusal): void;
}
