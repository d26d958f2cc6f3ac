/** Records that could not be written: what waited for them never leaves, and the client is told in its place. */
import { describe, test } from 'vitest';
import { transcript } from './transcript.js';

describe('records lost', () => {
  test('of a simple Query, and of two', () => {
    transcript(`
      ! hold
      > Query "INSERT 1"
      > Query "INSERT 2"
      ! lost
      => Query "holdfast refused this statement"
      => Query "holdfast refused this statement"
      <= ErrorResponse 42601
      <= ReadyForQuery I
      <= ErrorResponse 42601
      <= ReadyForQuery I
      < ErrorResponse 58030
      < ReadyForQuery I
      < ErrorResponse 58030
      < ReadyForQuery I
      = INSERT 1: skipped
      = INSERT 2: skipped
    `);
  });

  test('what had left stays, and its replies too', () => {
    transcript(`
      > Query "INSERT 1"
      => Query "INSERT 1"
      ! hold
      > Query "INSERT 2"
      ! lost
      => Query "holdfast refused this statement"
      <= CommandComplete "INSERT 0 1"
      <= ReadyForQuery I
      <= ErrorResponse 42601
      <= ReadyForQuery I
      < CommandComplete "INSERT 0 1"
      < ReadyForQuery I
      < ErrorResponse 58030
      < ReadyForQuery I
      = INSERT 2: skipped
      = INSERT 1: ok 1
    `);
  });

  test('held, and then written after all', () => {
    transcript(`
      ! hold
      > Query "INSERT 1"
      ! leave
      => Query "INSERT 1"
      <= CommandComplete "INSERT 0 1"
      <= ReadyForQuery I
      < CommandComplete "INSERT 0 1"
      < ReadyForQuery I
    `);
  });

  test('of a refusal: the client is told of the refusal', () => {
    transcript(`
      ! hold
      > Query "DROP TABLE t"
      ! lost
      => Query "holdfast refused this statement"
      <= ErrorResponse 42601
      <= ReadyForQuery I
      < ErrorResponse 42501
      < ReadyForQuery I
    `);
  });

  test('of a pipeline with several Syncs: one error and one ReadyForQuery each', () => {
    transcript(`
      ! hold
      > Parse "" "INSERT 1"
      > Bind "" ""
      > Execute "" 0
      > Sync
      > Sync
      > Parse "" "INSERT 2"
      > Bind "" ""
      > Execute "" 0
      > Sync
      ! lost
      => Execute missing
      => Sync
      => Sync
      => Execute missing
      => Sync
      <= ErrorResponse 34000
      <= ReadyForQuery I
      <= ReadyForQuery I
      <= ErrorResponse 34000
      <= ReadyForQuery I
      < ErrorResponse 58030
      < ReadyForQuery I
      < ReadyForQuery I
      < ErrorResponse 58030
      < ReadyForQuery I
      = INSERT 1: skipped
      = INSERT 2: skipped
    `);
  });

  test('before the Sync: what follows is discarded up to it', () => {
    transcript(`
      ! hold
      > Parse "s" "INSERT 1"
      ! lost
      => Execute missing
      <= ErrorResponse 34000
      < ErrorResponse 58030
      > Bind "" "s"
      > Execute "" 0
      > Sync
      => Sync
      <= ReadyForQuery I
      < ReadyForQuery I
      -- and the statement was never defined
      > Bind "" "s"
      > Sync
      => Execute missing
      => Sync
      <= ErrorResponse 34000
      <= ReadyForQuery I
      < ErrorResponse 26000
      < ReadyForQuery I
    `);
  });

  test('while the server already skips: nothing changes, it skips up to the Sync', () => {
    transcript(`
      > Parse "" "garbage"
      => Parse "" "garbage"
      ! hold
      > Bind "" ""
      > Execute "" 0
      <= ErrorResponse 42601
      < ErrorResponse 42601
      ! lost
      > Parse "" "INSERT 1"
      > Sync
      => Sync
      <= ReadyForQuery I
      < ReadyForQuery I
    `);
  });

  test('while the server already skips, the Sync among what was lost', () => {
    transcript(`
      > Parse "" "garbage"
      => Parse "" "garbage"
      ! hold
      > Bind "" ""
      > Sync
      > Parse "" "INSERT 1"
      <= ErrorResponse 42601
      < ErrorResponse 42601
      ! lost
      => Sync
      => Execute missing
      <= ReadyForQuery I
      <= ErrorResponse 34000
      < ReadyForQuery I
      < ErrorResponse 58030
      > Sync
      => Sync
      <= ReadyForQuery I
      < ReadyForQuery I
    `);
  });

  test('a FunctionCall and a Query in the middle of a pipeline', () => {
    transcript(`
      ! functions
      ! hold
      > FunctionCall
      > Parse "" "INSERT 1"
      > Query "INSERT 2"
      > Sync
      ! lost
      => Query "holdfast refused this statement"
      => Execute missing
      => Sync
      <= ErrorResponse 42601
      <= ReadyForQuery I
      <= ErrorResponse 34000
      <= ReadyForQuery I
      < ErrorResponse 58030
      < ReadyForQuery I
      < ErrorResponse 58030
      < ReadyForQuery I
    `);
  });

  test('COPY and its eager data are dropped together, the rest of the data as well', () => {
    transcript(`
      ! hold
      > Query "COPY t FROM STDIN"
      > CopyData "1\\n"
      > 0x64 00000008 3132
      ! lost
      => Query "holdfast refused this statement"
      <= ErrorResponse 42601
      <= ReadyForQuery I
      < ErrorResponse 58030
      < ReadyForQuery I
      > 0x330a
      > CopyDone
      > Query "SELECT 1"
      => CopyDone
      => Query "SELECT 1"
    `);
  });

  test('data of a COPY that runs, with its end and another Query: that ends the session', () => {
    transcript(`
      > Query "COPY t FROM STDIN"
      => Query "COPY t FROM STDIN"
      <= CopyInResponse
      < CopyInResponse
      ! hold
      > CopyData "1\\n"
      > CopyDone
      > Query "INSERT 1"
      ! lost
      < ErrorResponse FATAL 58030
      * failed 58030
    `);
  });

  test('so does data that was cut off in the middle of a message', () => {
    transcript(
      `
      > Query "SELECT 1"
      > 0x64 00000008 3132
      => Query "SELECT 1"
      ! hold
      > 0x330a
      > Query "INSERT 1"
      ! lost
      < ErrorResponse FATAL 58030
      * failed 58030
      => CopyData (cut)
    `.replace('=> CopyData (cut)', '=> CopyData (cut) 0x64000000083132'),
    );
  });

  test('an end of data that was accounted for already does not shift the account', () => {
    transcript(`
      > Query "COPY t FROM STDIN"
      > CopyData "1\\n"
      => Query "COPY t FROM STDIN"
      => CopyData "1\\n"
      ! hold
      > CopyDone
      > Query "INSERT 1"
      <= CopyInResponse
      < CopyInResponse
      ! lost
      < ErrorResponse FATAL 58030
      * failed 58030
    `);
  });

  test('while a message waits for the gate', () => {
    transcript(`
      ! hold
      > Parse "" "INSERT 1"
      > Parse "" "WAIT"
      > Sync
      ! lost
      => Execute missing
      ! resume
      => Sync
      <= ErrorResponse 34000
      <= ReadyForQuery I
      < ErrorResponse 58030
      < ReadyForQuery I
    `);
  });

  test('names that lost requests would have defined are forgotten', () => {
    transcript(`
      ! hold
      > Query "PREPARE s AS SELECT 1"
      ! lost
      => Query "holdfast refused this statement"
      <= ErrorResponse 42601
      <= ReadyForQuery I
      < ErrorResponse 58030
      < ReadyForQuery I
      > Query "EXECUTE s"
      => Query "holdfast refused this statement"
      <= ErrorResponse 42601
      <= ReadyForQuery I
      < ErrorResponse 26000
      < ReadyForQuery I
    `);
  });
});
