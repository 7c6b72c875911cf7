// Limits on what is fetched for clients that nobody vouches for - keys, documents, request objects -, by the network of
// whoever asks: else anybody could have us send any number of requests to any host. What failed is not fetched again for
// a minute. Clients that somebody vouches for have no limit.
import type { Context } from 'koa';
import { type Client, Provider } from 'oidc-provider';
import { TooManyRequests, createRowLimits } from '../accounts/row-limits.ts';
import type { Storage } from '../storage/storage.ts';
import type { Outgoing } from './outgoing.ts';
import { strangerAmong } from './strangers.ts';

const PAUSE = 60_000; // milliseconds for which a failure is remembered
const MOST = 10_000; // failures that a process remembers

/** For whom something is fetched. */
interface For {
  readonly ctx: Pick<Context, 'ip' | 'set'>;
  /** Undefined while a client is looked for, or registers itself. */
  readonly client: Client | undefined;
}

type Fetch = (...request: [...Parameters<Outgoing['fetch']>, For?]) => Promise<Response>;

/**
 * Limits `fetch`. By default it is for the request that the engine serves; the command line has none, and no limit.
 *
 * The promise is rejected with {@link TooManyRequests} when too much was fetched, with an `Error` when the same URL has
 * just failed, and as `fetch` does.
 */
export function limitFetches(
  { pool, keyring, now }: Pick<Storage, 'pool' | 'keyring' | 'now'>,
  { fetch }: Pick<Outgoing, 'fetch'>,
): Fetch {
  const limits = createRowLimits({ pool, keyring });
  const failed = new Map<string, number>();

  return async (url, options, asked = current()) => {
    const isVouchedFor = asked?.client !== undefined && !strangerAmong(asked.client);
    if (!asked || isVouchedFor || options?.method === 'POST') return fetch(url, options);
    const place = new Request(url).url;
    const time = now().getTime();
    if ((failed.get(place) ?? 0) > time) throw new Error('it has failed within the last minute');
    const seconds = await limits.take('fetch', asked.ctx.ip);
    if (seconds > 0) {
      asked.ctx.set('Retry-After', String(seconds));
      throw new TooManyRequests(seconds);
    }
    try {
      const response = await fetch(url, options);
      if (!response.ok) remember(place, time);
      return response;
    } catch (error) {
      remember(place, time);
      throw error;
    }
  };

  function remember(place: string, time: number): void {
    failed.delete(place); // so that it becomes the youngest
    failed.set(place, time + PAUSE);
    for (const oldest of failed.keys()) {
      if (failed.size <= MOST) break;
      failed.delete(oldest);
    }
  }
}

function current(): For | undefined {
  const { ctx } = Provider;
  return ctx && { ctx, client: ctx.oidc.client };
}
