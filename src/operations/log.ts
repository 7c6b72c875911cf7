// The log: JSON lines on standard output. Values that may contain a secret are never logged; as a safeguard, members
// with the names below are redacted.
import { type Logger, pino } from 'pino';

export type Log = Logger;

const secret = [
  'password',
  'secret',
  'token',
  'code',
  'cookie',
  'authorization',
  'client_secret',
  'refresh_token',
];

export function createLog(level: string): Log {
  return pino({
    level,
    redact: { paths: secret.flatMap((name) => [name, `*.${name}`]), censor: '(not logged)' },
  });
}
