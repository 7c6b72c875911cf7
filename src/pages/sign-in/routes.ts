// The routes of a sign-in's forms. Each leads to another factor or to the end. Nobody is signed in before all factors
// are verified.
import type Router from '@koa/router';
import type { Context } from 'koa';
import { findAccountByEmail } from '../../accounts/accounts.ts';
import { FactorError, type Factors, factorsOf, hasSecondFactor } from '../../accounts/factors.ts';
import { type Limits, TooManyAttempts } from '../../accounts/limits.ts';
import {
  checkPasskey,
  checkPassword,
  checkSecondFactor,
  recordSignIn,
} from '../../accounts/sign-in.ts';
import { addressOf } from '../../accounts/username.ts';
import { awaitFactor } from '../../accounts/wrong-factor.ts';
import type { Language } from '../../languages.ts';
import { FACTOR_LIFE } from '../cookies.ts';
import { type Form, type ReadForm, assertFormToken } from '../forms.ts';
import { seeOther, tooMany } from '../responses.ts';
import type { SignInContext, VerifiedFactors } from './context.ts';
import type { KnownBrowser } from './known-browser.ts';
import { methodsToComplete, methodsToOffer } from './methods.ts';
import { type Progress, raised } from './progress.ts';
import { type ViewParts, factorPage, passwordPage } from './views.ts';

export interface RouteParts extends ViewParts {
  readonly limits: Limits;
  readonly knownBrowser: KnownBrowser;
  readonly progress: Progress;
}

/** Finds the context of the sign-in that a request belongs to. */
export type ContextOf = (ctx: Context) => Promise<SignInContext>;

/** A form of ours that was sent. */
interface Submission {
  readonly ctx: Context;
  readonly context: SignInContext;
  readonly form: Form;
}

/** Adds the routes of a sign-in to a router. */
export function addRoutes(
  parts: RouteParts,
  router: Router,
  readForm: ReadForm,
  contextOf: ContextOf,
): void {
  const submitted = async (ctx: Context): Promise<Submission> => {
    const form = await readForm(ctx);
    const context = await contextOf(ctx);
    assertFormToken(parts.storage.keyring, context.subject, form);
    return { ctx, context, form };
  };
  router.post('/sign-in', async (ctx) => takePassword(parts, await submitted(ctx)));
  router.post('/passkey', async (ctx) => takePasskey(parts, await submitted(ctx)));
  router.post('/factor', async (ctx) => takeSecondFactor(parts, await submitted(ctx)));

  // The URL of a form that was refused, opened again.
  router.get(['/sign-in', '/passkey'], async (ctx) => {
    beginAgain(ctx, await contextOf(ctx));
  });

  router.get('/factor', async (ctx) => {
    const context = await contextOf(ctx);
    const verified = await verifiedSoFar(parts, ctx, context);
    if (verified) await factorPage(parts, ctx, context, verified);
    else beginAgain(ctx, context);
  });
}

async function takePassword(parts: RouteParts, { ctx, context, form }: Submission): Promise<void> {
  const { storage, knownBrowser } = parts;
  const { clientId } = context;
  const typed = form.text('email');
  const email = await addressOf(storage.prisma, typed);
  const known = await findAccountByEmail(storage.prisma, email);
  const from = { ip: ctx.ip, browser: knownBrowser.of(ctx, known?.id, ['sign_in', 'reset']) };
  const account = await unlessRefused(
    parts,
    ctx,
    () => checkPassword(parts, { email, password: form.text('password'), from, clientId }),
    (summary) => passwordPage(parts, ctx, context, { email: typed, errors: { summary } }),
    (t) => passwordsClosed(parts, t),
  );
  if (!account) return;
  const factors = await factorsOf(storage.prisma, account.id);
  if (hasSecondFactor(factors) && knownBrowser.of(ctx, account.id) === undefined)
    await awaitFactor(storage, account, FACTOR_LIFE, clientId);
  await goOn(parts, ctx, context, { account, amr: ['pwd'] }, factors);
}

async function takePasskey(parts: RouteParts, { ctx, context, form }: Submission): Promise<void> {
  const { subject: binding, clientId } = context;
  const verified = await unlessRefused(
    parts,
    ctx,
    () => checkPasskey(parts, { response: form.text('passkey'), binding, clientId }),
    (summary) => passwordPage(parts, ctx, context, { errors: { summary } }),
    (t) => passwordsClosed(parts, t),
  );
  if (verified) await goOn(parts, ctx, context, verified);
}

async function takeSecondFactor(
  parts: RouteParts,
  { ctx, context, form }: Submission,
): Promise<void> {
  const verified = await verifiedSoFar(parts, ctx, context);
  if (!verified) {
    beginAgain(ctx, context); // the progress has expired, or was ended
    return;
  }
  const { account } = verified;
  const factors = await factorsOf(parts.storage.prisma, account.id);
  const passkey = form.text('passkey') === '' ? undefined : form.text('passkey');
  const amr = await unlessRefused(
    parts,
    ctx,
    () =>
      checkSecondFactor(parts, {
        accountId: account.id,
        methods: methodsToOffer(context, verified.amr, factors),
        passkey,
        code: form.text('code'),
        binding: context.subject,
        from: { ip: ctx.ip, browser: parts.knownBrowser.of(ctx, account.id) },
        clientId: context.clientId,
      }),
    (told) => {
      const mistake = passkey === undefined ? { mistake: told } : { alert: told };
      return factorPage(parts, ctx, context, verified, mistake);
    },
    (t) => t('factor.code-closed'),
  );
  if (amr) await goOn(parts, ctx, context, raised(verified, amr));
}

/** Shows the page of the next factor, or finishes when none is missing. */
async function goOn(
  { storage, knownBrowser, progress }: RouteParts,
  ctx: Context,
  context: SignInContext,
  verified: VerifiedFactors,
  known?: Factors,
): Promise<void> {
  const { account, amr } = verified;
  const accountId = account.id;
  const factors = known ?? (await factorsOf(storage.prisma, accountId));
  if (methodsToComplete(context, amr, factors).length > 0) {
    progress.keep(ctx, context, verified);
    seeOther(ctx, `${context.action}/factor${context.query ?? ''}`);
    return;
  }
  progress.forget(ctx, context);
  const isNewBrowser = knownBrowser.of(ctx, accountId) === undefined;
  knownBrowser.remember(ctx, accountId);
  recordSignIn({ accountId, clientId: context.clientId, amr, isNewBrowser });
  await context.finish(ctx, verified);
}

async function verifiedSoFar(
  { progress }: RouteParts,
  ctx: Context,
  context: SignInContext,
): Promise<VerifiedFactors | undefined> {
  return (await progress.find(ctx, context)) ?? context.person;
}

/**
 * Does a check. A refusal is shown on the form's page.
 *
 * @param closed says that no more tries of strangers are judged
 * @returns undefined when it was refused
 */
async function unlessRefused<T>(
  { renderer }: RouteParts,
  ctx: Context,
  check: () => Promise<T>,
  tell: (message: string) => Promise<void>,
  closed: (t: Language['t']) => string,
): Promise<T | undefined> {
  const { t } = renderer.language(ctx);
  try {
    return await check();
  } catch (error) {
    if (error instanceof TooManyAttempts) {
      tooMany(ctx, error.retryAfter);
      const { retryAfter: seconds } = error;
      await tell(seconds === undefined ? closed(t) : t('sign-in.wait', { seconds }));
    } else if (error instanceof FactorError) {
      ctx.status = 401;
      await tell(t(error.code));
    } else throw error;
    return undefined;
  }
}

function passwordsClosed({ config }: RouteParts, t: Language['t']): string {
  const byMail = t('sign-in.closed-mail', { forgot: t('sign-in.forgot') });
  return config.mail.mode === 'off' ? t('sign-in.closed') : `${t('sign-in.closed')} ${byMail}`;
}

function beginAgain(ctx: Context, { action, query = '' }: SignInContext): void {
  seeOther(ctx, action + query);
}
