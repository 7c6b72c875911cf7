// The log: JSON lines on standard output. What could hold a secret is never given to it; should it be, the names
// below are blanked.
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
