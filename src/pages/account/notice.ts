// A message on the next page, after a form was sent: its key and values in a cookie that only we can sign and that
// lives for a minute, so that no link makes a page say what did not happen.
import type { Context } from 'koa';
import { type MessageKey, type Values, isMessageKey } from '../../languages.ts';

export interface Notice {
  readonly key: MessageKey;
  readonly values?: Values | undefined;
}

const COOKIE = 'symbolon_notice';

export function leaveNotice(ctx: Context, path: string, key: MessageKey, values?: Values): void {
  const text = Buffer.from(JSON.stringify({ key, values })).toString('base64url');
  ctx.cookies.set(COOKIE, text, { signed: true, sameSite: 'strict', path, maxAge: 60_000 });
}

/** Reads the message and forgets it. */
export function takeNotice(ctx: Context, path: string): Notice | undefined {
  const text = ctx.cookies.get(COOKIE, { signed: true });
  if (text === undefined) return undefined;
  ctx.cookies.set(COOKIE, null, { signed: true, path });
  const { key, values } = JSON.parse(Buffer.from(text, 'base64url').toString()) as {
    key: unknown;
    values?: Values;
  };
  return isMessageKey(key) ? { key, values } : undefined; // another version may have left it
}
