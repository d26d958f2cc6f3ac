/**
 * The operator's log: pino, one JSON object a line, to standard error.
 *
 * Law of this file: it owns the log's shape and keeps credentials out of it. It
 * is no audit log: nothing here is sealed, and nothing waits for it.
 */
import { pino, type DestinationStream, type Logger } from 'pino';

export type { Logger } from 'pino';

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

const REDACTED = '[redacted]';

/** Names of fields whose values are credentials, at whatever depth they stand. */
const SECRET_NAME = /pass(?:word|wd|phrase)|token|secret|authorization|cookie/i;

/** The password of a connection URL, wherever such a URL stands in the finished line. */
const URL_PASSWORD = /(\b[a-z][a-z0-9+.-]*:\/\/[^\s:/@"\\]*:)[^\s@"\\]+(?=@)/gi;

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** For JSON.parse: sees every member, the inner ones first. */
function redactMember(this: unknown, name: string, value: unknown): unknown {
  return SECRET_NAME.test(name) && value !== null ? REDACTED : value;
}

/**
 * The last thing that happens to a line: whatever way a field came into it (a
 * child's bindings, an error's own properties, nesting), it is seen here. Only a
 * line that has such a name somewhere pays for it.
 */
function redactLine(line: string): string {
  const named = SECRET_NAME.test(line) ? `${JSON.stringify(JSON.parse(line, redactMember))}\n` : line;
  return named.replace(URL_PASSWORD, `$1${REDACTED}`);
}

/** For terminals: `12:00:00.000 INFO  message key=value`. Takes the JSON lines that pino writes. */
function prettyStream(destination: DestinationStream): DestinationStream {
  return {
    write(line: string) {
      const record: unknown = JSON.parse(line);
      const { level, time, msg, ...fields } = isRecord(record) ? record : {};
      const clock = typeof time === 'string' ? time.slice(11, 23) : '';
      const word = (typeof level === 'string' ? level : '').toUpperCase().padEnd(5);
      const rest = Object.entries(fields).map(([key, value]) => ` ${key}=${JSON.stringify(value)}`);
      destination.write(`${clock} ${word} ${typeof msg === 'string' ? msg : ''}${rest.join('')}\n`);
    },
  };
}

export interface LoggerOptions {
  readonly level: LogLevel;
  /** One readable line for a terminal instead of JSON. */
  readonly pretty?: boolean;
  /** Where lines go; standard error unless a test asks otherwise. */
  readonly destination?: DestinationStream;
}

/**
 * A logger that writes to standard error. Fields named like a password, token or
 * secret, and the passwords of connection URLs, never reach it.
 */
export function createLogger(options: LoggerOptions): Logger {
  const destination = options.destination ?? pino.destination({ dest: 2, sync: true });
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      hooks: { streamWrite: redactLine },
    },
    options.pretty === true ? prettyStream(destination) : destination,
  );
}
