/** What the server is asked around an execution that is counted, within the client's transaction, and without the client hearing of it. */
import { describe, test } from 'vitest';
import { transcript } from './transcript.js';

/** An Execute comes, and what is asked before it is sent. */
const begun = (sql: string): string => `
  > Parse "" "${sql}"
  > Bind "" ""
  > Execute "" 0
  > Sync
  => Parse "" "${sql}"
  => Bind "" ""
  => (ask SELECT asked)
  => Flush
  <= ParseComplete
  <= BindComplete
`;
/** Asked and opened, up to where the execution itself is sent. */
const asked = (sql: string): string => `
  ${begun(sql)}
  <= (asked yes)
  < ParseComplete
  < BindComplete
  => (open)
  => Flush
  <= (opened)
  => (prepare)
  => (count)
  => Execute ""
  => (count)
  => Flush
`;
/** Of a Query: asked, opened and carried, up to where it is counted. */
const askedCarried = (sql: string): string => `
  => (ask SELECT asked)
  => Flush
  <= (asked yes)
  => (open)
  => Flush
  <= (opened)
  => (carry "${sql}")
  => (prepare)
  => (count)
  => Execute ""
  => (count)
  => Flush
  <= (carried)
`;
const COUNTED = `
  <= (prepared)
  <= (count 1)
  <= CommandComplete "UPDATE 2"
  <= (count 3)
`;

describe('before it runs', () => {
  test('asked, opened, counted', () => {
    transcript(`
      ${asked('UPDATE GUARD ASK')}
      ${COUNTED}
      => Sync
      < CommandComplete "UPDATE 2"
      <= ReadyForQuery I
      < ReadyForQuery I
      = UPDATE GUARD ASK: asked yes
      = UPDATE GUARD ASK: counted 2, 1 to 3: pass
    `);
  });

  test('the answer is no: it never runs', () => {
    transcript(`
      ${begun('UPDATE GUARD ASK')}
      <= (asked no)
      < ParseComplete
      < BindComplete
      => Execute missing
      => Sync
      <= ErrorResponse 34000
      <= ReadyForQuery I
      < ErrorResponse 42501
      < ReadyForQuery I
      = UPDATE GUARD ASK: asked no
      = UPDATE GUARD ASK: skipped
    `);
  });

  test('the question fails: it never runs, and the next statement is asked about anew', () => {
    transcript(`
      ${begun('UPDATE GUARD ASK')}
      <= ErrorResponse 42P01
      < ParseComplete
      < BindComplete
      < ErrorResponse 42000
      => Sync
      <= ReadyForQuery I
      < ReadyForQuery I
      ${asked('UPDATE GUARD ASK')}
      ${COUNTED}
      => Sync
      < CommandComplete "UPDATE 2"
      <= ReadyForQuery I
      < ReadyForQuery I
      = UPDATE GUARD ASK: skipped
      = UPDATE GUARD ASK: asked yes
      = UPDATE GUARD ASK: counted 2, 1 to 3: pass
    `);
  });

  test('of a Query: before anything of it is parsed', () => {
    transcript(`
      > Query "UPDATE GUARD ASK"
      ${askedCarried('UPDATE GUARD ASK')}
      ${COUNTED}
      => (end)
      <= (ended)
      <= ReadyForQuery I
      < CommandComplete "UPDATE 2"
      < ReadyForQuery I
      = UPDATE GUARD ASK: asked yes
      = UPDATE GUARD ASK: counted 2, 1 to 3: pass
    `);
  });

  test('of a Query: the question fails, and so does the whole string', () => {
    transcript(`
      > Query "UPDATE GUARD ASK; SELECT 1"
      > Query "SELECT 2"
      => (ask SELECT asked)
      => Flush
      <= ErrorResponse 42P01
      < ErrorResponse 42000
      => Sync
      => Query "SELECT 2"
      <= ReadyForQuery I
      <= CommandComplete "SELECT 1"
      <= ReadyForQuery I
      < ReadyForQuery I
      < CommandComplete "SELECT 1"
      < ReadyForQuery I
      = SELECT 1: skipped
      = UPDATE GUARD ASK: skipped
      = SELECT 2: ok 1
    `);
  });

  test('what could be undone is bound again behind what is asked', () => {
    transcript(`
      ${begun('UPDATE GUARD PREVIEW UNDO ASK')}
      <= (asked yes)
      < ParseComplete
      < BindComplete
      => (open)
      => Flush
      <= (opened)
      => (prepare)
      => (count)
      => Execute ""
      => (count)
      => Flush
      ${COUNTED}
      => Execute missing
      => Sync
      <= ErrorResponse 34000
      <= ReadyForQuery I
      => (ask SELECT asked)
      => Flush
      <= (asked yes)
      => (open)
      => Flush
      <= (opened)
      => Close P ""
      => Bind "" ""
      => (count)
      => Execute ""
      => (count)
      => Flush
      <= CloseComplete
      <= BindComplete
      <= (count 1)
      <= CommandComplete "UPDATE 2"
      <= (count 3)
      => Sync
      < CommandComplete "UPDATE 2"
      <= ReadyForQuery I
      < ReadyForQuery I
    `);
  });

  test('its record is lost: it never runs', () => {
    transcript(`
      ! hold
      > Query "UPDATE GUARD ASK"
      ! lost
      => Execute missing
      => Sync
      <= ErrorResponse 34000
      <= ReadyForQuery I
      < ErrorResponse 58030
      < ReadyForQuery I
      = UPDATE GUARD ASK: skipped
    `);
  });
});

describe('when it has been counted', () => {
  test('the rows as they were are read and kept before it is committed', () => {
    transcript(`
      ${asked('UPDATE GUARD ASK KEEP')}
      ${COUNTED}
      => (read)
      => Flush
      <= (kept old)
      ! resume
      => (ask SELECT back)
      => Flush
      <= (asked x)
      => Sync
      < CommandComplete "UPDATE 2"
      <= ReadyForQuery I
      < ReadyForQuery I
      = UPDATE GUARD ASK KEEP: asked yes
      = UPDATE GUARD ASK KEEP: kept old
      = UPDATE GUARD ASK KEEP: counted 2, 1 to 3: pass
    `);
  });

  test('they are too much: refused', () => {
    transcript(`
      ${asked('UPDATE GUARD ASK KEEP')}
      ${COUNTED}
      => (read)
      => Flush
      <= DataRow "${'old '.repeat(20)}"
      <= DataRow "${'old '.repeat(20)}"
      <= CommandComplete "SELECT 2"
      <= CloseComplete
      <= CloseComplete
      => Execute missing
      => Sync
      <= ErrorResponse 34000
      <= ReadyForQuery I
      < ErrorResponse 54000
      < ReadyForQuery I
      = UPDATE GUARD ASK KEEP: asked yes
      = UPDATE GUARD ASK KEEP: counted 2, 1 to 3: refuse
    `);
  });

  test('they cannot be read: what it did is undone with the error', () => {
    transcript(`
      ${asked('UPDATE GUARD ASK KEEP')}
      ${COUNTED}
      => (read)
      => Flush
      <= ErrorResponse 42501
      < ErrorResponse 42000
      => Sync
      <= ReadyForQuery I
      < ReadyForQuery I
      = UPDATE GUARD ASK KEEP: asked yes
      = UPDATE GUARD ASK KEEP: failed 42501
    `);
  });

  test('of a Query: nothing of its success is seen before they are kept', () => {
    transcript(`
      > Query "UPDATE GUARD ASK KEEP"
      > Query "SELECT 2"
      ${askedCarried('UPDATE GUARD ASK KEEP')}
      ${COUNTED}
      => (read)
      => Flush
      <= (kept old)
      ! resume
      => (ask SELECT back)
      => Flush
      <= (asked x)
      => (end)
      => Query "SELECT 2"
      <= (ended)
      <= ReadyForQuery I
      < CommandComplete "UPDATE 2"
      < ReadyForQuery I
      <= CommandComplete "SELECT 1"
      <= ReadyForQuery I
      < CommandComplete "SELECT 1"
      < ReadyForQuery I
    `);
  });
});
