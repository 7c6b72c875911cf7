// Signing in, for authorization requests (interactions.ts) and for pages of our own (own-sign-in.ts): a password, then
// the second factor if the account has one; or a passkey alone.
import type Router from '@koa/router';
import type { Context } from 'koa';
import { createCookies } from '../cookies.ts';
import type { ReadForm } from '../forms.ts';
import type { SignInContext } from './context.ts';
import { createProgress } from './progress.ts';
import { type ContextOf, type RouteParts, addRoutes } from './routes.ts';
import { type FormState, factorPage, passwordPage } from './views.ts';

export type SignInParts = Omit<RouteParts, 'progress'>;

export interface SignIn {
  /** The page of the factor that is missing. @param state of the password's form, if it is that page */
  readonly page: (ctx: Context, context: SignInContext, state?: FormState) => Promise<void>;
  /** Adds the routes to a router. */
  readonly routes: (router: Router, readForm: ReadForm, contextOf: ContextOf) => void;
}

export function createSignIn(parts: SignInParts): SignIn {
  const progress = createProgress({ storage: parts.storage, cookies: createCookies(parts.config) });
  return {
    page(ctx, context, state = {}) {
      const { person } = context;
      if (person) return factorPage(parts, ctx, context, person);
      return passwordPage(parts, ctx, context, state);
    },
    routes(router, readForm, contextOf) {
      addRoutes({ ...parts, progress }, router, readForm, contextOf);
    },
  };
}
