/**
 * The one exception that decoding bytes may raise: the peer broke the protocol.
 * Any other exception out of src/protocol or src/session is a bug of Holdfast's.
 */
export class ProtocolViolation extends Error {
  /** SQLSTATE for the peer: 08P01 protocol_violation unless said otherwise. */
  readonly sqlstate: string;
  /** The peer does not even seem to speak this protocol, so it is not answered, only hung up on. */
  readonly unanswered: boolean;
  constructor(message: string, sqlstate = '08P01', unanswered = false) {
    super(message);
    this.name = 'ProtocolViolation';
    this.sqlstate = sqlstate;
    this.unanswered = unanswered;
  }
}
