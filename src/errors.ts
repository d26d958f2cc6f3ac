/**
 * What a client is told when Holdfast says no. A refusal owns its SQLSTATE, its
 * words and its metric label, so that no caller invents one of its own.
 */

/** Fields of an ErrorResponse or NoticeResponse that Holdfast originates (PostgreSQL: "Error and Notice Message Fields"). */
export interface Refusal {
  readonly severity: 'ERROR' | 'FATAL';
  readonly sqlstate: string;
  /** With the `holdfast: ` prefix where Holdfast speaks, without it where it answers as the server would. */
  readonly message: string;
  readonly detail?: string;
  readonly hint?: string;
  /** One-based character position in the query string. */
  readonly position?: number;
  /** `holdfast/<rule>` */
  readonly routine: string;
}

/** An error for the operator, not for clients: a bad setting, an unreadable file. commands/program.ts has its message printed and makes `exitCode` the exit status. */
export class OperatorError extends Error {
  readonly exitCode: 1 | 2;
  constructor(message: string, exitCode: 1 | 2 = 1) {
    super(message);
    this.name = 'OperatorError';
    this.exitCode = exitCode;
  }
}
