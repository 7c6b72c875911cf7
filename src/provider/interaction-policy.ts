// When a person is asked to choose an account, to sign in or to consent. The engine's policy with seven changes: it
// offers a choice of account and the making of one, tells who may not use the application, offline access by itself needs consent, levels are those of
// assurance.ts, a sign-in that has ended counts as none, and consent is asked for again when the answer may reach another application.
import { interactionPolicy } from 'oidc-provider';
import { mayUse, noteRefusedAccess } from '../storage/access.ts';
import { isSignInOver } from '../accounts/changes.ts';
import { asciiAddress } from '../accounts/email-address.ts';
import type { Config } from '../config/config.ts';
import type { Storage } from '../storage/storage.ts';
import { findPerson } from './account.ts';
import { acrChecks } from './assurance.ts';
import { policyChecks } from './engine-seams/words.ts';
import { sessionLife } from './lifetimes.ts';
import { mayReachAnother } from './redirect-uris.ts';

const { Check, Prompt, base } = interactionPolicy;

/** The prompt for a person who may not use the application: a page that says so. */
export const NO_ACCESS = 'no_access';

export function createInteractionPolicy(
  config: Pick<Config, 'ttl' | 'signUp'>,
  storage: Pick<Storage, 'prisma' | 'now'>,
) {
  const { prisma, now } = storage;
  const policy = base();
  policy.add(
    new Prompt(
      { name: 'select_account', requestable: true },
      new Check(
        'login_hint_differs',
        'another account than the one signed in was asked for',
        async ({ oidc }) => {
          const hint = oidc.params?.['login_hint'];
          const accountId = oidc.session?.accountId;
          if (typeof hint !== 'string' || accountId === undefined) return Check.NO_NEED_TO_PROMPT;
          if (oidc.result?.['select_account'] !== undefined || oidc.result?.login)
            return Check.NO_NEED_TO_PROMPT;
          const account = await findPerson(prisma, accountId);
          return account && asciiAddress(account.email) === asciiAddress(hint)
            ? Check.NO_NEED_TO_PROMPT
            : Check.REQUEST_PROMPT;
        },
      ),
    ),
    0,
  );
  // Initiating User Registration via OpenID Connect §4.
  if (config.signUp === 'open') policy.add(new Prompt({ name: 'create', requestable: true }), 0);
  const login = policy.get('login');
  for (const reason of [policyChecks.essentialAcr, policyChecks.essentialAcrs])
    login?.checks.remove(reason);
  for (const one of acrChecks)
    login?.checks.add(
      new Check(one.reason, one.description, 'login_required', (ctx) => one.check(ctx, prisma)),
    );
  login?.checks.add(
    new Check(
      'signed_out',
      'the sign-in is over',
      'login_required',
      async ({ oidc: { session, account } }) => {
        if (session?.accountId === undefined) return Check.NO_NEED_TO_PROMPT;
        if (!account) return Check.REQUEST_PROMPT; // locked, or gone
        const { accountId: id, loginTs = 0 } = session;
        const { signedOutAt } = (await findPerson(prisma, id)) ?? {};
        const isOver =
          isSignInOver(loginTs, signedOutAt) || sessionLife(config, loginTs, now()) <= 0;
        return isOver ? Check.REQUEST_PROMPT : Check.NO_NEED_TO_PROMPT;
      },
    ),
  );
  // The engine asks the context for `prompt=consent`, which may be assumed there (engine-seams/replaced.ts). Here only
  // the request itself counts.
  const consent = policy.get('consent');
  const beforeConsent = policy.findIndex(({ name }) => name === 'consent');
  policy.add(
    new Prompt(
      { name: NO_ACCESS, requestable: false },
      new Check(
        'not_in_groups',
        'the person may not use the application',
        'access_denied',
        async ({ oidc: { client, session, route } }) => {
          if (!client || session?.accountId === undefined) return Check.NO_NEED_TO_PROMPT;
          const account = await findPerson(prisma, session.accountId);
          if (!account || mayUse(client, account.groups)) return Check.NO_NEED_TO_PROMPT;
          await noteRefusedAccess(storage, {
            accountId: account.id,
            clientId: client.clientId,
            ...(route.includes('device') || route === 'code_verification' ? { by: 'device' } : {}),
          });
          return Check.REQUEST_PROMPT;
        },
      ),
    ),
    beforeConsent,
  );
  consent?.checks.remove(policyChecks.consentPrompt);
  consent?.checks.add(
    new Check(
      policyChecks.consentPrompt,
      'consent prompt was not resolved',
      'consent_required',
      ({ oidc }) => {
        const requested = (oidc.params?.['prompt'] as string | undefined)?.split(' ') ?? [];
        return requested.includes('consent') && oidc.result?.consent === undefined;
      },
    ),
    0,
  );
  // The engine asks native clients only.
  consent?.checks.add(
    new Check(
      'identity_not_assured',
      'the answer may reach another application',
      'interaction_required',
      ({ oidc: { client, params, result } }) =>
        mayReachAnother(params?.['redirect_uri'], client ?? {}) && result?.consent === undefined,
    ),
  );
  return policy;
}
