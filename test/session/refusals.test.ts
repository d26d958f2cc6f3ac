/** Every row of the refusal table, in both protocols, as transcripts. The server's lines are those of a real one. */
import { describe, test } from 'vitest';
import { transcript } from './transcript.js';

describe('simple protocol', () => {
  test('a refused Query outside a transaction', () => {
    transcript(`
      > Query "DROP TABLE t"
      => Query "holdfast refused this statement"
      <= ErrorResponse 42601
      <= ReadyForQuery I
      < ErrorResponse 42501
      < ReadyForQuery I
    `);
  });

  test('a refused Query in a transaction: the server itself aborts it', () => {
    transcript(`
      > Query "BEGIN"
      => Query "BEGIN"
      <= CommandComplete "BEGIN"
      <= ReadyForQuery T
      < CommandComplete "BEGIN"
      < ReadyForQuery T
      > Query "DROP TABLE t"
      => Query "holdfast refused this statement"
      <= ErrorResponse 42601
      <= ReadyForQuery E
      < ErrorResponse 42501
      < ReadyForQuery E
      > Query "SELECT 1"
      => Query "SELECT 1"
      <= ErrorResponse 25P02
      <= ReadyForQuery E
      < ErrorResponse 25P02
      < ReadyForQuery E
      > Query "COMMIT"
      => Query "COMMIT"
      <= CommandComplete "ROLLBACK"
      <= ReadyForQuery I
      < CommandComplete "ROLLBACK"
      < ReadyForQuery I
      = BEGIN: ok -
      = SELECT 1: failed 25P02
      = COMMIT: ok -
    `);
  });

  test('several statements, one refused: not a byte of the string reaches the server', () => {
    transcript(`
      > Query "INSERT INTO t VALUES (1); DROP TABLE t"
      => Query "holdfast refused this statement"
      <= ErrorResponse 42601
      <= ReadyForQuery I
      < ErrorResponse 42501
      < ReadyForQuery I
    `);
  });

  test('Queries sent in one go: each has its own answer, the refused one in its place', () => {
    transcript(`
      > Query "SELECT 1"
      > Query "DROP TABLE t"
      > Query "SELECT 2"
      => Query "SELECT 1"
      => Query "holdfast refused this statement"
      => Query "SELECT 2"
      <= RowDescription
      <= DataRow "1"
      <= CommandComplete "SELECT 1"
      <= ReadyForQuery I
      <= ErrorResponse 42601
      <= ReadyForQuery I
      <= DataRow "2"
      <= CommandComplete "SELECT 1"
      <= ReadyForQuery I
      < RowDescription
      < DataRow "1"
      < CommandComplete "SELECT 1"
      < ReadyForQuery I
      < ErrorResponse 42501
      < ReadyForQuery I
      < DataRow "2"
      < CommandComplete "SELECT 1"
      < ReadyForQuery I
      = SELECT 1: ok 1
      = SELECT 2: ok 1
    `);
  });

  test('whatever error the server answers with, the client sees the refusal', () => {
    transcript(`
      > Query "DROP TABLE t"
      => Query "holdfast refused this statement"
      <= NoticeResponse 00000
      <= ErrorResponse 57014
      <= ReadyForQuery I
      < NoticeResponse 00000
      < ErrorResponse 42501
      < ReadyForQuery I
    `);
  });

  test('the server ends the session instead of failing the Query: its goodbye is passed on', () => {
    transcript(`
      > Query "DROP TABLE t"
      => Query "holdfast refused this statement"
      <= ErrorResponse FATAL 57P01
      < ErrorResponse FATAL 57P01
    `);
  });

  test('a refused FunctionCall', () => {
    transcript(`
      > FunctionCall
      => Query "holdfast refused this statement"
      <= ErrorResponse 42601
      <= ReadyForQuery I
      < ErrorResponse 42501
      < ReadyForQuery I
    `);
  });

  test('refused COPY FROM STDIN, its data sent eagerly: no CopyInResponse, and the server ignores the data', () => {
    transcript(`
      > Query "COPY t FROM STDIN -- DROP"
      > CopyData "1\\n"
      > CopyData "2\\n"
      > CopyDone
      > Query "SELECT 1"
      => Query "holdfast refused this statement"
      => CopyData "1\\n"
      => CopyData "2\\n"
      => CopyDone
      => Query "SELECT 1"
      <= ErrorResponse 42601
      <= ReadyForQuery I
      <= CommandComplete "SELECT 1"
      <= ReadyForQuery I
      < ErrorResponse 42501
      < ReadyForQuery I
      < CommandComplete "SELECT 1"
      < ReadyForQuery I
    `);
  });
});

describe('extended protocol', () => {
  test('a refused Parse: everything up to Sync is discarded, and one ReadyForQuery a Sync', () => {
    transcript(`
      > Parse "" "DROP TABLE t"
      > Bind "" ""
      > Describe P ""
      > Execute "" 0
      > Close S "x"
      > Flush
      > Query "SELECT 1"
      > FunctionCall
      > Sync
      => Execute missing
      => Sync
      <= ErrorResponse 34000
      <= ReadyForQuery I
      < ErrorResponse 42501
      < ReadyForQuery I
    `);
  });

  test('no ReadyForQuery before the Sync', () => {
    transcript(`
      > Parse "" "DROP TABLE t"
      => Execute missing
      <= ErrorResponse 34000
      < ErrorResponse 42501
      > Bind "" ""
      > Execute "" 0
      > Sync
      => Sync
      <= ReadyForQuery I
      < ReadyForQuery I
    `);
  });

  test('a pipeline of INSERT and a refused DROP: the server rolls the INSERT back at its Sync', () => {
    transcript(`
      > Parse "" "INSERT INTO t VALUES (1)"
      > Bind "" ""
      > Execute "" 0
      > Parse "" "DROP TABLE t"
      > Bind "" ""
      > Execute "" 0
      > Sync
      > Query "SELECT 2"
      => Parse "" "INSERT INTO t VALUES (1)"
      => Bind "" ""
      => Execute ""
      => Execute missing
      => Sync
      => Query "SELECT 2"
      <= ParseComplete
      <= BindComplete
      <= CommandComplete "INSERT 0 1"
      <= ErrorResponse 34000
      <= ReadyForQuery I
      <= CommandComplete "SELECT 1"
      <= ReadyForQuery I
      < ParseComplete
      < BindComplete
      < CommandComplete "INSERT 0 1"
      < ErrorResponse 42501
      < ReadyForQuery I
      < CommandComplete "SELECT 1"
      < ReadyForQuery I
      = INSERT INTO t VALUES (1): ok 1
      = SELECT 2: ok 1
    `);
  });

  test('refused in a transaction: ReadyForQuery E', () => {
    transcript(`
      ! status T
      > Parse "" "DROP TABLE t"
      > Bind "" ""
      > Execute "" 0
      > Sync
      => Execute missing
      => Sync
      <= ErrorResponse 34000
      <= ReadyForQuery E
      < ErrorResponse 42501
      < ReadyForQuery E
    `);
  });

  test('an earlier error wins, and the refusal is skipped with the rest', () => {
    transcript(`
      > Parse "" "garbage"
      > Parse "" "DROP TABLE t"
      > Sync
      => Parse "" "garbage"
      => Execute missing
      => Sync
      <= ErrorResponse 42601
      <= ReadyForQuery I
      < ErrorResponse 42601
      < ReadyForQuery I
    `);
  });

  test('an earlier error wins also when the refused message comes after the error was seen', () => {
    transcript(`
      > Parse "" "garbage"
      => Parse "" "garbage"
      <= ErrorResponse 42601
      < ErrorResponse 42601
      > Parse "" "DROP TABLE t"
      > Sync
      => Sync
      <= ReadyForQuery I
      < ReadyForQuery I
    `);
  });

  test('several Syncs, refusals in the middle', () => {
    transcript(`
      > Parse "a" "SELECT 1"
      > Sync
      > Parse "b" "DROP TABLE t"
      > Bind "" "b"
      > Sync
      > Sync
      > Bind "" "a"
      > Parse "b" "DROP TABLE u"
      > Sync
      => Parse "a" "SELECT 1"
      => Sync
      => Execute missing
      => Sync
      => Sync
      => Bind "" "a"
      => Execute missing
      => Sync
      <= ParseComplete
      <= ReadyForQuery I
      <= ErrorResponse 34000
      <= ReadyForQuery I
      <= ReadyForQuery I
      <= BindComplete
      <= ErrorResponse 34000
      <= ReadyForQuery I
      < ParseComplete
      < ReadyForQuery I
      < ErrorResponse 42501
      < ReadyForQuery I
      < ReadyForQuery I
      < BindComplete
      < ErrorResponse 42501
      < ReadyForQuery I
    `);
  });

  test('refused Bind: of an unknown statement, and of one that a new policy refuses', () => {
    transcript(`
      > Bind "" "nobody"
      > Execute "" 0
      > Sync
      => Execute missing
      => Sync
      <= ErrorResponse 34000
      <= ReadyForQuery I
      < ErrorResponse 26000
      < ReadyForQuery I
      > Parse "s" "DELETE LATER"
      > Sync
      => Parse "s" "DELETE LATER"
      => Sync
      <= ParseComplete
      <= ReadyForQuery I
      < ParseComplete
      < ReadyForQuery I
      ! revoke
      > Bind "" "s"
      > Sync
      => Execute missing
      => Sync
      <= ErrorResponse 34000
      <= ReadyForQuery I
      < ErrorResponse 42501
      < ReadyForQuery I
    `);
  });

  test('refused Execute: a portal bound before the policy changed', () => {
    transcript(`
      > Parse "s" "DELETE LATER"
      > Bind "p" "s"
      > Flush
      => Parse "s" "DELETE LATER"
      => Bind "p" "s"
      => Flush
      <= ParseComplete
      <= BindComplete
      < ParseComplete
      < BindComplete
      ! revoke
      > Execute "p" 0
      > Sync
      => Execute missing
      => Sync
      <= ErrorResponse 34000
      <= ReadyForQuery I
      < ErrorResponse 42501
      < ReadyForQuery I
    `);
  });

  test('a refused Query within a pipeline that was not synced: it fails alone, and nothing is skipped', () => {
    transcript(`
      > Parse "s" "SELECT 1"
      > Query "DROP TABLE t"
      > Bind "" "s"
      > Sync
      => Parse "s" "SELECT 1"
      => Query "holdfast refused this statement"
      => Bind "" "s"
      => Sync
      <= ParseComplete
      <= ErrorResponse 42601
      <= ReadyForQuery I
      <= BindComplete
      <= ReadyForQuery I
      < ParseComplete
      < ErrorResponse 42501
      < ReadyForQuery I
      < BindComplete
      < ReadyForQuery I
    `);
  });

  test('a refused Query behind an error: the server skips it, so it has no answer', () => {
    transcript(`
      > Parse "s" "garbage"
      > Query "DROP TABLE t"
      > Sync
      => Parse "s" "garbage"
      => Query "holdfast refused this statement"
      => Sync
      <= ErrorResponse 42601
      <= ReadyForQuery I
      < ErrorResponse 42601
      < ReadyForQuery I
    `);
  });

  test('refused COPY FROM STDIN with eager data: the data is dropped with the rest', () => {
    transcript(`
      > Parse "" "COPY t FROM STDIN -- DROP"
      > Bind "" ""
      > Execute "" 0
      > CopyData "1\\n"
      > CopyDone
      > Sync
      => Execute missing
      => Sync
      <= ErrorResponse 34000
      <= ReadyForQuery I
      < ErrorResponse 42501
      < ReadyForQuery I
    `);
  });

  test('names longer than 63 bytes, of which the server would see one', () => {
    const long = 'é'.repeat(32);
    for (const message of [
      `Parse "${long}" "SELECT 1"`,
      `Bind "" "${long}"`,
      `Bind "${long}" ""`,
      `Describe S "${long}"`,
      `Execute "${long}" 0`,
      `Close S "${long}"`,
    ]) {
      transcript(`
        > ${message}
        > Sync
        => Execute missing
        => Sync
        <= ErrorResponse 34000
        <= ReadyForQuery I
        < ErrorResponse 42622
        < ReadyForQuery I
      `);
    }
    const longest = `${'é'.repeat(31)}x`;
    transcript(`
      > Parse "${longest}" "SELECT 1"
      > Bind "${longest}" "${longest}"
      > Describe S "${longest}"
      > Execute "${longest}" 0
      > Close S "${longest}"
      > Sync
      => Parse "${longest}" "SELECT 1"
      => Bind "${longest}" "${longest}"
      => Describe S "${longest}"
      => Execute "${longest}"
      => Close S "${longest}"
      => Sync
    `);
  });

  test('more names than a session may hold', () => {
    transcript(
      `
      > Parse "a" "SELECT 1"
      > Parse "b" "SELECT 1"
      > Parse "c" "SELECT 1"
      > Sync
      => Parse "a" "SELECT 1"
      => Parse "b" "SELECT 1"
      => Execute missing
      => Sync
      <= ParseComplete
      <= ParseComplete
      <= ErrorResponse 34000
      <= ReadyForQuery I
      < ParseComplete
      < ParseComplete
      < ErrorResponse 54000
      < ReadyForQuery I
      > Query "PREPARE d AS SELECT 1"
      > Close S "a"
      > Sync
      => Query "holdfast refused this statement"
      => Close S "a"
      => Sync
      <= ErrorResponse 42601
      <= ReadyForQuery I
      <= CloseComplete
      <= ReadyForQuery I
      < ErrorResponse 54000
      < ReadyForQuery I
      < CloseComplete
      < ReadyForQuery I
      > Query "PREPARE d AS SELECT 1"
      => Query "PREPARE d AS SELECT 1"
      = PREPARE d AS SELECT 1: skipped
    `,
      { names: 2 },
    );
  });
});
