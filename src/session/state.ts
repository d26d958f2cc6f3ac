/**
 * What both halves of a conversation, requests and outcomes, know of it and change.
 *
 * Law: only what both of them need stands here, and nothing is done here. But for
 * COPY FROM STDIN, which has its own file, the halves have nothing else in common.
 */
import type { TransactionStatus } from '../protocol/constants.js';
import { Names } from './names.js';
import type { Meaning } from './ports.js';
import { ReplyQueue } from './replies.js';
import type { ClientMode } from './client-transitions.js';

export class ConversationState {
  readonly replies = new ReplyQueue();
  readonly names = new Names<Meaning>();
  mode: ClientMode = 'ready';
  /** Executes that were passed on since the client's last Sync or Query: what they did is not committed. */
  executed = 0;
  /** The server's last word on the transaction. */
  status: TransactionStatus;
  /** How often the server has reported that it is idle outside a transaction. */
  idles = 0;
  /** The session has ended: nothing more is passed on or sent. */
  over = false;

  constructor(status: TransactionStatus) {
    this.status = status;
  }
}
