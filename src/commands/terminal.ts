/** What a command may do to the terminal; cli.ts is the only one that really has one. */
export interface Terminal {
  /** A line of the answer. Resolves when the reader has room for more. */
  readonly print: (line: string) => Promise<void>;
  /** A line for the person, not for the pipe. */
  readonly complain: (line: string) => void;
  readonly color: boolean;
  /** How wide it is; null where the answer goes to a file or a pipe, and nothing is broken into lines. */
  readonly columns: number | null;
  readonly input: NodeJS.ReadStream;
}

/** Exit status of a command: 0 success, 1 the answer is no. Wrong usage is an OperatorError with exit code 2. */
export type ExitStatus = 0 | 1;
