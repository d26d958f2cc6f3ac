/** The relayed login, step by step; both sides' bytes also one at a time. */
import { describe, expect, test } from 'vitest';
import { Login } from '../../src/session/login.js';
import type { LoginOptions, LoginResult } from '../../src/session/login.js';
import { backend, backendLine, cut, frontend, int32, raw } from './messages.js';

interface Story {
  readonly login: Login;
  readonly client: string[];
  readonly server: string[];
  readonly end: string[];
  result: LoginResult | null;
}

function story(options: Partial<LoginOptions> = {}): Story {
  const client: string[] = [];
  const server: string[] = [];
  const end: string[] = [];
  const login = new Login(
    {
      clientMinor: 0,
      extensions: [],
      clientTls: false,
      channelBindingObstacle: null,
      randomBytes: (length) => Buffer.alloc(length, 0x55),
      ...options,
    },
    {
      toServer: (bytes) => server.push(bytes.toString('latin1', 5)),
      toClient: (bytes) => client.push(...cut(bytes).map(backendLine)),
      rejected: (sqlstate, message) => end.push(`rejected ${sqlstate} ${message}`),
      failed: ({ sqlstate, message }) => end.push(`failed ${sqlstate} ${message}`),
      ready: (result) => {
        told.result = result;
        end.push('ready');
      },
    },
  );
  const told: Story = { login, client, server, end, result: null };
  return told;
}

/** Tells the story twice: in whole messages, and byte by byte. */
function tell(
  steps: readonly (readonly ['client' | 'server', Buffer])[],
  options: Partial<LoginOptions> = {},
): Story {
  const [whole, bytewise] = [story(options), story(options)];
  for (const [side, bytes] of steps) {
    if (side === 'client') whole.login.receiveClient(bytes);
    else whole.login.receiveServer(bytes);
    for (const byte of bytes) {
      if (side === 'client') bytewise.login.receiveClient(Buffer.from([byte]));
      else bytewise.login.receiveServer(Buffer.from([byte]));
    }
  }
  expect([bytewise.client, bytewise.server, bytewise.end]).toEqual([whole.client, whole.server, whole.end]);
  return whole;
}

const server = (...lines: string[]) => ['server', Buffer.concat(lines.map(backend))] as const;
const password = (text: string) => ['client', frontend(`Password "${text}"`)] as const;
const sasl = (kind: number, body: Buffer | string) =>
  ['server', raw('R', Buffer.concat([int32(kind), Buffer.from(body as string)]))] as const;
const answer = (body: Buffer | string) => ['client', raw('p', body)] as const;
const WELCOME = server(
  'Authentication 0',
  'ParameterStatus "TimeZone" "UTC"',
  'BackendKeyData 7 01020304',
  'ReadyForQuery I',
);
const WELCOMED = ['Authentication 0 ""', 'ParameterStatus "TimeZone" "UTC"', 'BackendKeyData 7 4 bytes'];

describe('methods', () => {
  test('trust', () => {
    const { client, end, result } = tell([WELCOME]);
    expect(client).toEqual(WELCOMED);
    expect(end).toEqual(['ready']);
    expect(result?.serverKey).toEqual({ processId: 7, secret: Buffer.from('01020304', 'hex') });
    expect(result?.clientSecret).toEqual(Buffer.alloc(4, 0x55));
    expect(result?.parameters).toEqual(new Map([['TimeZone', 'UTC']]));
  });

  test('cleartext and MD5', () => {
    for (const [kind, salt] of [
      ['3', ''],
      ['5', 'salt'],
    ] as const) {
      const told = tell([server(`Authentication ${kind} ${salt}`), password('secret'), WELCOME]);
      expect(told.client).toEqual([`Authentication ${kind} ${JSON.stringify(salt)}`, ...WELCOMED]);
      expect(told.server).toEqual(['secret\0']);
      expect(told.end).toEqual(['ready']);
    }
  });

  test('SCRAM-SHA-256 passes unread', () => {
    const told = tell([
      sasl(10, 'SCRAM-SHA-256\0\0'),
      answer('SCRAM-SHA-256\0\0\0\0\x03n,,'),
      sasl(11, 'r=x'),
      answer('c=biws'),
      sasl(12, 'v=y'),
      WELCOME,
    ]);
    expect(told.client).toEqual([
      'Authentication 10 "SCRAM-SHA-256\\u0000\\u0000"',
      'Authentication 11 "r=x"',
      'Authentication 12 "v=y"',
      ...WELCOMED,
    ]);
    expect(told.server).toEqual(['SCRAM-SHA-256\0\0\0\0\x03n,,', 'c=biws']);
  });

  test('GSSAPI, whose last token needs no answer', () => {
    const { end } = tell([sasl(7, ''), answer('t1'), sasl(8, 'c1'), answer('t2'), sasl(8, 'c2'), WELCOME]);
    expect(end).toEqual(['ready']);
  });

  test('refused by the server', () => {
    const { client, end } = tell([
      server('Authentication 3'),
      password('wrong'),
      server('ErrorResponse FATAL 28P01'),
    ]);
    expect(client.at(-1)).toBe('ErrorResponse FATAL 28P01');
    expect(end).toEqual(['rejected 28P01 goodbye']);
  });
});

describe('SCRAM-SHA-256-PLUS', () => {
  const offer = sasl(10, 'SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0');
  const obstacle = { message: 'it cannot pass', hint: 'change listen.tls' };

  test('is not offered to a client without TLS', () => {
    expect(tell([offer]).client).toEqual(['Authentication 10 "SCRAM-SHA-256\\u0000\\u0000"']);
  });

  test('without TLS, a client that signs that none was offered is told what to change; others pass', () => {
    const choose = (flag: string): ReturnType<typeof tell> =>
      tell([offer, answer(`SCRAM-SHA-256\0\0\0\0\x05${flag},,n=`)]);
    const told = choose('y');
    expect(told.client.at(-1)).toBe('ErrorResponse FATAL 28000');
    expect(told.end[0]).toContain('holdfast: the client wants channel binding where it can be had');
    expect(told.server).toEqual([]);
    expect(choose('n').server).toEqual(['SCRAM-SHA-256\0\0\0\0\x05n,,n=']);
    const without = tell([sasl(10, 'SCRAM-SHA-256\0\0'), answer('SCRAM-SHA-256\0\0\0\0\x05y,,n=')]);
    expect(without.server).toEqual(['SCRAM-SHA-256\0\0\0\0\x05y,,n=']);
  });

  test('passes where both legs show one certificate', () => {
    const { client, server: sent } = tell([offer, answer('SCRAM-SHA-256-PLUS\0rest')], { clientTls: true });
    expect(client[0]).toContain('SCRAM-SHA-256-PLUS');
    expect(sent).toEqual(['SCRAM-SHA-256-PLUS\0rest']);
  });

  test('where it cannot pass, a client that chooses it is told why; the list was not changed behind its back', () => {
    const told = tell([offer, answer('SCRAM-SHA-256-PLUS\0rest')], {
      clientTls: true,
      channelBindingObstacle: obstacle,
    });
    expect(told.client).toEqual([
      'Authentication 10 "SCRAM-SHA-256-PLUS\\u0000SCRAM-SHA-256\\u0000\\u0000"',
      'ErrorResponse FATAL 28000',
    ]);
    expect(told.server).toEqual([]);
    expect(told.end).toEqual(['failed 28000 holdfast: it cannot pass']);
  });

  test('a client that chooses the other passes all the same', () => {
    const told = tell([offer, answer('SCRAM-SHA-256\0rest')], {
      clientTls: true,
      channelBindingObstacle: obstacle,
    });
    expect(told.server).toEqual(['SCRAM-SHA-256\0rest']);
  });

  test('a later answer that happens to look like a choice is none', () => {
    const told = tell([offer, answer('SCRAM-SHA-256\0rest'), sasl(11, 'r'), answer('SCRAM-SHA-256-PLUS\0')], {
      clientTls: true,
      channelBindingObstacle: obstacle,
    });
    expect(told.server.at(-1)).toBe('SCRAM-SHA-256-PLUS\0');
  });
});

describe('version and extensions', () => {
  const first = (options: Partial<LoginOptions>, ...lines: string[]): string | undefined =>
    tell([server(...lines, 'Authentication 0')], options).client[0];

  test('nothing to negotiate', () => {
    expect(first({ clientMinor: 0 })).toBe('Authentication 0 ""');
    expect(first({ clientMinor: 2 })).toBe('Authentication 0 ""');
  });

  test('more than Holdfast speaks', () => {
    expect(first({ clientMinor: 9999 })).toBe('NegotiateProtocolVersion 2');
    expect(first({ clientMinor: 0, extensions: ['_pq_.a', '_pq_.b'] })).toBe(
      'NegotiateProtocolVersion 0 _pq_.a _pq_.b',
    );
  });

  test('more than the server speaks: one message, of both', () => {
    const { client } = tell([server('NegotiateProtocolVersion 0', 'Authentication 0')], {
      clientMinor: 9999,
      extensions: ['_pq_.a'],
    });
    expect(client).toEqual(['NegotiateProtocolVersion 0 _pq_.a', 'Authentication 0 ""']);
  });

  test('what is asked of the server', () => {
    expect([0, 1, 2, 9999].map((clientMinor) => story({ clientMinor }).login.requestMinor)).toEqual([
      0, 1, 2, 2,
    ]);
  });

  test('cancel keys: 32 bytes in 3.2, 4 before', () => {
    expect(tell([WELCOME], { clientMinor: 2 }).result?.clientSecret?.length).toBe(32);
    expect(
      tell([server('NegotiateProtocolVersion 0'), WELCOME], { clientMinor: 2 }).result?.clientSecret?.length,
    ).toBe(4);
  });

  test('a server without BackendKeyData', () => {
    const { result, end } = tell([server('Authentication 0', 'ReadyForQuery I')]);
    expect([end, result?.serverKey, result?.clientSecret]).toEqual([['ready'], null, null]);
  });

  test('what follows ReadyForQuery is kept', () => {
    const told = story();
    told.login.receiveServer(Buffer.concat([WELCOME[1], backend('NoticeResponse 00000')]));
    expect(told.result?.rest.equals(backend('NoticeResponse 00000'))).toBe(true);
  });
});

describe('what the client sends', () => {
  const violation = (steps: readonly (readonly ['client' | 'server', Buffer])[]): void => {
    const told = tell(steps);
    expect(told.end).toHaveLength(1);
    expect(told.end[0]).toContain('failed 08P01');
    expect(told.client.at(-1)).toBe('ErrorResponse FATAL 08P01');
    expect(told.server).toEqual([]);
  };

  test('p before it was asked for, and nothing but p', () => {
    violation([password('early')]);
    violation([server('Authentication 3'), ['client', frontend('Query "SELECT 1"')]]);
    violation([server('Authentication 3'), ['client', frontend('Terminate')]]);
  });

  test('p twice for one question', () => {
    const told = tell([server('Authentication 3'), password('one'), password('two')]);
    expect(told.server).toEqual(['one\0']);
    expect(told.end[0]).toContain('failed 08P01');
  });

  test('the beginning of a p, kept for later', () => {
    const told = tell([server('Authentication 3'), password('one'), ['client', Buffer.from('p\0')], WELCOME]);
    expect(told.end[0]).toContain('failed 08P01');
    violation([server('Authentication 8'), ['client', Buffer.from('p\0')], WELCOME]);
  });

  test('p of more than 65535 bytes, and of less than 4', () => {
    violation([server('Authentication 3'), ['client', Buffer.from('p\0\x01\0\0', 'latin1')]]);
    violation([server('Authentication 3'), ['client', Buffer.from('p\0\0\0\x03', 'latin1')]]);
  });

  test('requests between AuthenticationOk and ReadyForQuery are kept, up to 1 MiB', () => {
    const told = tell([
      server('Authentication 0'),
      ['client', frontend('Query "SELECT 1"')],
      server('ReadyForQuery I'),
    ]);
    expect(told.login.takeEarly().equals(frontend('Query "SELECT 1"'))).toBe(true);
    expect(told.login.takeEarly().length).toBe(0);
    const flooded = story();
    flooded.login.receiveServer(backend('Authentication 0'));
    for (let i = 0; i < 17; i++) flooded.login.receiveClient(Buffer.alloc(65_536));
    expect(flooded.end[0]).toContain('too much data');
  });
});

test('messages of the server that are too long, or shorter than their length word', () => {
  for (const header of ['R\0\x10\0\x01', 'R\0\0\0\x03', 'R\xff\xff\xff\xff']) {
    const told = tell([['server', Buffer.from(header, 'latin1')]]);
    expect(told.end[0]).toContain('failed 08P01');
  }
});
