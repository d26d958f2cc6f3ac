/** What passes through a conversation, and what ends it, as transcripts. */
import { describe, expect, test } from 'vitest';
import { Conversation } from '../../src/session/conversation.js';
import { backend, cut, frontend, frontendLine } from './messages.js';
import { ScriptedGate } from './scripted-gate.js';
import { transcript } from './transcript.js';

describe('what the server sends at any time', () => {
  test('between, before and behind the messages of a pipeline, and while nothing is under way', () => {
    transcript(`
      <= NotificationResponse "jobs" "1"
      <= ParameterStatus "TimeZone" "UTC"
      <= NoticeResponse 00000
      < NotificationResponse "jobs" "1"
      < ParameterStatus "TimeZone" "UTC"
      < NoticeResponse 00000
      > Parse "" "SELECT 1"
      > Bind "" ""
      > Execute "" 0
      > Sync
      => Parse "" "SELECT 1"
      => Bind "" ""
      => Execute ""
      => Sync
      <= NoticeResponse 00000
      <= ParseComplete
      <= ParameterStatus "TimeZone" "CET"
      <= BindComplete
      <= NotificationResponse "jobs" "2"
      <= DataRow "1"
      <= NoticeResponse 00000
      <= CommandComplete "SELECT 1"
      <= NotificationResponse "jobs" "3"
      <= ReadyForQuery I
      <= NoticeResponse 00000
      < NoticeResponse 00000
      < ParseComplete
      < ParameterStatus "TimeZone" "CET"
      < BindComplete
      < NotificationResponse "jobs" "2"
      < DataRow "1"
      < NoticeResponse 00000
      < CommandComplete "SELECT 1"
      < NotificationResponse "jobs" "3"
      < ReadyForQuery I
      < NoticeResponse 00000
    `);
  });

  test('a ParameterStatus that must end the session does, once it was passed on', () => {
    transcript(`
      > Query "SELECT f()"
      => Query "SELECT f()"
      <= RowDescription
      <= ParameterStatus "default_transaction_read_only" "off"
      <= DataRow "1"
      < RowDescription
      < ParameterStatus "default_transaction_read_only" "off"
      < ErrorResponse FATAL 42501
      * failed 42501
    `);
  });

  test('a FATAL error is passed on wherever it comes', () => {
    transcript(`
      <= ErrorResponse FATAL 57P01
      < ErrorResponse FATAL 57P01
    `);
    transcript(`
      > Parse "" "SELECT 1"
      > Sync
      => Parse "" "SELECT 1"
      => Sync
      <= ErrorResponse FATAL 57P01
      < ErrorResponse FATAL 57P01
    `);
  });
});

describe("Holdfast's own notices", () => {
  test('come before the answer', () => {
    transcript(`
      > Query "WARN 1"
      > Parse "" "WARN 2"
      => Query "WARN 1"
      => Parse "" "WARN 2"
      < NoticeResponse 01000
      < NoticeResponse 01000
    `);
  });

  test('never cut into a message that streams', () => {
    transcript(`
      > Query "SELECT 1"
      => Query "SELECT 1"
      -- DataRow, 15 bytes long, of which 9 have come
      <= 0x44 0000000e 0001 0000
      > Query "WARN 1"
      => Query "WARN 1"
      <= 0x0004 61626364
      < DataRow "abcd"
      < NoticeResponse 01000
      <= CommandComplete "SELECT 1"
      <= ReadyForQuery I
      < CommandComplete "SELECT 1"
      < ReadyForQuery I
    `);
  });

  test('go before a message that is still being collected', () => {
    transcript(`
      > Query "SELECT 1"
      => Query "SELECT 1"
      -- CommandComplete, of which the tag is still to come
      <= 0x43 0000000d 53454c
      > Query "WARN 1"
      => Query "WARN 1"
      < NoticeResponse 01000
      <= 0x454354203100
      < CommandComplete "SELECT 1"
    `);
  });
});

describe('extended protocol', () => {
  test('prepare, bind, describe, execute in portions, close', () => {
    transcript(`
      > Parse "s" "SELECT x"
      > Describe S "s"
      > Bind "p" "s" "a" "b"
      > Describe P "p"
      > Execute "p" 1
      > Execute "p" 1
      > Close P "p"
      > Close S "s"
      > Sync
      => Parse "s" "SELECT x"
      => Describe S "s"
      => Bind "p" "s"
      => Describe P "p"
      => Execute "p"
      => Execute "p"
      => Close P "p"
      => Close S "s"
      => Sync
      <= ParseComplete
      <= ParameterDescription
      <= NoData
      <= BindComplete
      <= RowDescription
      <= DataRow "1"
      <= PortalSuspended
      <= DataRow "2"
      <= CommandComplete "SELECT 1"
      <= CloseComplete
      <= CloseComplete
      <= ReadyForQuery I
      < ParseComplete
      < ParameterDescription
      < NoData
      < BindComplete
      < RowDescription
      < DataRow "1"
      < PortalSuspended
      < DataRow "2"
      < CommandComplete "SELECT 1"
      < CloseComplete
      < CloseComplete
      < ReadyForQuery I
      = SELECT x: ok -
      = SELECT x: ok 1
    `);
  });

  test('an error at each message skips to Sync; what was skipped is reported as never run', () => {
    for (const failing of [0, 1, 2, 3]) {
      const replies = ['ParseComplete', 'BindComplete', 'NoData', 'CommandComplete "UPDATE 3"'].slice(
        0,
        failing,
      );
      transcript(`
        > Parse "" "UPDATE t"
        > Bind "" ""
        > Describe P ""
        > Execute "" 0
        > Sync
        => Parse "" "UPDATE t"
        => Bind "" ""
        => Describe P ""
        => Execute ""
        => Sync
        ${replies.map((reply) => `<= ${reply}`).join('\n')}
        <= ErrorResponse 22P02
        <= ReadyForQuery I
        ${replies.map((reply) => `< ${reply}`).join('\n')}
        < ErrorResponse 22P02
        < ReadyForQuery I
        = UPDATE t: ${failing === 3 ? 'failed 22P02' : 'skipped'}
      `);
    }
  });

  test('a commit that fails at Sync (deferred constraint)', () => {
    transcript(`
      > Parse "" "INSERT"
      > Bind "" ""
      > Execute "" 0
      > Sync
      => Parse "" "INSERT"
      => Bind "" ""
      => Execute ""
      => Sync
      <= ParseComplete
      <= BindComplete
      <= CommandComplete "INSERT 0 1"
      <= ErrorResponse 23505
      <= ReadyForQuery I
      < ParseComplete
      < BindComplete
      < CommandComplete "INSERT 0 1"
      < ErrorResponse 23505
      < ReadyForQuery I
    `);
  });

  test('messages behind an error that the client has not seen yet are dropped up to its Sync', () => {
    transcript(`
      > Parse "" "garbage"
      => Parse "" "garbage"
      <= ErrorResponse 42601
      < ErrorResponse 42601
      > Bind "" ""
      > Query "SELECT 1"
      > CopyData "1"
      > CopyDone
      > Flush
      > Sync
      > Parse "" "SELECT 2"
      > Sync
      => Sync
      => Parse "" "SELECT 2"
      => Sync
      <= ReadyForQuery I
      <= ParseComplete
      <= ReadyForQuery I
      < ReadyForQuery I
      < ParseComplete
      < ReadyForQuery I
    `);
  });

  test('empty texts', () => {
    transcript(`
      > Query ""
      > Parse "" ""
      > Bind "" ""
      > Execute "" 0
      > Sync
      => Query ""
      => Parse "" ""
      => Bind "" ""
      => Execute ""
      => Sync
      <= EmptyQueryResponse
      <= ReadyForQuery I
      <= ParseComplete
      <= BindComplete
      <= EmptyQueryResponse
      <= ReadyForQuery I
      < EmptyQueryResponse
      < ReadyForQuery I
      < ParseComplete
      < BindComplete
      < EmptyQueryResponse
      < ReadyForQuery I
    `);
  });
});

describe('FunctionCall, where it may pass', () => {
  test('succeeds, and fails', () => {
    transcript(`
      ! functions
      > FunctionCall
      > FunctionCall
      => FunctionCall
      => FunctionCall
      <= FunctionCallResponse
      <= ReadyForQuery I
      <= ErrorResponse 42883
      <= ReadyForQuery I
      < FunctionCallResponse
      < ReadyForQuery I
      < ErrorResponse 42883
      < ReadyForQuery I
      = FunctionCall: ok -
      = FunctionCall: failed 42883
    `);
  });
});

describe('several statements in a Query', () => {
  test('one fails: those behind it were never run', () => {
    transcript(`
      > Query "INSERT 1; INSERT 2; INSERT 3"
      => Query "INSERT 1; INSERT 2; INSERT 3"
      <= CommandComplete "INSERT 0 1"
      <= ErrorResponse 23505
      <= ReadyForQuery I
      < CommandComplete "INSERT 0 1"
      < ErrorResponse 23505
      < ReadyForQuery I
      = INSERT 1: ok 1
      = INSERT 2: failed 23505
      = INSERT 3: skipped
    `);
  });
});

describe('the end', () => {
  test('Terminate leaves behind what was sent before it, never ahead of it', () => {
    transcript(`
      > Query "INSERT 1"
      > Terminate
      > Query "DROP TABLE t"
      => Query "INSERT 1"
      => Terminate
      * terminated
      <= CommandComplete "INSERT 0 1"
      <= ReadyForQuery I
      < CommandComplete "INSERT 0 1"
      < ReadyForQuery I
      = INSERT 1: ok 1
    `);
  });

  test('Terminate while a pipeline is skipped', () => {
    transcript(`
      > Parse "" "DROP TABLE t"
      > Terminate
      => Execute missing
      => Terminate
      * terminated
    `);
  });

  const violations: Readonly<Record<string, string>> = {
    'an unknown message type': '0x7a 00000004',
    'an unknown message type, seen before its length': '0x00',
    'a length of 3': '0x51 00000003',
    'a length of 0': '0x53 00000000',
    'a negative length': '0x51 ffffffff',
    'a Query above the limit': '0x51 000f4241',
    'a Sync above PQ_SMALL_MESSAGE_LIMIT': '0x53 00002711',
    'a Query without terminator': '0x51 00000006 6161',
    'a Query with a zero within': '0x51 00000008 61 00 62 00',
    'an empty Query body': '0x51 00000004',
    'a Sync with a body': '0x53 00000005 00',
    'a Parse that ends early': '0x50 00000006 00 00',
    'a Bind with surplus bytes': '0x42 0000000d 00 00 0000 0000 0000 00',
    'a Describe of neither S nor P': '0x44 00000006 58 00',
    'a name that is not UTF-8': '0x44 00000007 53 ff 00',
    'a password after login': 'Password "secret"',
  };
  for (const [what, bytes] of Object.entries(violations)) {
    test(`${what} ends the session`, () => {
      const sqlstate = what.includes('UTF-8') ? '22021' : '08P01';
      transcript(`
        > ${bytes}
        < ErrorResponse FATAL ${sqlstate}
        * failed ${sqlstate}
        > Query "SELECT 1"
        <= ReadyForQuery I
      `);
    });
  }

  test('bad lengths end the session also where messages are discarded', () => {
    for (const bytes of ['0x53 00000003', '0x51 00000000', '0x64 00000003', '0x64 40000000']) {
      transcript(`
        > Parse "" "DROP TABLE t"
        => Execute missing
        <= ErrorResponse 34000
        < ErrorResponse 42501
        > ${bytes}
        < ErrorResponse FATAL 08P01
        * failed 08P01
      `);
    }
  });

  test('bad messages of the server', () => {
    for (const bytes of [
      '0x7a 00000004',
      '0x5a 00000003',
      '0x5a 00000004',
      '0x5a 00000005 58',
      '0x31 00000000',
    ]) {
      transcript(`
        > Sync
        => Sync
        <= ${bytes}
        < ErrorResponse FATAL 08P01
        * failed 08P01
      `);
    }
  });

  test('a reply that is not due is not passed on, what came before it is', () => {
    transcript(`
      > Parse "" "SELECT 1"
      => Parse "" "SELECT 1"
      <= NoticeResponse 00000
      <= BindComplete
      < NoticeResponse 00000
      < ErrorResponse FATAL 08P01
      * failed 08P01
    `);
    transcript(`
      <= ReadyForQuery I
      < ErrorResponse FATAL 08P01
      * failed 08P01
    `);
  });

  test('whoever hears that a request ended can end the session, and the client has its answer', () => {
    const heard: string[] = [];
    const conversation = new Conversation(
      {
        gate: new ScriptedGate(),
        toServer: () => undefined,
        toClient: (bytes) => heard.push(bytes.toString('latin1', 0, 1)),
        terminated: () => undefined,
        requestEnded: () => {
          conversation.fail({
            severity: 'FATAL',
            sqlstate: '57P01',
            message: 'bye',
            routine: 'holdfast/test',
          });
        },
        failed: () => heard.push('failed'),
      },
      { message: 1000, names: 10, outstanding: 10 },
      'I',
    );
    conversation.receiveClient(frontend('Query "SELECT 1"'));
    conversation.receiveServer(
      Buffer.concat([backend('CommandComplete "SELECT 1"'), backend('ReadyForQuery I')]),
    );
    expect(heard).toEqual(['C', 'E', 'failed']);
  });
});

describe('waiting for the gate', () => {
  test('the message waits, and what is behind it', () => {
    transcript(`
      > Query "SELECT 1"
      > Query "WAIT 2"
      > Query "DROP TABLE t"
      > Query "SELECT 4"
      => Query "SELECT 1"
      <= CommandComplete "SELECT 1"
      <= ReadyForQuery I
      < CommandComplete "SELECT 1"
      < ReadyForQuery I
      > Query "SELECT 5"
      ! resume
      => Query "WAIT 2"
      => Query "holdfast refused this statement"
      => Query "SELECT 4"
      => Query "SELECT 5"
    `);
  });

  test('a message that arrived in pieces waits whole', () => {
    transcript(`
      > Parse "s" "WAIT 2"
      > Bind "" "s"
      ! resume
      => Parse "s" "WAIT 2"
      => Bind "" "s"
      > Sync
      => Sync
    `);
  });

  test('an error of the pipeline that comes meanwhile: what waited is dropped with the rest', () => {
    transcript(`
      > Parse "" "garbage"
      > Parse "" "WAIT 2"
      > Bind "" ""
      > Sync
      => Parse "" "garbage"
      <= ErrorResponse 42601
      < ErrorResponse 42601
      ! resume
      => Sync
      <= ReadyForQuery I
      < ReadyForQuery I
    `);
  });

  test('refused after waiting', () => {
    transcript(`
      > Parse "" "WAIT DROP"
      > Execute "" 0
      > Sync
      ! resume
      => Execute missing
      => Sync
    `);
  });

  test('Terminate behind a message that waits; nothing behind Terminate is read', () => {
    transcript(`
      > Query "WAIT 1"
      > Terminate
      ! resume
      => Query "WAIT 1"
      => Terminate
      * terminated
    `);
  });
});

describe('long pipelines', () => {
  function count(send: (conversation: Conversation) => void): Record<string, number> {
    const sent: Record<string, number> = {};
    const nothing = (): void => undefined;
    const conversation = new Conversation(
      {
        gate: new ScriptedGate(),
        toServer: (bytes) => {
          for (const message of cut(bytes)) {
            const [name = ''] = frontendLine(message).split(' "');
            sent[name] = (sent[name] ?? 0) + 1;
          }
        },
        toClient: nothing,
        terminated: nothing,
        requestEnded: nothing,
        failed: nothing,
      },
      { message: 1000, names: 10, outstanding: 100_000 },
      'I',
    );
    send(conversation);
    return sent;
  }

  const each = (index: number, ...more: string[]): Buffer =>
    Buffer.concat([`Parse "" "SELECT ${index}"`, ...more].map(frontend));

  test('on the unnamed statement cost each message the same, with Syncs between and without', () => {
    for (const sync of [[], ['Sync']]) {
      const started = performance.now();
      const sent = count((conversation) => {
        for (let index = 0; index < 5000; index++) {
          conversation.receiveClient(each(index, 'Bind "" ""', 'Execute "" 0', ...sync));
        }
      });
      expect(sent).toMatchObject({ Parse: 5000, Bind: 5000, Execute: 5000 });
      // Judged for all meanings before it, a message would make this minutes.
      expect(performance.now() - started).toBeLessThan(5_000);
    }
  });

  test('a use of a name that may stand for more than can be judged is refused', () => {
    const sent = count((conversation) => {
      for (let index = 0; index < 101; index++) conversation.receiveClient(each(index, 'Sync'));
      conversation.receiveClient(Buffer.concat([frontend('Bind "" ""'), frontend('Sync')]));
    });
    expect(sent).toEqual({ Parse: 101, Sync: 102, 'Execute missing': 1 });
  });
});

describe('what the driver may ask', () => {
  function quiet(outstanding: number): Conversation {
    const nothing = (): void => undefined;
    return new Conversation(
      {
        gate: new ScriptedGate(),
        toServer: nothing,
        toClient: nothing,
        terminated: nothing,
        requestEnded: nothing,
        failed: nothing,
      },
      { message: 1000, names: 10, outstanding },
      'I',
    );
  }

  test('congested while too many replies are outstanding, and when too much has come that waits for the gate', () => {
    const conversation = quiet(2);
    expect(conversation.congested).toBe(false);
    conversation.receiveClient(Buffer.concat([frontend('Query "SELECT 1"'), frontend('Query "SELECT 2"')]));
    expect(conversation.congested).toBe(true);
    conversation.receiveServer(
      Buffer.concat([backend('CommandComplete "SELECT 1"'), backend('ReadyForQuery I')]),
    );
    expect(conversation.congested).toBe(false);
    conversation.receiveClient(frontend('Query "WAIT"'));
    // It is read on, for a while: that it goes away would show in nothing else.
    expect([conversation.congested, conversation.waiting]).toEqual([false, true]);
    const more = frontend('Query "SELECT 1"');
    const enough = Math.ceil(262_144 / more.length);
    for (let count = 1; count < enough; count++) conversation.receiveClient(more);
    expect(conversation.congested).toBe(false);
    conversation.receiveClient(more);
    expect([conversation.congested, conversation.waiting]).toEqual([true, true]);
  });

  test('ends of copy data that belong to nothing do not add up', () => {
    const conversation = quiet(2);
    for (let i = 0; i < 10; i++) conversation.receiveClient(frontend('CopyDone'));
    expect(conversation.congested).toBe(false);
    conversation.receiveClient(frontend('Query "SELECT 1"'));
    for (let i = 0; i < 10; i++) conversation.receiveClient(frontend('CopyDone'));
    conversation.receiveServer(
      Buffer.concat([backend('CommandComplete "SELECT 1"'), backend('ReadyForQuery I')]),
    );
    expect(conversation.congested).toBe(false);
  });

  test('busy from the request to its end, idle between transactions only', () => {
    const conversation = quiet(10);
    expect([conversation.busy, conversation.idle]).toEqual([false, true]);
    conversation.receiveClient(frontend('Query "BEGIN"'));
    expect([conversation.busy, conversation.idle]).toEqual([true, false]);
    conversation.receiveServer(
      Buffer.concat([backend('CommandComplete "BEGIN"'), backend('ReadyForQuery T')]),
    );
    expect([conversation.busy, conversation.idle, conversation.status]).toEqual([false, false, 'T']);
    conversation.receiveClient(frontend('Query "COMMIT"'));
    conversation.receiveServer(
      Buffer.concat([backend('CommandComplete "COMMIT"'), backend('ReadyForQuery I')]),
    );
    expect([conversation.busy, conversation.idle]).toEqual([false, true]);
    conversation.receiveClient(frontend('Query "SELECT 1"').subarray(0, 3));
    expect(conversation.idle).toBe(false);
  });

  test('the server may be asked between two groups of messages, not behind messages that wait for their Sync', () => {
    const conversation = quiet(20);
    const client = (...lines: string[]): boolean => {
      conversation.receiveClient(Buffer.concat(lines.map(frontend)));
      return conversation.between;
    };
    const server = (...lines: string[]): boolean => {
      conversation.receiveServer(Buffer.concat(lines.map(backend)));
      return conversation.between;
    };
    expect(conversation.between).toBe(true);
    expect(client('Parse "" "SELECT 1"', 'Describe S ""', 'Flush')).toBe(false);
    expect(server('ParseComplete', 'ParameterDescription', 'NoData')).toBe(false);
    expect([conversation.quiet, conversation.idle]).toEqual([true, false]);
    expect(client('Sync')).toBe(false);
    expect(server('ReadyForQuery I')).toBe(true);
    // A Query ends them as well, and what comes behind a Sync has begun others.
    client('Bind "" ""', 'Execute "" 0', 'Flush');
    expect(server('BindComplete', 'CommandComplete "SELECT 1"')).toBe(false);
    client('Query "SELECT 2"');
    expect(server('CommandComplete "SELECT 1"', 'ReadyForQuery I')).toBe(true);
    client('Parse "" "SELECT 1"', 'Sync', 'Parse "" "SELECT 1"', 'Flush');
    expect(server('ParseComplete', 'ReadyForQuery I', 'ParseComplete')).toBe(false);
    client('Sync');
    expect(server('ReadyForQuery I')).toBe(true);
    // A Sync within copy data is ignored, and has ended nothing.
    client('Parse "" "COPY t FROM STDIN"', 'Bind "" ""', 'Execute "" 0', 'Sync');
    server('ParseComplete', 'BindComplete', 'CopyInResponse');
    client('CopyDone');
    expect(server('CommandComplete "COPY 0"')).toBe(false);
    client('Sync');
    expect(server('ReadyForQuery I')).toBe(true);
    // Copy data of a Query end with it.
    client('Query "COPY t FROM STDIN"');
    server('CopyInResponse');
    client('CopyDone');
    expect(server('CommandComplete "COPY 0"', 'ReadyForQuery I')).toBe(true);
  });

  test('the server has said goodbye', () => {
    const conversation = quiet(10);
    expect(conversation.serverSaidGoodbye).toBe(false);
    conversation.receiveServer(backend('ErrorResponse FATAL 57P01'));
    expect(conversation.serverSaidGoodbye).toBe(true);
  });
});
