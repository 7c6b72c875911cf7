// The pages of a sign-in, and what they show.
import type { Context } from 'koa';
import { type Method, factorsOf } from '../../accounts/factors.ts';
import { authenticationOptions } from '../../accounts/passkeys.ts';
import type { Config } from '../../config/config.ts';
import type { Storage } from '../../storage/storage.ts';
import { formToken } from '../forms.ts';
import { type Renderer, allowScripts } from '../render.ts';
import type { PasskeyForm } from '../views/partials.ts';
import type { Views } from '../views/views.ts';
import type { SignInContext, VerifiedFactors } from './context.ts';
import { methodsToOffer } from './methods.ts';
import { waysIn } from './ways-in.ts';

export interface ViewParts {
  readonly config: Config;
  readonly storage: Storage;
  readonly renderer: Renderer;
}

/** The values of the password's form, and its mistakes. */
export type FormState = Pick<Views['sign-in'], 'email' | 'hint' | 'errors'>;

/** The mistake in a second factor: in the code, or any other. */
export type FactorMistake = Pick<Views['second-factor'], 'mistake' | 'alert'>;

/** The first page: a password or a passkey. */
export async function passwordPage(
  parts: ViewParts,
  ctx: Context,
  context: SignInContext,
  state: FormState,
): Promise<void> {
  const { config, storage, renderer } = parts;
  const { subject, action, cancel, client, query = '' } = context;
  const options = await authenticationOptions({ storage, config }, { binding: subject });
  allowScripts(ctx);
  renderer.page(ctx, 'sign-in', {
    ...state,
    action: `${action}/sign-in${query}`,
    csrf: formToken(storage.keyring, subject),
    cancel,
    client,
    waysIn: waysIn(config, context.interaction),
    passkey: { action: `${action}/passkey${query}`, options: JSON.stringify(options) },
    scripts: renderer.passkeyScripts,
  });
}

/** The page of the second factor; if none reaches the wanted level, the page that says so. */
export async function factorPage(
  parts: ViewParts,
  ctx: Context,
  context: SignInContext,
  { account, amr }: VerifiedFactors,
  mistake: FactorMistake = {},
): Promise<void> {
  const { storage, renderer } = parts;
  const factors = await factorsOf(storage.prisma, account.id);
  const methods = methodsToOffer(context, amr, factors);
  const step: Pick<Views['factor-needed'], 'csrf' | 'cancel' | 'client'> = {
    csrf: formToken(storage.keyring, context.subject),
    cancel: context.cancel,
    client: context.client,
  };
  if (methods.length === 0) {
    const again = context.action + (context.query ?? '');
    renderer.page(ctx, 'factor-needed', { ...step, again, isPasskey: context.wanted === 'phr' });
    return;
  }
  const passkey = methods.includes('passkey')
    ? await passkeyForm(parts, context, account.id)
    : undefined;
  if (passkey) allowScripts(ctx);
  renderer.page(ctx, 'second-factor', {
    ...step,
    ...codeForm(context, methods, ctx.query['with'] === 'recovery'),
    account,
    other: context.other,
    passkey,
    scripts: passkey ? renderer.passkeyScripts : [],
    ...mistake,
  });
}

async function passkeyForm(
  { config, storage }: ViewParts,
  context: SignInContext,
  accountId: string,
): Promise<PasskeyForm> {
  const asked = { binding: context.subject, accountId };
  const options = await authenticationOptions({ storage, config }, asked);
  return { action: factorAction(context), options: JSON.stringify(options) };
}

type CodeForm = Pick<
  Views['second-factor'],
  'action' | 'code' | 'recovery' | 'codeLink' | 'recoveryLink'
>;

/**
 * The kind of code that is asked for, and the link to the other kind.
 *
 * @param wantsRecovery whether recovery codes were chosen
 */
function codeForm(
  context: Pick<SignInContext, 'action' | 'query'>,
  methods: readonly Method[],
  wantsRecovery: boolean,
): CodeForm {
  const { query = '' } = context;
  const action = factorAction(context);
  const withRecovery = `${action}${query === '' ? '?' : '&'}with=recovery`;
  const [hasCode, hasRecovery] = [methods.includes('totp'), methods.includes('recovery_code')];
  const isAsked = wantsRecovery && hasRecovery;
  const isRecovery = isAsked || methods.every((method) => method === 'recovery_code');
  return {
    // Anyone who mistypes a recovery code is asked for one again.
    action: isAsked ? withRecovery : action,
    code: hasCode && !isRecovery,
    recovery: hasRecovery && isRecovery,
    codeLink: isAsked && hasCode ? action : undefined,
    recoveryLink: hasRecovery && !isRecovery ? withRecovery : undefined,
  };
}

function factorAction({ action, query = '' }: Pick<SignInContext, 'action' | 'query'>): string {
  return `${action}/factor${query}`;
}
