// What happened to a person's account, in plain words: their own events of the audit, the newest first. Every type of
// event is listed here, with whether people are told of it and how.
import Router from '@koa/router';
import type { Context } from 'koa';
import { deviceInWords } from '../../devices.ts';
import type { AuditEvent as Row } from '../../generated/client.ts';
import type { Language, MessageKey } from '../../languages.ts';
import type { EventType } from '../../storage/audit.ts';
import type { RefusalReason } from '../../storage/families/verdict.ts';
import type { EndReason } from '../../storage/revocation.ts';
import { clientName } from '../../storage/strangers.ts';
import { clientInWords, presentClient } from '../client-view.ts';
import type { AccountArea } from './account-area.ts';

const PAGE = 25;

/** Whether people are told of an event, by type. */
export const isTold = {
  sign_in: true,
  sign_out: false,
  'sign_in.failed': true,
  'sign_in.limited': true,
  'password.verified': true,
  'second_factor.failed': true,
  'passkey.added': true,
  'passkey.removed': true,
  'totp.added': true,
  'totp.removed': true,
  'recovery_codes.made': true,
  'recovery_codes.used': true,
  'factors.reset': true,
  consent: true,
  'consent.refused': false,
  'access.refused': true,
  'device.approved': false,
  'token.revoked': false,
  'token.exchanged': true,
  'access.removed': true,
  'session.ended': true,
  'name.changed': true,
  'language.changed': true,
  'picture.changed': true,
  'picture.removed': true,
  'password.changed': true,
  'account.added': true,
  'account.changed': true,
  'account.invited': false,
  'account.locked': true,
  'account.unlocked': true,
  'account.deletion_asked': true,
  'account.deletion_withdrawn': true,
  'account.exported': true,
  'account.deleted': false, // nobody is left to read it
  'account.signed_out': true,
  'family.started': true,
  'family.ended': true,
  'family.caught_up': false,
  'family.end_chosen': true,
  'refresh.refused': true,
  'refresh.retried_elsewhere': true,
  'group.added': false,
  'group.changed': false,
  'group.removed': false,
  'group.joined': true,
  'group.left': true,
  'resource.added': false,
  'resource.changed': false,
  'resource.removed': false,
  'claims.changed': false,
  'client.invited': false,
  'client.added': false,
  'client.registered': false,
  'client.changed': false,
  'client.secret_changed': false,
  'client.secret_added': false,
  'client.secret_removed': false,
  'client.disabled': false,
  'client.enabled': false,
  'client.limited': false,
  'client.removed': false,
  'key.added': false,
  'key.retired': false,
  'key.rotated': false,
  'key.removed': false,
  'secret.resealed': false,
  'secret.abandoned': false,
} as const satisfies Record<EventType, boolean>;

type ToldType = { [T in EventType]: (typeof isTold)[T] extends true ? T : never }[EventType];

const grave = new Set<string>([
  'sign_in.failed',
  'sign_in.limited',
  'second_factor.failed',
  'refresh.retried_elsewhere',
]);

export function createHistory(area: AccountArea): Router {
  const { prisma } = area.storage;
  const router = new Router({ prefix: '/account' });

  router.get(
    '/history',
    area.show(async (ctx, person) => {
      const { before } = ctx.query;
      const cursor = typeof before === 'string' && /^\d{1,18}$/.test(before) ? before : undefined;
      const rows = await prisma.auditEvent.findMany({
        where: {
          accountId: person.account.id,
          type: { in: Object.keys(isTold).filter((type) => isTold[type as EventType]) },
          ...(cursor === undefined ? {} : { id: { lt: BigInt(cursor) } }),
        },
        orderBy: { id: 'desc' },
        take: PAGE + 1,
      });
      const shown = rows.slice(0, PAGE);
      const last = rows.length > PAGE ? shown.at(-1) : undefined;
      area.page(ctx, person, 'history', {
        events: await Promise.all(shown.map((row) => present(ctx, row))),
        older: last && `${area.base}/history?before=${last.id}`,
        newest: cursor === undefined ? undefined : `${area.base}/history`,
      });
    }),
  );

  return router;

  async function present(ctx: Context, row: Row) {
    const language = area.language(ctx);
    const { t } = language;
    const application = await nameOf(language, row.clientId);
    const {
      reason,
      name = '',
      to,
    } = row.detail as {
      reason?: RefusalReason;
      name?: string;
      to?: string;
    };
    const date = to === undefined ? '' : language.date(new Date(to));
    const values = { application: application ?? '', address: row.ip ?? '', name, date };
    return {
      text: t(messageFor(row), values),
      why: row.type === 'refresh.refused' ? t(`reason.${reason ?? 'unknown'}`) : undefined,
      when: area.when(ctx, row.at),
      address: row.ip,
      device: row.userAgent === null ? undefined : deviceInWords(language, row.userAgent),
      isGrave: grave.has(row.type) || reason === 'reuse' || reason === 'in_step',
    };
  }

  async function nameOf(language: Language, clientId: string | null): Promise<string | undefined> {
    if (clientId === null) return undefined;
    const client = await area.engine.provider.Client.find(clientId).catch(() => undefined);
    return client
      ? clientInWords(language, presentClient(client))
      : clientName({ client_id: clientId });
  }
}

/** The message for an event. @param row of a type that people are told of */
function messageFor({ type: kept, clientId, ip, detail }: Row): MessageKey {
  const type = kept as ToldType;
  if (type === 'sign_in' && clientId !== null) return 'event.sign_in.application';
  const { by } = detail as { by?: string };
  if (type === 'account.changed' && by === 'link') return 'event.email.confirmed';
  if (type === 'account.changed' && by === 'email_change') return 'event.email.changed';
  if (type !== 'family.ended') return `event.${type}`;
  const { reason } = detail as { reason: EndReason };
  if (reason === 'reuse' && ip === null) return 'event.family.ended.reuse.nowhere';
  return `event.family.ended.${reason}`;
}
