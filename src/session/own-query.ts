/**
 * A query of Holdfast's own on the session's upstream connection, made while the
 * client has no request under way: between the server's ReadyForQuery and the one
 * that the client is given. Without I/O.
 */
import { decodeReadyForQuery, errorFields, textColumns } from '../protocol/backend.js';
import { BACKEND, BACKEND_NAMES } from '../protocol/constants.js';
import type { TransactionStatus } from '../protocol/constants.js';
import { MessageAssembler } from '../protocol/assembler.js';
import { ProtocolViolation } from '../protocol/violation.js';

/** Rows of the last result, all columns as text, or the server's error. */
export type OwnResult =
  | { readonly rows: readonly OwnRow[]; readonly status: TransactionStatus }
  | {
      readonly error: { readonly sqlstate: string; readonly message: string };
      readonly status: TransactionStatus;
    };

export interface OwnQuery {
  /**
   * Takes bytes from the server.
   * @returns the result once ReadyForQuery has come, with what followed it; null before
   * @throws ProtocolViolation when the server sends what does not belong to a query
   */
  receive(
    chunk: Buffer,
  ): { readonly result: OwnResult; readonly rest: Buffer; readonly relay: readonly Buffer[] } | null;
}

/** One row, all columns as text. */
export type OwnRow = readonly (string | null)[];

/**
 * Reads the answer to one simple Query, or to messages of the extended protocol and their Sync.
 * @param limit bytes that the whole answer may have
 * @param onRow is given each row as it comes; the result has none then
 */
export function ownQuery(limit: number, onRow?: (row: OwnRow) => void): OwnQuery {
  let assembler = new MessageAssembler();
  let size = 0;
  const rows: OwnRow[] = [];
  const take = onRow ?? ((row: OwnRow) => rows.push(row));
  // What the server may send at any time is for the client all the same.
  const relay: Buffer[] = [];
  let error: { sqlstate: string; message: string } | null = null;
  return {
    receive(chunk) {
      let position = 0;
      while (position < chunk.length) {
        const taken = assembler.add(chunk, position);
        position += taken;
        size += taken;
        if (size > limit && error === null) {
          // The rest is still to be read: the session goes on behind it.
          rows.length = 0;
          error = { sqlstate: '54000', message: `the answer is longer than ${limit} bytes` };
        }
        if (assembler.length !== null && assembler.length > limit) {
          throw new ProtocolViolation('the server answers a query of Holdfast with too long a message');
        }
        if (assembler.length !== null && assembler.length < 4) {
          throw new ProtocolViolation(`invalid message length ${assembler.length} from the server`);
        }
        const whole = assembler.whole();
        if (whole === null) continue;
        assembler = new MessageAssembler();
        const end = whole.length;
        switch (whole[0]) {
          case BACKEND.DataRow:
            if (error === null) take(textColumns(whole, 5, end));
            break;
          case BACKEND.ErrorResponse: {
            const fields = errorFields(whole, 5, end);
            error = { sqlstate: fields.get('C') ?? 'XX000', message: fields.get('M') ?? '' };
            break;
          }
          case BACKEND.ReadyForQuery: {
            const status = decodeReadyForQuery(whole, 5, end);
            const result: OwnResult = error === null ? { rows, status } : { error, status };
            return { result, rest: Buffer.from(chunk.subarray(position)), relay };
          }
          case BACKEND.NoticeResponse:
          case BACKEND.ParameterStatus:
          case BACKEND.NotificationResponse:
            relay.push(whole);
            break;
          case BACKEND.ParseComplete:
          case BACKEND.BindComplete:
          case BACKEND.CloseComplete:
          case BACKEND.RowDescription:
          case BACKEND.CommandComplete:
          case BACKEND.EmptyQueryResponse:
            break;
          case undefined:
          default:
            throw new ProtocolViolation(
              `unexpected ${BACKEND_NAMES[whole[0] ?? 0] ?? 'message'} from the server in answer to a query of Holdfast`,
            );
        }
      }
      return null;
    },
  };
}
