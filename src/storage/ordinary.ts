// The ordinary writes, which one statement does (fast/): a rotation, the exchange of a code, a code for a person who is
// signed in. Pure functions decide what is ordinary. Each takes the kinds that its statement writes, by name; a
// kind that it does not name makes the write not ordinary. So no write is ever lost.
import { artifactId, issuedArtifact, lineOf, sealedArtifact } from './artifacts.ts';
import type { AuthorizeWrite, ExchangeWrite, RefreshWrite } from './fast/writes.ts';
import type { Keyring } from '../keys/keyring.ts';
import type { Occasion } from './origin.ts';
import type { Storage } from './storage.ts';
import { type Writes, isEmpty } from './writes.ts';

/**
 * Does an ordinary write.
 *
 * @returns whether it was done; if not, nothing was written: it is not ordinary, or another request was first
 */
export async function doOrdinary(
  { fast, keyring }: Storage,
  writes: Writes,
  occasion: Occasion,
): Promise<boolean> {
  const refresh = ordinaryRefresh(writes, keyring, occasion);
  if (refresh) return fast.rotate(refresh);
  const exchange = ordinaryExchange(writes, keyring, occasion);
  if (exchange) return fast.exchange(exchange);
  const authorization = ordinaryAuthorization(writes, keyring);
  if (authorization) return fast.authorize(authorization);
  return false;
}

/** A rotation, with its access token if that is opaque. */
export function ordinaryRefresh(
  { family, saves, ...others }: Writes,
  keyring: Keyring,
  occasion: Occasion,
): RefreshWrite | undefined {
  const [token, ...more] = saves;
  if (!isEmpty(others) || more.length > 0 || (token && token.model !== 'AccessToken'))
    return undefined;
  if (family?.kind !== 'spent' || family.verdict !== 'rotate') return undefined;
  const { next } = family;
  if (!next || family.family.grantId === null) return undefined;
  return { presented: family, next, issued: token && issuedArtifact(keyring, token), ...occasion };
}

/** A code that is spent, with what is issued for it: an opaque access token, a new family. */
export function ordinaryExchange(
  { spendings, saves, family, ...others }: Writes,
  keyring: Keyring,
  occasion: Occasion,
): ExchangeWrite | undefined {
  const [code, ...moreCodes] = spendings;
  const [token, ...more] = saves;
  if (!isEmpty(others) || moreCodes.length > 0 || more.length > 0) return undefined;
  if (code?.model !== 'AuthorizationCode' || code.grantId === undefined) return undefined;
  const { grantId } = code;
  if (family && (family.kind !== 'started' || family.maxFamilies !== undefined)) return undefined;
  if (family && family.payload.grantId !== grantId) return undefined;
  if (token && (token.model !== 'AccessToken' || token.payload.grantId !== grantId))
    return undefined;
  return {
    code: artifactId(code.model, code.id),
    line: family?.token.familyId ?? lineOf(code.model, code.id),
    grantId,
    issued: token && issuedArtifact(keyring, token),
    start: family,
    ...occasion,
  };
}

/** A code for a person who is signed in, with their session as it is now. */
export function ordinaryAuthorization(
  { saves, ...others }: Writes,
  keyring: Keyring,
): AuthorizeWrite | undefined {
  if (!isEmpty(others) || saves.length !== 2) return undefined;
  const code = saves.find(({ model }) => model === 'AuthorizationCode');
  const session = saves.find(({ model, wasFound }) => model === 'Session' && wasFound);
  if (!code || !session || code.payload.grantId === undefined) return undefined;
  return {
    session: sealedArtifact(keyring, session),
    code: issuedArtifact(keyring, code),
    grantId: code.payload.grantId,
  };
}
