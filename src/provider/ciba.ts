// OpenID Client-Initiated Backchannel Authentication (CIBA), poll and ping: a client asks a person who is not at their
// browser. A mail leads the person to the request at /approve (pages/approvals.ts).
import { type Configuration, errors } from 'oidc-provider';
import { findAccountBySubject } from '../accounts/accounts.ts';
import { createMailLimits } from '../accounts/mail-limits.ts';
import type { Config } from '../config/config.ts';
import { looksLikeLink } from '../mail/links.ts';
import { mayUse, noteRefusedAccess } from '../storage/access.ts';
import { answered } from '../storage/errors.ts';
import { describeRefusal } from '../storage/families/reasons.ts';
import type { Storage } from '../storage/storage.ts';
import { clientName, whereabouts } from '../storage/strangers.ts';
import { currentUnit } from '../storage/unit-of-work.ts';
import { strangerAmong } from './strangers.ts';

const WAITING = 5; // requests of one client for one person at a time

type Ciba = NonNullable<NonNullable<Configuration['features']>['ciba']>;

// A dot within a word that is no number, and seven digits or more, as telephone numbers are written.
const linked = /[^\s\d]\.\S|\S\.[^\s\d]|\p{Nd}(?:[^\p{L}\p{N}]{0,2}\p{Nd}){6}/u;

export function ciba(
  config: Config,
  { prisma, now, pool, keyring }: Pick<Storage, 'prisma' | 'now' | 'pool' | 'keyring'>,
): Ciba {
  const limits = createMailLimits({ pool, keyring });
  return {
    enabled: config.ciba,
    deliveryModes: ['poll', 'ping'],
    /** The hint is an e-mail address or a subject. */
    async processLoginHint({ oidc }, hint = '') {
      // Only clients that authenticate may ask: else anybody could ask anybody, and learn who has an account.
      if (oidc.client?.clientAuthMethod === 'none')
        throw new errors.InvalidClient('a client that does not authenticate may not ask people');
      const account = await answered(() => findAccountBySubject(prisma, hint));
      if (account && oidc.client && !mayUse(oidc.client, account.groups)) {
        const { clientId } = oidc.client;
        await noteRefusedAccess({ prisma, now }, { accountId: account.id, clientId, by: 'ciba' });
        throw denied(describeRefusal('access_withdrawn'));
      }
      return account?.id;
    },
    processLoginHintToken() {
      throw new errors.InvalidRequest('login_hint_token is not supported; use login_hint');
    },
    verifyUserCode(_ctx, _account, userCode) {
      if (userCode !== undefined) throw new errors.InvalidRequest('user_code is not supported');
    },
    /** CIBA §7.1: short, and readable on both devices. */
    validateBindingMessage(_ctx, message) {
      if (message !== undefined && !/^[\p{L}\p{N} .,:;+/!?#_-]{1,40}$/u.test(message)) {
        throw new errors.InvalidBindingMessage(
          'the binding_message has 1 to 40 letters, digits, spaces and . , : ; + / ! ? # _ -',
        );
      }
      // It goes into a mail of ours, whose reader's program would make a link of it.
      if (message !== undefined && (looksLikeLink(message) || linked.test(message))) {
        throw new errors.InvalidBindingMessage(
          'the binding_message must not look like a URL, the name of a host or a telephone number',
        );
      }
    },
    validateRequestContext(_ctx, context) {
      if (context !== undefined) {
        throw new errors.InvalidRequest('request_context is not supported');
      }
    },
    // The request is committed with this unit of work, and shown to the person at /approve.
    async triggerAuthenticationDevice(_ctx, request, account, client) {
      const waiting = await answered(() =>
        prisma.artifact.count({
          where: {
            model: 'BackchannelAuthenticationRequest',
            accountId: account.accountId,
            clientId: client.clientId,
            consumedAt: null,
            expiresAt: { gt: now() },
          },
        }),
      );
      if (waiting >= WAITING) throw denied('too many requests wait for this person already');
      const person = await answered(() =>
        prisma.account.findUnique({ where: { id: account.accountId } }),
      );
      if (!person || config.mail.mode === 'off') return;
      // Without a mail the request still waits at /approve.
      if (!(await limits.toEmail('approval', person.email))) return;
      const { binding_message: message } = (request.params ?? {}) as { binding_message?: string };
      const stranger = strangerAmong(client);
      const values = {
        client: clientName({ client_id: client.clientId, client_name: client.clientName }),
        message: message ?? '',
        stranger: stranger && whereabouts(stranger),
      };
      const { email: to, locale } = person;
      currentUnit().mail({ to, locale, template: 'approval', values });
    },
  };
}

// CIBA §13 wants 403 for it; at the token endpoint it stays 400 (§11, RFC 6749 §5.2).
function denied(why: string): errors.AccessDenied {
  return Object.assign(new errors.AccessDenied(why), { status: 403, statusCode: 403 });
}
