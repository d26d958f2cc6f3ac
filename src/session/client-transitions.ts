/**
 * What the client may send when, as a table: the row is the mode of the client's half
 * of the conversation.
 *
 * Law: the compiler checks that every mode has an answer for every message; nothing
 * about the order of the client's messages is decided elsewhere.
 */
import { FRONTEND } from '../protocol/constants.js';
import type { FrontendName } from '../protocol/constants.js';
import { rowsByType } from './rows-by-type.js';

/**
 * `ready`: messages are judged and forwarded. `skipping`: the server ignores all up
 * to the next Sync (ignore_till_sync in PostgreSQL's tcop/postgres.c), because an
 * extended-protocol message failed or was refused. `copying`: the server is in
 * copy-in (or copy-both) mode and reads CopyData. `copy_failed`: a COPY FROM STDIN of
 * the extended protocol failed after the client had sent a Sync within it. The server
 * may have ignored that Sync as part of the COPY, and skips to the next one, or may
 * have failed before it read it: only the next ReadyForQuery or Sync settles it.
 * `copy_stopped`: Holdfast sent CopyFail, because of a limit; the rest of the client's
 * data is dropped.
 */
export type ClientMode = 'ready' | 'skipping' | 'copying' | 'copy_failed' | 'copy_stopped';

export type ClientAction =
  | 'query'
  | 'parse'
  | 'bind'
  | 'describe'
  | 'execute'
  | 'close'
  | 'sync'
  | 'function_call'
  | 'sync_in_copy'
  /** The end of copy data that has been stopped: not forwarded, and the end of that mode. */
  | 'discard_end'
  /** Forwarded; no reply is due. */
  | 'flush'
  /** CopyData: forwarded as it arrives, without being collected. */
  | 'stream'
  | 'end_copy'
  | 'discard'
  | 'terminate'
  | 'violation';

/** What can be nothing but a mistake while copy data is due. */
const NOTHING_ELSE = {
  Query: 'violation',
  Parse: 'violation',
  Bind: 'violation',
  Describe: 'violation',
  Execute: 'violation',
  Close: 'violation',
  FunctionCall: 'violation',
  AuthenticationResponse: 'violation',
} as const;

export const CLIENT_TRANSITIONS: Readonly<Record<ClientMode, Readonly<Record<FrontendName, ClientAction>>>> =
  {
    ready: {
      Query: 'query',
      Parse: 'parse',
      Bind: 'bind',
      Describe: 'describe',
      Execute: 'execute',
      Close: 'close',
      Sync: 'sync',
      Flush: 'flush',
      FunctionCall: 'function_call',
      // Outside copy-in mode the server ignores these three: a COPY that failed may have left them under way.
      CopyData: 'stream',
      CopyDone: 'end_copy',
      CopyFail: 'end_copy',
      Terminate: 'terminate',
      AuthenticationResponse: 'violation',
    },
    skipping: {
      Query: 'discard',
      Parse: 'discard',
      Bind: 'discard',
      Describe: 'discard',
      Execute: 'discard',
      Close: 'discard',
      Sync: 'sync',
      Flush: 'discard',
      FunctionCall: 'discard',
      CopyData: 'discard',
      CopyDone: 'discard',
      CopyFail: 'discard',
      Terminate: 'terminate',
      AuthenticationResponse: 'violation',
    },
    copying: {
      CopyData: 'stream',
      CopyDone: 'end_copy',
      CopyFail: 'end_copy',
      // "Ignore Flush/Sync for the convenience of client libraries that may send those after starting a COPY"
      // (CopyGetData in commands/copyfromparse.c): such a Sync gets no reply, unless the COPY had failed before.
      Sync: 'sync_in_copy',
      Flush: 'flush',
      Terminate: 'terminate',
      // The server answers any other message with an error and drops it. Whether it still is in copy-in mode when
      // the message arrives cannot be known here, so neither can whether it would run.
      ...NOTHING_ELSE,
    },
    copy_stopped: {
      CopyData: 'discard',
      CopyDone: 'discard_end',
      CopyFail: 'discard_end',
      Sync: 'sync',
      Flush: 'flush',
      Terminate: 'terminate',
      // Not before the client has heard that its COPY failed.
      ...NOTHING_ELSE,
    },
    copy_failed: {
      Sync: 'sync',
      Flush: 'flush',
      // Ignored by the server either way.
      CopyData: 'stream',
      CopyDone: 'end_copy',
      CopyFail: 'end_copy',
      Terminate: 'terminate',
      // Whether it would run cannot be known, so neither can which reply is whose.
      ...NOTHING_ELSE,
    },
  };

/** The table again, a row's actions indexed by the message's type byte; undefined for a byte that is no message type. */
export const CLIENT_ACTIONS = rowsByType(CLIENT_TRANSITIONS, FRONTEND);
