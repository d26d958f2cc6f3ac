/** COPY in both directions and both protocols, going well and badly. */
import { describe, test } from 'vitest';
import { transcript } from './transcript.js';

describe('COPY TO STDOUT', () => {
  test('simple, and behind it another Query', () => {
    transcript(`
      > Query "COPY t TO STDOUT"
      > Query "SELECT 1"
      => Query "COPY t TO STDOUT"
      => Query "SELECT 1"
      <= CopyOutResponse
      <= CopyData "1\\n"
      <= NoticeResponse 00000
      <= CopyData "2\\n"
      <= CopyDone
      <= CommandComplete "COPY 2"
      <= ReadyForQuery I
      <= CommandComplete "SELECT 1"
      <= ReadyForQuery I
      < CopyOutResponse
      < CopyData "1\\n"
      < NoticeResponse 00000
      < CopyData "2\\n"
      < CopyDone
      < CommandComplete "COPY 2"
      < ReadyForQuery I
      < CommandComplete "SELECT 1"
      < ReadyForQuery I
      = COPY t TO STDOUT: ok 2
      = SELECT 1: ok 1
    `);
  });

  test('extended, failing in the middle', () => {
    transcript(`
      > Parse "" "COPY t TO STDOUT"
      > Bind "" ""
      > Execute "" 0
      > Sync
      => Parse "" "COPY t TO STDOUT"
      => Bind "" ""
      => Execute ""
      => Sync
      <= ParseComplete
      <= BindComplete
      <= CopyOutResponse
      <= CopyData "1\\n"
      <= ErrorResponse 57014
      <= ReadyForQuery I
      < ParseComplete
      < BindComplete
      < CopyOutResponse
      < CopyData "1\\n"
      < ErrorResponse 57014
      < ReadyForQuery I
    `);
  });
});

describe('COPY FROM STDIN, simple', () => {
  const started = `
    > Query "COPY t FROM STDIN"
    => Query "COPY t FROM STDIN"
    <= CopyInResponse
    < CopyInResponse
  `;

  test('data, then the end', () => {
    transcript(`${started}
      > CopyData "1\\n"
      > CopyData ""
      > Flush
      > CopyData "2\\n"
      > CopyDone
      => CopyData "1\\n"
      => CopyData ""
      => Flush
      => CopyData "2\\n"
      => CopyDone
      <= CommandComplete "COPY 2"
      <= ReadyForQuery I
      < CommandComplete "COPY 2"
      < ReadyForQuery I
      = COPY t FROM STDIN: ok 2
    `);
  });

  test('the client gives up', () => {
    transcript(`${started}
      > CopyData "1\\n"
      > CopyFail "changed my mind"
      => CopyData "1\\n"
      => CopyFail "changed my mind"
      <= ErrorResponse 57014
      <= ReadyForQuery I
      < ErrorResponse 57014
      < ReadyForQuery I
      = COPY t FROM STDIN: failed 57014
    `);
  });

  test('the data and the end sent eagerly, and another Query behind them', () => {
    transcript(`
      > Query "COPY t FROM STDIN"
      > CopyData "1\\n"
      > CopyDone
      > Query "SELECT 1"
      => Query "COPY t FROM STDIN"
      => CopyData "1\\n"
      => CopyDone
      => Query "SELECT 1"
      <= CopyInResponse
      <= CommandComplete "COPY 1"
      <= ReadyForQuery I
      <= CommandComplete "SELECT 1"
      <= ReadyForQuery I
      < CopyInResponse
      < CommandComplete "COPY 1"
      < ReadyForQuery I
      < CommandComplete "SELECT 1"
      < ReadyForQuery I
    `);
  });

  test('it fails at once, the data is on its way: the server ignores it', () => {
    transcript(`
      > Query "COPY missing FROM STDIN"
      > CopyData "1\\n"
      => Query "COPY missing FROM STDIN"
      => CopyData "1\\n"
      <= ErrorResponse 42P01
      <= ReadyForQuery I
      < ErrorResponse 42P01
      < ReadyForQuery I
      > CopyData "2\\n"
      > CopyDone
      > Query "COPY t FROM STDIN"
      => CopyData "2\\n"
      => CopyDone
      => Query "COPY t FROM STDIN"
      <= CopyInResponse
      < CopyInResponse
      -- the end of the first COPY's data is not taken for that of the second
      > CopyData "3\\n"
      > CopyDone
      => CopyData "3\\n"
      => CopyDone
      <= CommandComplete "COPY 1"
      <= ReadyForQuery I
      < CommandComplete "COPY 1"
      < ReadyForQuery I
    `);
  });

  test('it fails in the middle of the data', () => {
    transcript(`${started}
      > CopyData "x\\n"
      => CopyData "x\\n"
      <= ErrorResponse 22P02
      <= ReadyForQuery I
      < ErrorResponse 22P02
      < ReadyForQuery I
      > CopyData "2\\n"
      > CopyDone
      > Query "SELECT 1"
      => CopyData "2\\n"
      => CopyDone
      => Query "SELECT 1"
      <= CommandComplete "SELECT 1"
      <= ReadyForQuery I
      < CommandComplete "SELECT 1"
      < ReadyForQuery I
    `);
  });

  test('two COPYs in one string, with the data of both sent eagerly, and not', () => {
    transcript(`
      > Query "COPY t FROM STDIN; COPY u FROM STDIN"
      > CopyData "1\\n"
      > CopyDone
      > CopyDone
      > Query "SELECT 1"
      => Query "COPY t FROM STDIN; COPY u FROM STDIN"
      => CopyData "1\\n"
      => CopyDone
      => CopyDone
      => Query "SELECT 1"
      <= CopyInResponse
      <= CommandComplete "COPY 1"
      <= CopyInResponse
      <= CommandComplete "COPY 0"
      <= ReadyForQuery I
      < CopyInResponse
      < CommandComplete "COPY 1"
      < CopyInResponse
      < CommandComplete "COPY 0"
      < ReadyForQuery I
    `);
    transcript(`
      > Query "COPY t FROM STDIN; COPY u FROM STDIN"
      => Query "COPY t FROM STDIN; COPY u FROM STDIN"
      <= CopyInResponse
      < CopyInResponse
      > CopyDone
      => CopyDone
      <= CommandComplete "COPY 0"
      <= CopyInResponse
      < CommandComplete "COPY 0"
      < CopyInResponse
      > CopyDone
      => CopyDone
      <= CommandComplete "COPY 0"
      <= ReadyForQuery I
      < CommandComplete "COPY 0"
      < ReadyForQuery I
    `);
  });

  test('a Sync within the data, of which the server makes nothing', () => {
    transcript(`${started}
      > Sync
      > CopyData "1\\n"
      > CopyDone
      => Sync
      => CopyData "1\\n"
      => CopyDone
      <= CommandComplete "COPY 1"
      <= ReadyForQuery I
      < CommandComplete "COPY 1"
      < ReadyForQuery I
      > Sync
      => Sync
      <= ReadyForQuery I
      < ReadyForQuery I
    `);
  });

  test('a Query before the end of the data ends the session, as the server would', () => {
    transcript(`${started}
      > Query "SELECT 1"
      < ErrorResponse FATAL 08P01
      * failed 08P01
    `);
  });

  test('so does one that was sent before the server asked for the data', () => {
    transcript(`
      > Query "COPY t FROM STDIN"
      > Query "SELECT 1"
      => Query "COPY t FROM STDIN"
      => Query "SELECT 1"
      <= CopyInResponse
      < ErrorResponse FATAL 08P01
      * failed 08P01
    `);
  });
});

describe('COPY FROM STDIN, extended', () => {
  const sent = `
    > Parse "" "COPY t FROM STDIN"
    > Bind "" ""
    > Execute "" 0
  `;
  const reached = `
    => Parse "" "COPY t FROM STDIN"
    => Bind "" ""
    => Execute ""
  `;
  const copying = `
    <= ParseComplete
    <= BindComplete
    <= CopyInResponse
    < ParseComplete
    < BindComplete
    < CopyInResponse
  `;

  test('Flush, data, end, Sync', () => {
    transcript(`${sent}
      > Flush
      ${reached}
      => Flush
      ${copying}
      > CopyData "1\\n"
      > CopyDone
      > Sync
      => CopyData "1\\n"
      => CopyDone
      => Sync
      <= CommandComplete "COPY 1"
      <= ReadyForQuery I
      < CommandComplete "COPY 1"
      < ReadyForQuery I
    `);
  });

  test('everything sent eagerly', () => {
    transcript(`${sent}
      > CopyData "1\\n"
      > CopyDone
      > Sync
      > Query "SELECT 1"
      ${reached}
      => CopyData "1\\n"
      => CopyDone
      => Sync
      => Query "SELECT 1"
      <= ParseComplete
      <= BindComplete
      <= CopyInResponse
      <= CommandComplete "COPY 1"
      <= ReadyForQuery I
      <= CommandComplete "SELECT 1"
      <= ReadyForQuery I
      < ParseComplete
      < BindComplete
      < CopyInResponse
      < CommandComplete "COPY 1"
      < ReadyForQuery I
      < CommandComplete "SELECT 1"
      < ReadyForQuery I
    `);
  });

  describe('a Sync behind Execute, as libpq sends it, which the server ignores within the COPY', () => {
    const begun = `${sent}
      > Sync
      ${reached}
      => Sync
      ${copying}
    `;

    test('it goes well: one ReadyForQuery, for the Sync behind the data', () => {
      transcript(`${begun}
        > CopyData "1\\n"
        > CopyDone
        > Sync
        => CopyData "1\\n"
        => CopyDone
        => Sync
        <= CommandComplete "COPY 1"
        <= ReadyForQuery I
        < CommandComplete "COPY 1"
        < ReadyForQuery I
        > Query "SELECT 1"
        => Query "SELECT 1"
        <= CommandComplete "SELECT 1"
        <= ReadyForQuery I
        < CommandComplete "SELECT 1"
        < ReadyForQuery I
      `);
    });

    test('it fails in the data: the Sync was ignored, and the client has not noticed yet', () => {
      transcript(`${begun}
        > CopyData "x\\n"
        => CopyData "x\\n"
        <= ErrorResponse 22P02
        < ErrorResponse 22P02
        > CopyData "2\\n"
        > CopyDone
        > Sync
        > Query "SELECT 1"
        => CopyData "2\\n"
        => CopyDone
        => Sync
        => Query "SELECT 1"
        <= ReadyForQuery I
        <= RowDescription
        <= CommandComplete "SELECT 1"
        <= ReadyForQuery I
        < ReadyForQuery I
        < RowDescription
        < CommandComplete "SELECT 1"
        < ReadyForQuery I
        > Sync
        > Sync
        => Sync
        => Sync
        <= ReadyForQuery I
        <= ReadyForQuery I
        < ReadyForQuery I
        < ReadyForQuery I
        = COPY t FROM STDIN: failed 22P02
        = SELECT 1: ok 1
      `);
    });

    test('it fails in the data, after the end of it was sent', () => {
      transcript(`${begun}
        > CopyData "x\\n"
        > CopyDone
        > Sync
        > Parse "" "SELECT 1"
        > Sync
        => CopyData "x\\n"
        => CopyDone
        => Sync
        => Parse "" "SELECT 1"
        => Sync
        <= ErrorResponse 22P02
        <= ReadyForQuery I
        <= ParseComplete
        <= ReadyForQuery I
        < ErrorResponse 22P02
        < ReadyForQuery I
        < ParseComplete
        < ReadyForQuery I
      `);
    });

    test('it fails before the server has read the Sync, which is answered then', () => {
      transcript(`${begun}
        <= ErrorResponse 57014
        <= ReadyForQuery I
        < ErrorResponse 57014
        < ReadyForQuery I
        > CopyData "1\\n"
        > CopyDone
        > Sync
        > Query "SELECT 1"
        => CopyData "1\\n"
        => CopyDone
        => Sync
        => Query "SELECT 1"
        <= ReadyForQuery I
        <= CommandComplete "SELECT 1"
        <= ReadyForQuery I
        < ReadyForQuery I
        < CommandComplete "SELECT 1"
        < ReadyForQuery I
      `);
    });

    test('while it is not known whether the server skips, only a Sync is understood', () => {
      for (const message of ['Query "SELECT 1"', 'Parse "s" "SELECT 1"', 'Close S "s"', 'FunctionCall']) {
        transcript(`${begun}
          > CopyData "x\\n"
          => CopyData "x\\n"
          <= ErrorResponse 22P02
          < ErrorResponse 22P02
          > ${message}
          < ErrorResponse FATAL 08P01
          * failed 08P01
        `);
      }
    });

    test('a message behind the data without a Sync runs when the COPY went well', () => {
      transcript(`${begun}
        > CopyData "1\\n"
        > CopyDone
        > Query "SELECT 1"
        => CopyData "1\\n"
        => CopyDone
        => Query "SELECT 1"
        <= CommandComplete "COPY 1"
        <= CommandComplete "SELECT 1"
        <= ReadyForQuery I
        < CommandComplete "COPY 1"
        < CommandComplete "SELECT 1"
        < ReadyForQuery I
      `);
    });

    test('and ends the session when it failed: whether it was skipped is not known', () => {
      transcript(`${begun}
        > CopyData "x\\n"
        > CopyDone
        > Parse "s" "SELECT 1"
        => CopyData "x\\n"
        => CopyDone
        => Parse "s" "SELECT 1"
        <= ErrorResponse 22P02
        < ErrorResponse FATAL 08P01
        * failed 08P01
      `);
    });
  });

  test('it fails without a Sync: the rest is dropped up to the Sync', () => {
    transcript(`${sent}
      > Flush
      ${reached}
      => Flush
      ${copying}
      > CopyData "x\\n"
      => CopyData "x\\n"
      <= ErrorResponse 22P02
      < ErrorResponse 22P02
      > CopyData "2\\n"
      > CopyDone
      > Query "SELECT 1"
      > Sync
      => Sync
      <= ReadyForQuery I
      < ReadyForQuery I
    `);
  });
});

describe('CopyBoth, of replication', () => {
  test('data both ways, and the end of it', () => {
    transcript(`
      > Query "START_REPLICATION"
      => Query "START_REPLICATION"
      <= CopyBothResponse
      <= CopyData "w"
      < CopyBothResponse
      < CopyData "w"
      > CopyData "r"
      => CopyData "r"
      <= CopyData "w"
      < CopyData "w"
      > CopyDone
      => CopyDone
      <= CopyDone
      <= CommandComplete "COPY 0"
      <= ReadyForQuery I
      < CopyDone
      < CommandComplete "COPY 0"
      < ReadyForQuery I
    `);
  });
});

describe('a limit reached in the middle of COPY FROM STDIN', () => {
  const limits = { message: 60 };
  const much = 'x'.repeat(70);
  const fail = 'CopyFail "holdfast: a CopyData message of 74 bytes is over the limit of 60"';

  test('simple: CopyFail goes to the server, its outcome to the client, the rest of the data nowhere', () => {
    transcript(
      `
      > Query "COPY t FROM STDIN"
      => Query "COPY t FROM STDIN"
      <= CopyInResponse
      < CopyInResponse
      > CopyData "1\\n"
      > CopyData "${much}"
      > CopyData "2\\n"
      > CopyDone
      => CopyData "1\\n"
      => ${fail}
      <= ErrorResponse 57014
      <= ReadyForQuery I
      < ErrorResponse 57014
      < ReadyForQuery I
      > Query "SELECT 1"
      => Query "SELECT 1"
      = COPY t FROM STDIN: failed 57014
    `,
      limits,
    );
  });

  test('simple: the client hears of it before it has sent all', () => {
    transcript(
      `
      > Query "COPY t FROM STDIN"
      => Query "COPY t FROM STDIN"
      <= CopyInResponse
      < CopyInResponse
      > CopyData "${much}"
      => ${fail}
      <= ErrorResponse 57014
      <= ReadyForQuery I
      < ErrorResponse 57014
      < ReadyForQuery I
      > Query "SELECT 1"
      => Query "SELECT 1"
    `,
      limits,
    );
  });

  test('extended: everything up to Sync is discarded', () => {
    transcript(
      `
      > Parse "" "COPY t FROM STDIN"
      > Bind "" ""
      > Execute "" 0
      > Flush
      => Parse "" "COPY t FROM STDIN"
      => Bind "" ""
      => Execute ""
      => Flush
      <= ParseComplete
      <= BindComplete
      <= CopyInResponse
      < ParseComplete
      < BindComplete
      < CopyInResponse
      > CopyData "${much}"
      => ${fail}
      <= ErrorResponse 57014
      < ErrorResponse 57014
      > CopyData "2\\n"
      > CopyDone
      > Sync
      => Sync
      <= ReadyForQuery E
      < ReadyForQuery E
    `,
      limits,
    );
  });
});
