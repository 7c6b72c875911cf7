// The browsers in which a person is signed in to this provider. A person ends one of these sessions, or all others.
import Router from '@koa/router';
import type { AdapterPayload } from 'oidc-provider';
import { isSignInOver } from '../../accounts/changes.ts';
import { deviceInWords } from '../../devices.ts';
import { sha256 } from '../../keys/keyring.ts';
import { sessionLife } from '../../provider/lifetimes.ts';
import { endSession } from '../../provider/sign-out.ts';
import { findArtifactsOf } from '../../storage/artifacts.ts';
import { answered } from '../../storage/errors.ts';
import type { Origin } from '../../storage/origin.ts';
import { currentUnit } from '../../storage/unit-of-work.ts';
import type { SignedIn } from '../browser-session.ts';
import type { AccountArea } from './account-area.ts';

interface SessionPayload extends AdapterPayload {
  readonly jti: string;
  readonly uid: string;
  readonly loginTs: number;
  readonly signedIn?: Origin;
  readonly seenAt?: number;
}

const MOST = 1000;

export function createSessions(area: AccountArea): Router {
  const { config, storage, engine } = area;
  const { prisma, keyring } = storage;
  const router = new Router({ prefix: '/account/sessions' });

  router.get(
    '/',
    area.show(async (ctx, person) => {
      const all = await sessionsOf(person);
      const language = area.language(ctx);
      area.page(ctx, person, 'sessions', {
        sessions: all
          .sort((a, b) => b.loginTs - a.loginTs)
          .map((session) => ({
            id: idOf(session),
            isHere: session.uid === person.sessionUid,
            device: deviceInWords(language, session.signedIn?.userAgent),
            address: session.signedIn?.ip,
            signedIn: area.when(ctx, new Date(session.loginTs * 1000)),
            seen:
              session.seenAt === undefined
                ? undefined
                : area.when(ctx, new Date(session.seenAt * 1000)),
          }))
          .sort((a, b) => Number(b.isHere) - Number(a.isHere)),
      });
    }),
  );

  router.post(
    '/end-others',
    area.take(async (ctx, person) => {
      const others = (await sessionsOf(person)).filter(({ uid }) => uid !== person.sessionUid);
      const { provider } = engine; // one and the same
      for (const { jti } of others) await endSession(provider, jti);
      if (others.length > 0)
        currentUnit().audit({
          type: 'session.ended',
          accountId: person.account.id,
          detail: { count: others.length },
        });
      area.done(ctx, '/sessions', 'sessions.ended-count', { count: others.length });
    }),
  );

  router.post(
    '/:id',
    area.take(async (ctx, person) => {
      const { id } = ctx['params'] as { id: string };
      const session = (await sessionsOf(person)).find((one) => idOf(one) === id);
      if (!session) {
        ctx.status = 404;
        return;
      }
      await endSession(engine.provider, session.jti);
      const accountId = person.account.id;
      currentUnit().audit({ type: 'session.ended', accountId, detail: { count: 1 } });
      area.done(ctx, '/sessions', 'sessions.ended-count', { count: 1 });
    }),
  );

  return router;

  async function sessionsOf({ account }: SignedIn): Promise<SessionPayload[]> {
    const found = await answered(() =>
      findArtifactsOf(prisma, keyring, 'Session', account.id, storage.now(), MOST),
    );
    return (found as SessionPayload[]).filter(
      ({ loginTs }) =>
        !isSignInOver(loginTs, account.signedOutAt) &&
        sessionLife(config, loginTs, storage.now()) > 0,
    );
  }
}

// Tokens contain the session's uid; pages show a hash of it.
function idOf({ uid }: SessionPayload): string {
  return Buffer.from(sha256(`account session ${uid}`)).toString('base64url');
}
