/** Executions that are counted before they can be committed: nothing gets past one, and nothing of it stays without its count. */
import { describe, test } from 'vitest';
import { transcript } from './transcript.js';

/** The first Execute of a session that is counted, and what is sent for it. */
const extended = (sql: string): string => `
  > Parse "" "${sql}"
  > Bind "" ""
  > Execute "" 0
  > Sync
  => Parse "" "${sql}"
  => Bind "" ""
  => (prepare)
  => (count)
  => Execute ""
  => (count)
  => Flush
`;
/** A Query of one statement that is carried, up to where its count is asked for. */
const query = (sql: string): string => `
  > Query "${sql}"
  => (carry "${sql}")
  => (prepare)
  => (count)
  => Execute ""
  => (count)
  => Flush
`;
const END = `
  => (end)
  <= (ended)
  <= ReadyForQuery I
`;
const CARRIED = `
  <= (carried)
  <= (prepared)
  <= (count 1)
`;

describe('the extended protocol', () => {
  test('within the limit: the Sync comes behind the count', () => {
    transcript(`
      ${extended('UPDATE GUARD')}
      <= ParseComplete
      <= BindComplete
      <= (prepared)
      <= (count 1)
      <= NoticeResponse 00000
      <= DataRow "x"
      < ParseComplete
      < BindComplete
      < NoticeResponse 00000
      < DataRow "x"
      <= ParameterStatus "a" "b"
      <= CommandComplete "UPDATE 2"
      <= NotificationResponse "a" "b"
      < ParameterStatus "a" "b"
      < NotificationResponse "a" "b"
      <= (count 3)
      => Sync
      < CommandComplete "UPDATE 2"
      <= ReadyForQuery I
      < ReadyForQuery I
      = UPDATE GUARD: counted 2, 1 to 3: pass
    `);
  });

  test('what counts behind it may ask for more than what counts before it: each is prepared once', () => {
    transcript(`
      > Query "UPDATE GUARD NAMES"
      => (carry "UPDATE GUARD NAMES")
      => (prepare)
      => (prepare_names)
      => (count)
      => Execute ""
      => (names)
      => Flush
      <= (carried)
      <= (prepared)
      <= (prepared)
      <= (count 1)
      <= CommandComplete "UPDATE 2"
      <= (names 3)
      => (end)
      <= (ended)
      <= ReadyForQuery I
      < CommandComplete "UPDATE 2"
      < ReadyForQuery I
      > Query "UPDATE GUARD NAMES"
      => (carry "UPDATE GUARD NAMES")
      => (count)
      => Execute ""
      => (names)
      => Flush
      <= (carried)
      <= (count 3)
      <= CommandComplete "UPDATE 1"
      <= (names 4)
      => (end)
      <= (ended)
      <= ReadyForQuery I
      < CommandComplete "UPDATE 1"
      < ReadyForQuery I
      = UPDATE GUARD NAMES: counted 2, 1 to 3: pass
      = UPDATE GUARD NAMES: counted 1, 3 to 4: pass
    `);
  });

  test('the list of tables may be longer than a message may be', () => {
    const tables = 'x'.repeat(3000);
    transcript(
      `
      ${query('UPDATE GUARD')}
      ${CARRIED}
      <= CommandComplete "UPDATE 2"
      <= (count ${tables})
      ${END}
      < CommandComplete "UPDATE 2"
      < ReadyForQuery I
      = UPDATE GUARD: counted 2, 1 to ${tables}: pass
    `,
      { message: 1000 },
    );
  });

  test('over the limit: the server undoes it, and one ReadyForQuery follows', () => {
    transcript(`
      ${extended('UPDATE GUARD LIMIT')}
      <= ParseComplete
      <= BindComplete
      <= (prepared)
      <= (count 1)
      <= CommandComplete "UPDATE 2"
      <= (count 3)
      => Execute missing
      => Sync
      < ParseComplete
      < BindComplete
      <= ErrorResponse 34000
      <= ReadyForQuery I
      < ErrorResponse 42501
      < ReadyForQuery I
      = UPDATE GUARD LIMIT: counted 2, 1 to 3: refuse
    `);
  });

  test('an error of an earlier group leaves what is counted behind its Sync alone', () => {
    transcript(`
      > Parse "" "garbage"
      > Sync
      ${extended('DELETE GUARD LIMIT').replace('=> Parse', '=> Parse "" "garbage"\n=> Sync\n=> Parse')}
      <= ErrorResponse 42601
      <= ReadyForQuery I
      < ErrorResponse 42601
      < ReadyForQuery I
      <= ParseComplete
      <= BindComplete
      <= (prepared)
      <= (count 1)
      <= CommandComplete "DELETE 9"
      <= (count 10)
      => Execute missing
      => Sync
      < ParseComplete
      < BindComplete
      <= ErrorResponse 34000
      <= ReadyForQuery I
      < ErrorResponse 42501
      < ReadyForQuery I
      = DELETE GUARD LIMIT: counted 9, 1 to 10: refuse
    `);
  });

  test('so does the error that stands for a refusal: the next one behind it is counted', () => {
    transcript(`
      > Parse "s" "DELETE GUARD LIMIT"
      > Bind "" "s"
      > Execute "" 0
      > Sync
      > Bind "" "s"
      > Execute "" 0
      > Sync
      => Parse "s" "DELETE GUARD LIMIT"
      => Bind "" "s"
      => (prepare)
      => (count)
      => Execute ""
      => (count)
      => Flush
      <= ParseComplete
      <= BindComplete
      <= (prepared)
      <= (count 1)
      <= CommandComplete "DELETE 9"
      <= (count 10)
      < ParseComplete
      < BindComplete
      => Execute missing
      => Sync
      => Bind "" "s"
      => (count)
      => Execute ""
      => (count)
      => Flush
      <= ErrorResponse 34000
      <= ReadyForQuery I
      <= BindComplete
      <= (count 10)
      <= CommandComplete "DELETE 8"
      <= (count 18)
      => Execute missing
      => Sync
      < ErrorResponse 42501
      < ReadyForQuery I
      < BindComplete
      <= ErrorResponse 34000
      <= ReadyForQuery I
      < ErrorResponse 42501
      < ReadyForQuery I
      = DELETE GUARD LIMIT: counted 9, 1 to 10: refuse
      = DELETE GUARD LIMIT: counted 8, 10 to 18: refuse
    `);
  });

  test('an error of the statement itself', () => {
    transcript(`
      ${extended('UPDATE GUARD')}
      <= ParseComplete
      <= BindComplete
      <= (prepared)
      <= (count 1)
      <= ErrorResponse 23505
      => Sync
      < ParseComplete
      < BindComplete
      < ErrorResponse 23505
      <= ReadyForQuery I
      < ReadyForQuery I
      = UPDATE GUARD: failed 23505
    `);
  });

  test('an error before it: the query that counts is prepared anew for the next', () => {
    transcript(`
      ${extended('UPDATE GUARD')}
      <= ErrorResponse 42601
      => Sync
      < ErrorResponse 42601
      <= ReadyForQuery I
      < ReadyForQuery I
      ${extended('UPDATE GUARD')}
      = UPDATE GUARD: skipped
    `);
  });

  test('an error of the first count, and of the second', () => {
    transcript(`
      ${extended('UPDATE GUARD')}
      <= ParseComplete
      <= BindComplete
      <= (prepared)
      <= ErrorResponse 42501
      => Sync
      < ParseComplete
      < BindComplete
      < ErrorResponse 42501
      <= ReadyForQuery I
      < ReadyForQuery I
      ${extended('UPDATE GUARD 2')}
      <= ParseComplete
      <= BindComplete
      <= (prepared)
      <= (count 1)
      <= CommandComplete "UPDATE 1"
      <= ErrorResponse XX000
      => Sync
      < ParseComplete
      < BindComplete
      < ErrorResponse 42501
      <= ReadyForQuery I
      < ReadyForQuery I
      = UPDATE GUARD: skipped
      = UPDATE GUARD 2: failed XX000
    `);
  });

  test('suspended, and an error at the Sync', () => {
    transcript(`
      ${extended('UPDATE GUARD')}
      <= ParseComplete
      <= BindComplete
      <= (prepared)
      <= (count 1)
      <= DataRow "x"
      <= PortalSuspended
      <= (count 3)
      => Sync
      < ParseComplete
      < BindComplete
      < DataRow "x"
      < PortalSuspended
      <= ErrorResponse 23503
      <= ReadyForQuery I
      < ErrorResponse 23503
      < ReadyForQuery I
    `);
  });

  test('a name of Holdfast’s own that the client closes or takes is prepared again', () => {
    transcript(
      `
      ${extended('UPDATE GUARD')}
      <= ParseComplete
      <= BindComplete
      <= (prepared)
      <= (count 1)
      <= CommandComplete "UPDATE 1"
      <= (count 2)
      <= ReadyForQuery I
      => Sync
      < ParseComplete
      < BindComplete
      < CommandComplete "UPDATE 1"
      < ReadyForQuery I
      > Close S "count"
      > Parse "count" "SELECT 0"
      > Sync
      => Close S "count"
      => Parse "count" "SELECT 0"
      => Sync
      <= CloseComplete
      <= ParseComplete
      <= ReadyForQuery I
      < CloseComplete
      < ParseComplete
      < ReadyForQuery I
      ${extended('UPDATE GUARD')}
    `
        .replace('<= ReadyForQuery I\n      => Sync', '=> Sync\n<= ReadyForQuery I')
        .replace(
          '=> Sync\n<= ReadyForQuery I\n      < ParseComplete\n      < BindComplete\n      < CommandComplete "UPDATE 1"',
          '=> Sync\n< ParseComplete\n< BindComplete\n< CommandComplete "UPDATE 1"\n<= ReadyForQuery I',
        ),
    );
  });
});

describe('a Query that is carried', () => {
  test('its CommandComplete comes with ReadyForQuery, and the next Query behind it', () => {
    transcript(`
      ${query('UPDATE GUARD')}
      ${CARRIED}
      <= CommandComplete "UPDATE 2"
      <= (count 3)
      ${END}
      < CommandComplete "UPDATE 2"
      < ReadyForQuery I
      = UPDATE GUARD: counted 2, 1 to 3: pass
    `);
  });

  test('an error at its end drops what said that it succeeded', () => {
    transcript(`
      ${query('UPDATE GUARD')}
      ${CARRIED}
      <= CommandComplete "UPDATE 2"
      <= (count 3)
      ${END.replace('<= ReadyForQuery I', '<= ErrorResponse 23503\n<= ReadyForQuery I')}
      < ErrorResponse 23503
      < ReadyForQuery I
    `);
  });

  test('refused, with another one behind it that is counted, too', () => {
    transcript(`
      > Query "UPDATE GUARD LIMIT"
      > Query "DELETE GUARD LIMIT"
      ${query('UPDATE GUARD LIMIT').split('\n').slice(2).join('\n')}
      ${CARRIED}
      <= CommandComplete "UPDATE 2"
      <= (count 3)
      => Execute missing
      => Sync
      => (carry "DELETE GUARD LIMIT")
      => (count)
      => Execute ""
      => (count)
      => Flush
      <= ErrorResponse 34000
      <= ReadyForQuery I
      < ErrorResponse 42501
      < ReadyForQuery I
      <= (carried)
      <= (count 3)
      <= CommandComplete "DELETE 1"
      <= (count 4)
      => Execute missing
      => Sync
      <= ErrorResponse 34000
      <= ReadyForQuery I
      < ErrorResponse 42501
      < ReadyForQuery I
    `);
  });

  for (const [where, before] of [
    ['Parse', ''],
    ['Execute', CARRIED],
  ] as const) {
    test(`an error at its ${where}: Holdfast sends the Sync`, () => {
      transcript(`
        ${query('UPDATE GUARD')}
        ${before}
        <= ErrorResponse 22012
        => Sync
        < ErrorResponse 22012
        <= ReadyForQuery I
        < ReadyForQuery I
      `);
    });
  }

  test('several statements, refused in the middle: the later ones are skipped', () => {
    transcript(`
      > Query "SELECT 1; UPDATE GUARD LIMIT; SELECT 2"
      => (carry "SELECT 1")
      => Execute ""
      => (carry "UPDATE GUARD LIMIT")
      => (prepare)
      => (count)
      => Execute ""
      => (count)
      => Flush
      <= ParseComplete
      <= BindComplete
      <= RowDescription
      <= DataRow "1"
      <= CommandComplete "SELECT 1"
      < RowDescription
      < DataRow "1"
      < CommandComplete "SELECT 1"
      ${CARRIED}
      <= CommandComplete "UPDATE 2"
      <= (count 3)
      => Execute missing
      => Sync
      <= ErrorResponse 34000
      <= ReadyForQuery I
      < ErrorResponse 42501
      < ReadyForQuery I
      = SELECT 1: ok 1
      = UPDATE GUARD LIMIT: counted 2, 1 to 3: refuse
      = SELECT 2: skipped
    `);
  });

  test('DEALLOCATE ALL between two that are counted', () => {
    transcript(`
      > Query "GUARD 1; DEALLOCATE ALL; GUARD 2"
      ${query('GUARD 1').split('\n').slice(2).join('\n')}
      ${CARRIED}
      <= CommandComplete "UPDATE 2"
      <= (count 3)
      => (carry "DEALLOCATE ALL")
      => Execute ""
      => (carry "GUARD 2")
      => (prepare)
      => (count)
      => Execute ""
      => (count)
      => Flush
      < CommandComplete "UPDATE 2"
    `);
  });
});

describe('COPY FROM STDIN', () => {
  const copying = `
    > Query "COPY GUARD FROM STDIN"
    => (carry "COPY GUARD FROM STDIN")
    => (prepare)
    => (count)
    => Execute ""
    => Flush
    ${CARRIED}
    <= CopyInResponse
    < CopyInResponse
  `;

  test('the end of its data has it counted, and a Sync within is dropped', () => {
    transcript(`
      ${copying}
      > CopyData "1"
      > Sync
      > CopyDone
      => CopyData "1"
      => CopyDone
      => (count)
      => Flush
      <= CommandComplete "COPY 1"
      <= (count 2)
      ${END}
      < CommandComplete "COPY 1"
      < ReadyForQuery I
    `);
  });

  test('given up by the client: a Query behind that waits until it has failed', () => {
    transcript(`
      ${copying}
      > CopyData "1"
      > CopyFail "no"
      > Query "SELECT 1"
      => CopyData "1"
      => CopyFail "no"
      <= ErrorResponse 57014
      => Sync
      => Query "SELECT 1"
      < ErrorResponse 57014
      <= ReadyForQuery I
      < ReadyForQuery I
      <= CommandComplete "SELECT 1"
      <= ReadyForQuery I
      < CommandComplete "SELECT 1"
      < ReadyForQuery I
    `);
  });

  test('it took no data: counted when it has ended', () => {
    transcript(`
      > Query "COPY GUARD FROM STDIN"
      => (carry "COPY GUARD FROM STDIN")
      => (prepare)
      => (count)
      => Execute ""
      => Flush
      ${CARRIED}
      <= CommandComplete "COPY 1"
      => (count)
      => Flush
      <= (count 2)
      ${END}
      < CommandComplete "COPY 1"
      < ReadyForQuery I
    `);
  });
});

describe('what can be undone', () => {
  test('outside of a block, the client hears nothing of it, and its Bind is repeated', () => {
    transcript(`
      ${extended('UPDATE GUARD PREVIEW UNDO')}
      <= ParseComplete
      <= BindComplete
      <= (prepared)
      <= (count 1)
      <= DataRow "x"
      <= CommandComplete "UPDATE 2"
      <= (count 3)
      => Execute missing
      => Sync
      < ParseComplete
      < BindComplete
      <= ErrorResponse 34000
      <= ReadyForQuery I
      => Close P ""
      => Bind "" ""
      => (count)
      => Execute ""
      => (count)
      => Flush
      <= CloseComplete
      <= BindComplete
      <= (count 3)
      <= DataRow "x"
      <= CommandComplete "UPDATE 2"
      <= (count 5)
      => Sync
      < DataRow "x"
      < CommandComplete "UPDATE 2"
      = UPDATE GUARD PREVIEW UNDO: counted 2, 1 to 3: undo
      = UPDATE GUARD PREVIEW UNDO: counted 2, 3 to 5: pass
    `);
  });

  test('within a block, by a savepoint; then it is denied', () => {
    transcript(`
      ! status T
      ${extended('UPDATE GUARD PREVIEW UNDO DENIED').replace(
        '=> (prepare)',
        '=> (prepare)\n=> (own SAVEPOINT)',
      )}
      <= ParseComplete
      <= BindComplete
      <= (prepared)
      <= (owned)
      <= (count 1)
      <= CommandComplete "UPDATE 2"
      <= (count 3)
      => (own ROLLBACK TO SAVEPOINT)
      => (own RELEASE SAVEPOINT)
      => Flush
      < ParseComplete
      < BindComplete
      <= (owned)
      <= (owned)
      => Execute missing
      => Sync
      <= ErrorResponse 34000
      <= ReadyForQuery E
      < ErrorResponse 57014
      < ReadyForQuery E
    `);
  });

  test('a Query’s rows are kept back with their description', () => {
    transcript(`
      ${query('UPDATE GUARD PREVIEW UNDO FREE')}
      <= ParseComplete
      <= BindComplete
      <= RowDescription
      <= (prepared)
      <= (count 1)
      <= DataRow "x"
      <= CommandComplete "UPDATE 2"
      <= (count 3)
      => Execute missing
      => Sync
      <= ErrorResponse 34000
      <= ReadyForQuery I
      => Query "UPDATE GUARD PREVIEW UNDO FREE"
    `);
  });

  test('no longer when its statement was prepared anew: the portal would mean another', () => {
    transcript(`
      > Parse "" "UPDATE GUARD PREVIEW UNDO"
      > Bind "" ""
      > Parse "" "SELECT 1"
      > Execute "" 0
      => Parse "" "UPDATE GUARD PREVIEW UNDO"
      => Bind "" ""
      => Parse "" "SELECT 1"
      => (prepare)
      => (count)
      => Execute ""
      => (count)
      => Flush
      <= ParseComplete
      <= BindComplete
      <= ParseComplete
      <= (prepared)
      <= (count 1)
      <= CommandComplete "UPDATE 2"
      <= (count 3)
      < ParseComplete
      < BindComplete
      < ParseComplete
      < CommandComplete "UPDATE 2"
    `);
  });
});

describe('records lost', () => {
  const lost = (before: string, after: string): void => {
    transcript(`${before}\n${after}`);
  };

  test('the first batch of an Execute', () => {
    lost(
      `! hold
      > Parse "" "GUARD"
      > Bind "" ""
      > Execute "" 0
      > Sync`,
      `! lost
      => Execute missing
      => Sync
      <= ErrorResponse 34000
      <= ReadyForQuery I
      < ErrorResponse 58030
      < ReadyForQuery I
      = GUARD: skipped`,
    );
  });

  for (const [what, sync] of [
    ['the client’s Sync behind it', '> Sync'],
    ['nothing but the record of the count', ''],
  ] as const) {
    test(`${what}: it is not committed`, () => {
      transcript(
        `
        ${extended('GUARD').replace('> Sync', '')}
        <= ParseComplete
        <= BindComplete
        <= (prepared)
        <= (count 1)
        <= CommandComplete "UPDATE 2"
        ! hold
        <= (count 3)
        ${sync}
        ! lost
        => Execute missing
        ${sync === '' ? '> Sync' : ''}
        => Sync
        <= ErrorResponse 34000
        <= ReadyForQuery I
        < ErrorResponse 58030
        < ReadyForQuery I
      `
          .replace('! hold', '< ParseComplete\n< BindComplete\n! hold')
          .replace('<= (count 3)', '<= (count 3)\n< CommandComplete "UPDATE 2"'),
      );
    });
  }

  test('the end of a carried Query, and the Query behind it: neither is committed', () => {
    transcript(`
      > Query "GUARD"
      > Query "INSERT 1"
      ${query('GUARD').split('\n').slice(2).join('\n')}
      ${CARRIED}
      <= CommandComplete "UPDATE 2"
      ! hold
      <= (count 3)
      ! lost
      => Execute missing
      => Sync
      => Query "holdfast refused this statement"
      <= ErrorResponse 34000
      <= ReadyForQuery I
      <= ErrorResponse 42601
      <= ReadyForQuery I
      < ErrorResponse 58030
      < ReadyForQuery I
      < ErrorResponse 58030
      < ReadyForQuery I
      = GUARD: counted 2, 1 to 3: pass
      = INSERT 1: skipped
    `);
  });

  test('the second step of a carried Query, and a Query before one that is carried', () => {
    transcript(`
      ${query('GUARD 1').replaceAll('"GUARD 1"', '"GUARD 1; GUARD 2; SELECT 3"').replace('(carry "GUARD 1; GUARD 2; SELECT 3")', '(carry "GUARD 1")')}
      ${CARRIED}
      <= CommandComplete "UPDATE 2"
      ! hold
      <= (count 3)
      < CommandComplete "UPDATE 2"
      ! lost
      => Execute missing
      => Sync
      <= ErrorResponse 34000
      <= ReadyForQuery I
      < ErrorResponse 58030
      < ReadyForQuery I
      ! hold
      > Query "INSERT 1"
      > Query "GUARD 4"
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
      = GUARD 1: counted 2, 1 to 3: pass
      = SELECT 3: skipped
      = GUARD 2: skipped
      = INSERT 1: skipped
      = GUARD 4: skipped
    `);
  });
});

test('Terminate waits behind what is counted', () => {
  transcript(`
    > Query "GUARD"
    > Terminate
    ${query('GUARD').split('\n').slice(2).join('\n')}
    ${CARRIED}
    <= CommandComplete "UPDATE 2"
    <= (count 3)
    => (end)
    => Terminate
    * terminated
  `);
});
