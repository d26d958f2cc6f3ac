import { describe, expect, it } from 'vitest';
import { createLogger, type LoggerOptions } from '../../src/log.js';

function capture(options: Partial<LoggerOptions> = {}): {
  logger: ReturnType<typeof createLogger>;
  lines: string[];
} {
  const lines: string[] = [];
  const logger = createLogger({
    level: 'info',
    ...options,
    destination: { write: (line) => lines.push(line) },
  });
  return { logger, lines };
}

function parse(line: string | undefined): Record<string, unknown> {
  return JSON.parse(line ?? '') as Record<string, unknown>;
}

describe('the log', () => {
  it('is one JSON object a line, with level and time in words', () => {
    const { logger, lines } = capture();
    logger.info({ port: 6432 }, 'listening');
    expect(lines).toHaveLength(1);
    expect(parse(lines[0])).toEqual({
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) as string,
      port: 6432,
      msg: 'listening',
    });
  });

  it('is silent below its level', () => {
    const { logger, lines } = capture({ level: 'warn' });
    logger.info('listening');
    expect(lines).toEqual([]);
  });

  it.each([
    { password: 'hunter2' },
    { user: { name: 'bob', passwd: 'hunter2' } },
    { list: [{ HOLDFAST_TOKEN: 'hunter2' }] },
    { headers: { authorization: 'hunter2', cookie: 'hunter2' } },
    { approver: { totpSecret: 'hunter2' } },
    { url: 'postgres://bob:hunter2@localhost/shop' },
    { err: Object.assign(new Error('connect postgres://bob:hunter2@localhost'), { token: 'hunter2' }) },
  ])('keeps credentials out: %o', (fields) => {
    const { logger, lines } = capture();
    logger.info(fields, 'postgres://bob:hunter2@localhost');
    logger.child(fields).info('child');
    expect(lines).toHaveLength(2);
    expect(lines.join('')).not.toContain('hunter2');
    for (const line of lines) expect(parse(line)).toHaveProperty('msg');
  });

  it('keeps what is no credential, errors with their stack', () => {
    const { logger, lines } = capture();
    logger.error(
      { err: new TypeError('no such thing'), user: 'bob', none: null, token: undefined },
      'failed',
    );
    expect(parse(lines[0])).toMatchObject({
      user: 'bob',
      none: null,
      err: {
        type: 'TypeError',
        message: 'no such thing',
        stack: expect.stringContaining('log.test') as string,
      },
    });
  });

  it('survives an object that contains itself', () => {
    const { logger, lines } = capture();
    const round: Record<string, unknown> = { name: 'x' };
    round['self'] = round;
    logger.info({ round }, 'round');
    expect(parse(lines[0])).toMatchObject({ msg: 'round', round: { name: 'x' } });
  });

  it('is readable for people when asked', () => {
    const { logger, lines } = capture({ pretty: true });
    logger.warn({ port: 6432, password: 'x' }, 'busy');
    expect(lines).toEqual([
      expect.stringMatching(/^[\d:.]{12} WARN {2}busy port=6432 password="\[redacted\]"\n$/),
    ]);
  });
});
