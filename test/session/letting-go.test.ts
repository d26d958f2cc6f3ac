/** What has begun on the server for an Execute that people decide about is ended while they do, and made again. */
import { describe, test } from 'vitest';
import { transcript } from './transcript.js';

/** Parse and Bind of what waits, answered. */
const MADE = `
      > Parse "s" "PEOPLE 1"
      > Bind "p" "s"
      > Flush
      => Parse "s" "PEOPLE 1"
      => Bind "p" "s"
      => Flush
      <= ParseComplete
      <= BindComplete
      < ParseComplete
      < BindComplete`;

/** It waits, nothing is sent for that, and it runs. */
const LEFT_AS_IT_IS = `
      > Execute "p" 0
      > Sync
      ! resume
      => Execute "p"
      => Sync
      <= CommandComplete "SELECT 1"
      <= ReadyForQuery I
      < CommandComplete "SELECT 1"
      < ReadyForQuery I`;

describe('an Execute that waits for people', () => {
  test('has its transaction ended, unseen, and its portal bound again when it runs', () => {
    transcript(`${MADE}
      > Execute "p" 0
      > Execute "p" 0
      > Sync
      => Sync
      <= ReadyForQuery I
      ! resume
      => Close P "p"
      => Bind "p" "s"
      => Execute "p"
      => Execute "p"
      => Sync
      <= CloseComplete
      <= BindComplete
      <= CommandComplete "SELECT 1"
      <= CommandComplete "SELECT 0"
      <= ReadyForQuery I
      < CommandComplete "SELECT 1"
      < CommandComplete "SELECT 0"
      < ReadyForQuery I
      = PEOPLE 1: ok 1
      = PEOPLE 1: ok 0
    `);
  });

  test('that is decided before the server has answered is asked about again when it has', () => {
    transcript(`${MADE}
      > Execute "p" 0
      => Sync
      ! resume
      <= ReadyForQuery I
      => Close P "p"
      => Bind "p" "s"
      => Execute "p"
      > Sync
      => Sync
      <= CloseComplete
      <= BindComplete
      <= CommandComplete "SELECT 1"
      <= ReadyForQuery I
      < CommandComplete "SELECT 1"
      < ReadyForQuery I
    `);
  });

  test('and cannot be bound again any more fails with what the server says', () => {
    transcript(`${MADE}
      > Execute "p" 0
      > Sync
      => Sync
      <= ReadyForQuery I
      ! resume
      => Close P "p"
      => Bind "p" "s"
      => Execute "p"
      => Sync
      <= CloseComplete
      <= ErrorResponse 42P01
      <= ReadyForQuery I
      < ErrorResponse 42P01
      < ReadyForQuery I
      = PEOPLE 1: skipped
    `);
  });

  test('within a transaction block, or behind what has run, leaves that to the client', () => {
    transcript(`
      ! status T
      > Parse "s" "PEOPLE 1"
      > Bind "p" "s"
      > Execute "p" 0
      > Sync
      => Parse "s" "PEOPLE 1"
      => Bind "p" "s"
      <= ParseComplete
      <= BindComplete
      < ParseComplete
      < BindComplete
      ! resume
      => Execute "p"
      => Sync
      <= CommandComplete "SELECT 1"
      <= ReadyForQuery T
      < CommandComplete "SELECT 1"
      < ReadyForQuery T
    `);
    transcript(`
      > Parse "" "INSERT 1"
      > Bind "" ""
      > Execute "" 0
      > Parse "s" "PEOPLE 1"
      > Bind "p" "s"
      > Flush
      => Parse "" "INSERT 1"
      => Bind "" ""
      => Execute ""
      => Parse "s" "PEOPLE 1"
      => Bind "p" "s"
      => Flush
      <= ParseComplete
      <= BindComplete
      <= CommandComplete "INSERT 0 1"
      <= ParseComplete
      <= BindComplete
      < ParseComplete
      < BindComplete
      < CommandComplete "INSERT 0 1"
      < ParseComplete
      < BindComplete${LEFT_AS_IT_IS}`);
  });

  test('beside a portal that could not be bound again leaves the transaction as it is', () => {
    transcript(`
      > Parse "o" "SELECT 1"
      > Bind "other" "o"
      > Parse "s" "PEOPLE 1"
      > Bind "p" "s"
      > Flush
      => Parse "o" "SELECT 1"
      => Bind "other" "o"
      => Parse "s" "PEOPLE 1"
      => Bind "p" "s"
      => Flush
      <= ParseComplete
      <= BindComplete
      <= ParseComplete
      <= BindComplete
      < ParseComplete
      < BindComplete
      < ParseComplete
      < BindComplete${LEFT_AS_IT_IS}`);
  });

  test('whose end could not leave, since a record could not be written, is refused', () => {
    transcript(`${MADE}
      ! hold
      > Execute "p" 0
      ! lost
      => Execute missing
      > Sync
      => Sync
      <= ErrorResponse 34000
      <= ReadyForQuery I
      < ErrorResponse 58030
      < ReadyForQuery I
    `);
  });
});
