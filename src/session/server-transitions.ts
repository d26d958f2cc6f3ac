/**
 * What the server may send when, as a table: the row is the kind of reply that is due
 * next.
 *
 * Law: the compiler checks that every kind of reply has an answer for every message;
 * nothing about the order of the server's messages is decided elsewhere.
 */
import { BACKEND } from '../protocol/constants.js';
import type { BackendName } from '../protocol/constants.js';
import { rowsByType } from './rows-by-type.js';

/** What the server owes next. `nothing`: no request is outstanding. */
export type ReplyKind =
  | 'query'
  | 'refused_query'
  | 'parse'
  | 'bind'
  | 'describe'
  | 'execute'
  | 'close'
  | 'refused_message'
  | 'sync'
  | 'function_call'
  // ------ what Holdfast sends of its own, and the client hears nothing of
  /** The query that counts is prepared: Close of its name, then Parse. */
  | 'count_close'
  | 'count_parse'
  /** Bind, Execute and Close of the query that counts. */
  | 'count'
  /** Parse, Bind, Execute and Close of a statement of Holdfast's own; then Close of its name. */
  | 'own'
  | 'own_close'
  /** A question of Holdfast's own: [Parse, Bind,] Execute and Close; or Parse and Bind of one that is read later. */
  | 'asked'
  | 'asked_open'
  /** The Close that ends an undoing by savepoint. */
  | 'undo_close'
  /** The missing portal and the Sync that undo what no transaction block holds. */
  | 'undo_execute'
  | 'undo_sync'
  // ------ an Execute that is counted
  | 'guarded_execute'
  | 'preview_execute'
  /** Describe of what a preview_execute comes behind. */
  | 'preview_describe'
  /** Bind again, of a portal that an undoing has taken away. */
  | 'rebind'
  // ------ the parts of a Query that is carried by the extended protocol
  | 'carried_parse'
  | 'carried_bind'
  | 'carried_describe'
  | 'carried_execute'
  | 'carried_last'
  | 'carried_close'
  | 'carried_sync';

export type ServerAction =
  /** Passed on; the reply goes on. */
  | 'relay'
  /** Passed on; it ends the reply. */
  | 'finish'
  /** Passed on; one statement of a Query string is complete. */
  | 'statement'
  /** Passed on; a statement of a Query string failed, ReadyForQuery follows. */
  | 'query_error'
  /** Passed on; the server now ignores everything up to Sync. */
  | 'pipeline_error'
  /** The error that Holdfast provoked: its own refusal takes its place. */
  | 'refuse_query'
  | 'refuse_message'
  | 'parameter'
  | 'copy_in'
  | 'ready'
  /** Not passed on; the reply goes on. */
  | 'swallow'
  /** Not passed on; it ends the reply. */
  | 'swallow_finish'
  /** A row of the server's counts. */
  | 'count_row'
  | 'count_done'
  /** A row of the answer to what was asked, and its end. */
  | 'answer_row'
  | 'answer_done'
  /** The counts could not be read, or what belongs to counting failed. */
  | 'count_error'
  /** Kept until the execution has been counted: the reply goes on, or ends; or that ends it, too. */
  | 'withhold'
  | 'withhold_part'
  | 'withhold_finish'
  /** Kept until the string that it is the end of is committed. */
  | 'withhold_last'
  | 'undone'
  | 'carried_ready'
  /** Passed on; the transaction of a carried string could not be committed. */
  | 'carried_error'
  | 'violation';

type ServerRow = Readonly<Record<BackendName, ServerAction>>;

/** Where every message is a violation except those that may come at any time. */
const ASYNCHRONOUS_ONLY: ServerRow = {
  NoticeResponse: 'relay',
  NotificationResponse: 'relay',
  ParameterStatus: 'parameter',
  ParseComplete: 'violation',
  BindComplete: 'violation',
  CloseComplete: 'violation',
  CommandComplete: 'violation',
  DataRow: 'violation',
  ErrorResponse: 'violation',
  CopyInResponse: 'violation',
  CopyOutResponse: 'violation',
  CopyBothResponse: 'violation',
  EmptyQueryResponse: 'violation',
  BackendKeyData: 'violation',
  Authentication: 'violation',
  RowDescription: 'violation',
  FunctionCallResponse: 'violation',
  ReadyForQuery: 'violation',
  CopyDone: 'violation',
  CopyData: 'violation',
  NoData: 'violation',
  PortalSuspended: 'violation',
  ParameterDescription: 'violation',
  NegotiateProtocolVersion: 'violation',
};

/** Rows that a statement's execution may send whichever protocol it came by. */
const EXECUTING = {
  DataRow: 'relay',
  CopyOutResponse: 'relay',
  CopyInResponse: 'copy_in',
  CopyBothResponse: 'copy_in',
  CopyData: 'relay',
  CopyDone: 'relay',
} as const;

/** A part of a string behind which more has been sent already: only one that is counted waits for copy data. */
const NO_COPY_IN = { CopyInResponse: 'violation', CopyBothResponse: 'violation' } as const;

export const SERVER_TRANSITIONS: Readonly<Record<ReplyKind | 'nothing', ServerRow>> = {
  // An error without a request is the server ending the session (57P01, 57P05, …).
  nothing: { ...ASYNCHRONOUS_ONLY, ErrorResponse: 'relay' },
  query: {
    ...ASYNCHRONOUS_ONLY,
    ...EXECUTING,
    RowDescription: 'relay',
    CommandComplete: 'statement',
    EmptyQueryResponse: 'statement',
    ErrorResponse: 'query_error',
    ReadyForQuery: 'ready',
  },
  refused_query: { ...ASYNCHRONOUS_ONLY, ErrorResponse: 'refuse_query', ReadyForQuery: 'ready' },
  parse: { ...ASYNCHRONOUS_ONLY, ParseComplete: 'finish', ErrorResponse: 'pipeline_error' },
  bind: { ...ASYNCHRONOUS_ONLY, BindComplete: 'finish', ErrorResponse: 'pipeline_error' },
  describe: {
    ...ASYNCHRONOUS_ONLY,
    ParameterDescription: 'relay',
    RowDescription: 'finish',
    NoData: 'finish',
    ErrorResponse: 'pipeline_error',
  },
  execute: {
    ...ASYNCHRONOUS_ONLY,
    ...EXECUTING,
    CommandComplete: 'finish',
    EmptyQueryResponse: 'finish',
    PortalSuspended: 'finish',
    ErrorResponse: 'pipeline_error',
  },
  close: { ...ASYNCHRONOUS_ONLY, CloseComplete: 'finish', ErrorResponse: 'pipeline_error' },
  refused_message: { ...ASYNCHRONOUS_ONLY, ErrorResponse: 'refuse_message' },
  // Sync commits, and a commit may fail (deferred constraints, serialization failures).
  sync: { ...ASYNCHRONOUS_ONLY, ErrorResponse: 'relay', ReadyForQuery: 'ready' },
  function_call: {
    ...ASYNCHRONOUS_ONLY,
    FunctionCallResponse: 'relay',
    ErrorResponse: 'query_error',
    ReadyForQuery: 'ready',
  },
  count_close: { ...ASYNCHRONOUS_ONLY, CloseComplete: 'swallow_finish', ErrorResponse: 'count_error' },
  count_parse: { ...ASYNCHRONOUS_ONLY, ParseComplete: 'swallow_finish', ErrorResponse: 'count_error' },
  count: {
    ...ASYNCHRONOUS_ONLY,
    BindComplete: 'swallow',
    DataRow: 'count_row',
    CommandComplete: 'swallow',
    CloseComplete: 'count_done',
    ErrorResponse: 'count_error',
  },
  own: {
    ...ASYNCHRONOUS_ONLY,
    ParseComplete: 'swallow',
    BindComplete: 'swallow',
    CommandComplete: 'swallow',
    CloseComplete: 'swallow_finish',
    ErrorResponse: 'count_error',
  },
  asked: {
    ...ASYNCHRONOUS_ONLY,
    ParseComplete: 'swallow',
    BindComplete: 'swallow',
    DataRow: 'answer_row',
    CommandComplete: 'swallow',
    CloseComplete: 'answer_done',
    ErrorResponse: 'count_error',
  },
  asked_open: {
    ...ASYNCHRONOUS_ONLY,
    ParseComplete: 'swallow',
    BindComplete: 'answer_done',
    ErrorResponse: 'count_error',
  },
  own_close: { ...ASYNCHRONOUS_ONLY, CloseComplete: 'swallow_finish', ErrorResponse: 'count_error' },
  undo_close: { ...ASYNCHRONOUS_ONLY, CloseComplete: 'undone', ErrorResponse: 'count_error' },
  undo_execute: { ...ASYNCHRONOUS_ONLY, ErrorResponse: 'swallow_finish' },
  undo_sync: { ...ASYNCHRONOUS_ONLY, ReadyForQuery: 'undone' },
  guarded_execute: {
    ...ASYNCHRONOUS_ONLY,
    ...EXECUTING,
    CommandComplete: 'withhold_finish',
    EmptyQueryResponse: 'withhold_finish',
    PortalSuspended: 'withhold_finish',
    ErrorResponse: 'pipeline_error',
  },
  preview_execute: {
    ...ASYNCHRONOUS_ONLY,
    DataRow: 'withhold',
    CopyOutResponse: 'withhold',
    CopyData: 'withhold',
    CopyDone: 'withhold',
    CommandComplete: 'withhold_finish',
    EmptyQueryResponse: 'withhold_finish',
    PortalSuspended: 'withhold_finish',
    ErrorResponse: 'pipeline_error',
  },
  preview_describe: {
    ...ASYNCHRONOUS_ONLY,
    RowDescription: 'withhold_part',
    NoData: 'swallow_finish',
    ErrorResponse: 'pipeline_error',
  },
  rebind: { ...ASYNCHRONOUS_ONLY, BindComplete: 'swallow_finish', ErrorResponse: 'pipeline_error' },
  carried_parse: { ...ASYNCHRONOUS_ONLY, ParseComplete: 'swallow_finish', ErrorResponse: 'pipeline_error' },
  carried_bind: { ...ASYNCHRONOUS_ONLY, BindComplete: 'swallow_finish', ErrorResponse: 'pipeline_error' },
  carried_describe: {
    ...ASYNCHRONOUS_ONLY,
    RowDescription: 'finish',
    NoData: 'swallow_finish',
    ErrorResponse: 'pipeline_error',
  },
  carried_execute: {
    ...ASYNCHRONOUS_ONLY,
    ...EXECUTING,
    ...NO_COPY_IN,
    CommandComplete: 'finish',
    EmptyQueryResponse: 'finish',
    ErrorResponse: 'pipeline_error',
  },
  // The last statement of a string is reported when its transaction is committed, which may fail (exec_simple_query in tcop/postgres.c).
  carried_last: {
    ...ASYNCHRONOUS_ONLY,
    ...EXECUTING,
    ...NO_COPY_IN,
    CommandComplete: 'withhold_last',
    EmptyQueryResponse: 'withhold_last',
    ErrorResponse: 'pipeline_error',
  },
  carried_close: { ...ASYNCHRONOUS_ONLY, CloseComplete: 'swallow_finish', ErrorResponse: 'pipeline_error' },
  carried_sync: { ...ASYNCHRONOUS_ONLY, ErrorResponse: 'carried_error', ReadyForQuery: 'carried_ready' },
};

/** Actions by which a message is kept from the client: the message must be here whole. */
export const KEPT_BACK: ReadonlySet<ServerAction | undefined> = new Set([
  'swallow',
  'swallow_finish',
  'count_row',
  'count_done',
  'answer_row',
  'answer_done',
  'withhold',
  'withhold_part',
  'withhold_finish',
  'withhold_last',
  'undone',
  'carried_ready',
] satisfies ServerAction[]);

/** The table again, a row's actions indexed by the message's type byte; undefined for a byte that is no message type. */
export const SERVER_ACTIONS = rowsByType(SERVER_TRANSITIONS, BACKEND);
