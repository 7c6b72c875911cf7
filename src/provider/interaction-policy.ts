// When a person is asked something: to choose an account, to sign in, to consent. The engine's policy, with
// two changes: an account is offered for choice, and offline access asks for consent by itself.
import { type KoaContextWithOIDC, type Provider, interactionPolicy } from 'oidc-provider';
import type { PrismaClient } from '../generated/client.ts';
import { findPerson } from './account.ts';
import { acrChecks } from './assurance.ts';
import { needsConsentPrompt } from './refresh-policy.ts';

const { Check, Prompt, base } = interactionPolicy;

export function createInteractionPolicy(prisma: PrismaClient) {
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
          return account?.email === hint.trim().toLowerCase()
            ? Check.NO_NEED_TO_PROMPT
            : Check.REQUEST_PROMPT;
        },
      ),
    ),
    0,
  );
  const login = policy.get('login');
  for (const reason of ['essential_acr', 'essential_acrs']) login?.checks.remove(reason);
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
        const signedOut = signedOutAt ? signedOutAt.getTime() / 1000 : 0;
        return loginTs <= signedOut ? Check.REQUEST_PROMPT : Check.NO_NEED_TO_PROMPT;
      },
    ),
  );
  // The engine asks the context whether consent was prompted for; see assumeConsentPrompt. Here only the request counts.
  const consent = policy.get('consent');
  consent?.checks.remove('consent_prompt');
  consent?.checks.add(
    new Check(
      'consent_prompt',
      'consent prompt was not resolved',
      'consent_required',
      ({ oidc }) => {
        const requested = (oidc.params?.['prompt'] as string | undefined)?.split(' ') ?? [];
        return requested.includes('consent') && oidc.result?.consent === undefined;
      },
    ),
    0,
  );
  return policy;
}

/**
 * Keeps `offline_access` in requests without `prompt=consent`. OIDC Core §11 wants the person's consent, not the
 * parameter; the engine drops the scope unless the context's `prompts` have `consent`. So they say they do, for
 * clients that are not registered as strict, and what was not granted yet is asked for by the consent policy.
 */
export function assumeConsentPrompt(provider: Provider): void {
  class Prompts extends Set<string> {
    readonly #assumed: boolean;

    constructor(requested: Iterable<string>, assumed: boolean) {
      super(requested);
      this.#assumed = assumed;
    }

    override has(prompt: string): boolean {
      return super.has(prompt) || (prompt === 'consent' && this.#assumed);
    }
  }

  const prototype = provider.OIDCContext.prototype as object;
  const engine = Object.getOwnPropertyDescriptor(prototype, 'prompts');
  if (!engine?.get) {
    throw new Error('the engine has no OIDCContext.prototype.prompts: adapt assumeConsentPrompt');
  }
  Object.defineProperty(prototype, 'prompts', {
    configurable: true,
    get(this: KoaContextWithOIDC['oidc']) {
      const assumed = this.client !== undefined && !needsConsentPrompt(this.client);
      return new Prompts(engine.get?.call(this) as Set<string>, assumed);
    },
  });
}
