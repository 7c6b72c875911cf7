// Flash messages: after a form, the next page shows a message once. Its key and values are in a signed cookie that
// lives for a minute, so that no link can make a page say what did not happen.
import type { Context } from 'koa';
import { type MessageKey, type Values, isMessageKey } from '../../languages.ts';
import type { Cookie } from '../cookies.ts';

export interface FlashMessage {
  readonly key: MessageKey;
  readonly values?: Values | undefined;
}

/** Leaves a message for the next page. */
export function leaveFlashMessage(
  ctx: Context,
  cookie: Cookie,
  key: MessageKey,
  values?: Values,
): void {
  cookie.set(ctx, Buffer.from(JSON.stringify({ key, values })).toString('base64url'));
}

/** Reads the message and forgets it. */
export function takeFlashMessage(ctx: Context, cookie: Cookie): FlashMessage | undefined {
  const text = cookie.get(ctx);
  if (text === undefined) return undefined;
  cookie.clear(ctx);
  const { key, values } = JSON.parse(Buffer.from(text, 'base64url').toString()) as {
    key: unknown;
    values?: Values;
  };
  return isMessageKey(key) ? { key, values } : undefined; // another version may have left it
}
