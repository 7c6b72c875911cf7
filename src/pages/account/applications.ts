// The applications that have access to a person's account: each with the devices on which it stays connected (its
// refresh-token families), and permissions that are remembered without one. Here a person ends one of them, or all.
import Router from '@koa/router';
import type { Context } from 'koa';
import type { Client } from 'oidc-provider';
import { deviceInWords } from '../../devices.ts';
import type { Grant, RefreshFamily } from '../../generated/client.ts';
import { refreshPolicy } from '../../provider/refresh-policy.ts';
import { claimsOf } from '../../storage/claims-policy.ts';
import { chooseEnd } from '../../storage/families/until.ts';
import { expiresAt, latestEnd, lifeEnd } from '../../storage/families/verdict.ts';
import { endAccess, endLineOf, revokeAccess } from '../../storage/revocation.ts';
import { clientName } from '../../storage/strangers.ts';
import { currentUnit } from '../../storage/unit-of-work.ts';
import { type ClientView, clientInWords, presentClient } from '../client-view.ts';
import { type AskedResource, resourcesIn } from '../permissions.ts';
import { claimInWords, scopesInWords } from '../scopes-view.ts';
import type { AccountArea } from './account-area.ts';
import { chosenEnd, endChoices } from './connection-end.ts';

type Family = RefreshFamily & { readonly grant: Grant | null };

interface Access {
  readonly openid?: { readonly scope?: string; readonly claims?: readonly string[] };
  readonly resources?: Readonly<Record<string, string>>;
}

const RECENT = 30 * 86_400_000; // milliseconds for which an ended one is shown

export function createApplications(area: AccountArea): Router {
  const { config, storage, engine } = area;
  const { prisma } = storage;
  const policy = refreshPolicy(config);
  const router = new Router({ prefix: '/account/applications' });

  router.get(
    '/',
    area.show(async (ctx, person) => {
      const now = storage.now();
      const accountId = person.account.id;
      const [families, grants] = await Promise.all([
        prisma.refreshFamily.findMany({
          where: { accountId },
          include: { grant: true },
          orderBy: { createdAt: 'desc' },
          take: 500,
        }),
        prisma.grant.findMany({
          where: { accountId, expiresAt: { gt: now } },
          orderBy: { createdAt: 'desc' },
          take: 500,
        }),
      ]);
      const living = families.filter((family) => lifeEnd(family, now) === undefined);
      const ended = families.filter((family) => isRecent(family, now));
      const clientIds = new Set([...living, ...grants].map(({ clientId }) => clientId));
      area.page(ctx, person, 'applications', {
        applications: await Promise.all(
          [...clientIds].map((clientId) =>
            application(
              ctx,
              clientId,
              living.filter((family) => family.clientId === clientId),
              grants.filter((grant) => grant.clientId === clientId),
            ),
          ),
        ),
        ended: await Promise.all(ended.slice(0, 20).map((family) => end(ctx, family, now))),
      });
    }),
  );

  router.post(
    '/end-all',
    area.take(async (ctx, { account: { id } }) => {
      const clients = await prisma.grant.findMany({
        where: { accountId: id },
        distinct: ['clientId'],
        select: { clientId: true },
      });
      const unit = currentUnit();
      for (const { clientId } of clients)
        unit.audit({ type: 'access.removed', accountId: id, clientId });
      await unit.change((database) => endAccess(database, id, 'issued', area.revocation()));
      area.done(ctx, '/applications', 'applications.ended-all');
    }),
  );

  router.post(
    '/family/:id',
    area.take(async (ctx, { account }) => {
      const { id } = ctx['params'] as { id: string };
      const ended = await currentUnit().change((database) =>
        endLineOf(database, { id, accountId: account.id }, area.revocation()),
      );
      if (ended === undefined) ctx.status = 404;
      else area.done(ctx, '/applications', 'applications.ended-one');
    }),
  );

  router.post(
    '/until/:id',
    area.take(async (ctx, { account: { id: accountId } }, form) => {
      const { id } = ctx['params'] as { id: string };
      const family = await prisma.refreshFamily.findFirst({ where: { id, accountId } });
      if (!family) {
        ctx.status = 404;
        return;
      }
      const client = await find(family.clientId);
      const chosen = chosenEnd(form.text('until'));
      const absoluteTtl = policy.absoluteTtl(client ?? {});
      const end = chosen
        ? await currentUnit().change((database) =>
            chooseEnd(
              database,
              { id, accountId, ...chosen, absoluteTtl },
              {
                now: storage.now(),
                origin: currentUnit().origin,
              },
            ),
          )
        : latestEnd(family);
      if (end === undefined) {
        area.done(ctx, '/applications', 'applications.until-over');
        return;
      }
      area.done(ctx, '/applications', 'applications.until-chosen', {
        application: clientInWords(area.language(ctx), viewOf(family.clientId, client)),
        date: area.language(ctx).date(end),
      });
    }),
  );

  router.post(
    '/remove',
    area.take(async (ctx, { account: { id: accountId } }, form) => {
      const clientId = form.text('client');
      const where = { accountId, clientId };
      if (
        !(await prisma.grant.findFirst({ where })) &&
        !(await prisma.refreshFamily.findFirst({ where }))
      ) {
        ctx.status = 404;
        return;
      }
      const unit = currentUnit();
      unit.audit({ type: 'access.removed', accountId, clientId });
      await unit.change((database) =>
        revokeAccess(database, { accountIds: [accountId], clientId }, area.revocation()),
      );
      area.done(ctx, '/applications', 'applications.removed', {
        application: clientInWords(area.language(ctx), viewOf(clientId, await find(clientId))),
      });
    }),
  );

  return router;

  async function application(
    ctx: Context,
    clientId: string,
    families: readonly Family[],
    grants: readonly Grant[],
  ) {
    const client = await find(clientId);
    // A permission without a device lets the application sign the person in again.
    const isUsed = new Set(families.map(({ grantId }) => grantId));
    const remembered = grants.filter(({ id }) => !isUsed.has(id));
    const [newest] = remembered;
    const since = remembered.at(-1);
    return {
      clientId,
      client: viewOf(clientId, client),
      connections: await Promise.all(families.map((family) => connection(ctx, family, client))),
      permission: newest &&
        since && {
          since: area.when(ctx, since.createdAt),
          ...(await accessOf(ctx, newest.payload as Access)),
        },
    };
  }

  async function connection(ctx: Context, family: Family, client: Client | undefined) {
    const language = area.language(ctx);
    const { scope = '', resource } = family.payload as { scope?: string; resource?: unknown };
    const { grant } = family;
    const { claims = [] } = ((grant?.payload ?? {}) as Access).openid ?? {};
    const end = expiresAt(family);
    return {
      id: family.id,
      device: deviceInWords(language, grant?.userAgent ?? family.lastUsedUserAgent),
      address: grant?.ip ?? undefined,
      since: area.when(ctx, family.createdAt),
      used: family.lastUsedAt ? area.when(ctx, family.lastUsedAt) : undefined,
      usedFrom: family.lastUsedIp ?? undefined,
      usedBy: family.lastUsedUserAgent
        ? deviceInWords(language, family.lastUsedUserAgent)
        : undefined,
      isRenewed: family.rotatedAt !== null,
      // The idle end moves on with each use, up to the latest end.
      ends: language.date(end),
      endsAtLatest:
        end < family.absoluteExpiresAt && end.getTime() === family.idleExpiresAt.getTime()
          ? language.date(latestEnd(family))
          : undefined,
      until: endChoices(language, family, {
        absoluteTtl: policy.absoluteTtl(client ?? {}),
        now: storage.now(),
      }),
      scopes: [
        ...scopesInWords(language, scope.split(' '), claimsOf(area)),
        ...claims.map((claim) => claimInWords(language, claim)),
      ],
      resources: await resourcesOf({ resource, scope }),
    };
  }

  async function end(ctx: Context, family: Family, now: Date) {
    const reason = lifeEnd(family, now) ?? 'unknown';
    return {
      application: clientInWords(
        area.language(ctx),
        viewOf(family.clientId, await find(family.clientId)),
      ),
      when: area.when(ctx, family.endedAt ?? expiresAt(family)),
      since: area.language(ctx).date(family.createdAt),
      reason: area.language(ctx).t(`reason.${reason}`),
    };
  }

  async function accessOf(ctx: Context, { openid, resources = {} }: Access) {
    const language = area.language(ctx);
    const { scope = '', claims = [] } = openid ?? {};
    // Each resource with its own granted scopes: another may have one of the same name.
    const found = await Promise.all(
      Object.entries(resources).map(([resource, own]) => resourcesOf({ resource, scope: own })),
    );
    return {
      scopes: [
        ...scopesInWords(language, scope.split(' '), claimsOf(area)),
        ...claims.map((claim) => claimInWords(language, claim)),
      ],
      resources: found.flat(),
    };
  }

  async function resourcesOf(asked: Record<string, unknown>): Promise<AskedResource[]> {
    const found = await resourcesIn(prisma, asked);
    return found.filter(({ scopes }) => scopes.length > 0);
  }

  /** @returns undefined when it is not there, or its metadata document cannot be fetched now */
  function find(clientId: string): Promise<Client | undefined> {
    return engine.provider.Client.find(clientId).catch(() => undefined);
  }
}

function viewOf(clientId: string, client: Client | undefined): ClientView {
  return presentClient(client) ?? { name: clientName({ client_id: clientId }) };
}

function isRecent(family: RefreshFamily, now: Date): boolean {
  if (lifeEnd(family, now) === undefined) return false;
  return now.getTime() - (family.endedAt ?? expiresAt(family)).getTime() < RECENT;
}
