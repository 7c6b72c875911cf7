// What the buttons do with the refresh token. Each asks the provider and tells what came of it.
import { type Family, type Generation, current, previous, receive, usedUp } from './family.ts';
import type { Exchange, Outcome } from './outcome.ts';
import type { ProviderClient } from './provider-client.ts';
import type { Account } from './sessions.ts';

export type Action = (provider: ProviderClient, account: Account) => Promise<Outcome>;

/** One rotation. */
export const refresh: Action = async (provider, account) => {
  const family = familyOf(account);
  const exchange = await send(provider, account, current(family));
  return { kind: 'refresh', exchanges: [exchange] };
};

/** Two requests with one token at the same time, as two tabs or two processes make them. */
export const refreshTwice: Action = async (provider, account) => {
  const sent = current(familyOf(account));
  const exchanges = await Promise.all([
    send(provider, account, sent),
    send(provider, account, sent),
  ]);
  return { kind: 'twice', exchanges };
};

/** Presents a used token again: one that no retry window covers, or the one just replaced if there is no other. */
export const replay: Action = async (provider, account) => {
  const family = familyOf(account);
  const old = usedUp(family) ?? previous(family);
  if (!old) return { kind: 'nothing-to-replay' };
  return present(provider, account, old);
};

/** As `replay`, but never the token just replaced: where there is no older one, it is made older first. */
export const replayOlder: Action = async (provider, account) => {
  const family = familyOf(account);
  const old = usedUp(family) ?? previous(family);
  if (!old) return { kind: 'nothing-to-replay' };
  if (usedUp(family)) return present(provider, account, old);
  const aging = await send(provider, account, current(family));
  if (aging.refusal) return { kind: 'refresh', exchanges: [aging] };
  return present(provider, account, old, aging);
};

export const userInfo: Action = async (provider, account) => {
  const reply = await provider.userInfo(account.tokens);
  if ('refusal' in reply) return { kind: 'userinfo-refused', refusal: reply.refusal };
  return { kind: 'userinfo', userInfo: reply.value };
};

async function present(
  provider: ProviderClient,
  account: Account,
  old: Generation,
  aging?: Exchange,
): Promise<Outcome> {
  const exchange = await send(provider, account, old);
  return { kind: 'replay', exchange, ...(aging && { aging }) };
}

async function send(
  provider: ProviderClient,
  account: Account,
  sent: Generation,
): Promise<Exchange> {
  const family = familyOf(account);
  const isOld = sent !== current(family);
  const reply = await provider.refresh(sent.token, account.tokens);
  if ('refusal' in reply) {
    const { refusal } = reply;
    if (errorOf(refusal.body) === 'invalid_grant') {
      family.ended ??= { refusal, replayed: isOld ? sent : undefined };
    }
    return { sent, refusal };
  }
  const token = reply.value.refreshToken ?? sent.token;
  const received = receive(family, token, new Date());
  account.tokens = { ...reply.value, refreshToken: current(family).token };
  return { sent, received };
}

function familyOf({ family }: Account): Family {
  if (!family) throw new Error('The provider gave no refresh token at this sign-in.');
  return family;
}

function errorOf(body: unknown): unknown {
  return typeof body === 'object' && body !== null && 'error' in body ? body.error : undefined;
}
