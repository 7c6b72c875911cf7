// Browser sessions of the relying party: a signed cookie holds an id, this process holds the rest. They are
// gone when the process ends, which is right for a demo and for nothing else.
import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { Context } from 'koa';
import type { Family } from './family.ts';
import type { Outcome } from './outcome.ts';
import type { SignIn, Tokens } from './provider-client.ts';

/** A person signed in; `family` is missing when the provider gave no refresh token. */
export interface Account {
  tokens: Tokens;
  readonly family: Family | undefined;
  /** What the last button did. */
  outcome?: Outcome;
}

export interface Session {
  readonly id: string;
  readonly csrf: string;
  /** Sign-ins under way, by state: one for each tab. */
  readonly signIns: Map<string, SignIn>;
  account?: Account;
}

export interface Sessions {
  /** The browser's session; one is begun where there is none. */
  of(ctx: Context): Session;
  /** Ends the browser's session and begins another, so that nobody keeps an id known before signing in. */
  renew(ctx: Context): Session;
}

const COOKIE = 'symbolon_demo';
const MANY = 1000;
const SIGN_INS = 8;

export function createSessions(): Sessions {
  const sessions = new Map<string, Session>();
  const began = new WeakMap<object, Session>(); // in this request, whose cookie is not theirs yet

  function begin(ctx: Context): Session {
    const session = { id: random(), csrf: random(), signIns: new Map<string, SignIn>() };
    keep(sessions, session.id, session, MANY);
    began.set(ctx.req, session);
    ctx.cookies.set(COOKIE, session.id, {
      signed: true,
      httpOnly: true,
      sameSite: 'lax',
      overwrite: true,
    });
    return session;
  }

  const idOf = (ctx: Context) => ctx.cookies.get(COOKIE, { signed: true }) ?? '';
  return {
    of: (ctx) => began.get(ctx.req) ?? sessions.get(idOf(ctx)) ?? begin(ctx),
    renew(ctx) {
      sessions.delete(idOf(ctx));
      return begin(ctx);
    },
  };
}

export function rememberSignIn(session: Session, signIn: SignIn): void {
  keep(session.signIns, signIn.state, signIn, SIGN_INS);
}

/** A sign-in is finished once: it is forgotten as it is taken. */
export function takeSignIn(session: Session, state: unknown): SignIn | undefined {
  if (typeof state !== 'string') return undefined;
  const signIn = session.signIns.get(state);
  session.signIns.delete(state);
  return signIn;
}

export function isFormToken(session: Session, presented: unknown): boolean {
  if (typeof presented !== 'string' || presented.length !== session.csrf.length) return false;
  const [given, wanted] = [Buffer.from(presented), Buffer.from(session.csrf)];
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}

function keep<Value>(map: Map<string, Value>, key: string, value: Value, most: number): void {
  const [oldest] = map.keys();
  if (map.size >= most && oldest !== undefined) map.delete(oldest);
  map.set(key, value);
}

function random(): string {
  return randomBytes(24).toString('base64url');
}
