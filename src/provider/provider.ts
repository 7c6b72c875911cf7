// The engine, configured. A Provider is immutable: other keys or settings make a new one.
import { Provider } from 'oidc-provider';
import { claimsOf } from '../storage/claims-policy.ts';
import { presentedSecret } from '../storage/client-secrets.ts';
import { nextRefreshToken } from '../storage/families/adapter.ts';
import { isFirstUse } from '../storage/replay.ts';
import { noteSecretUses } from '../storage/secret-uses.ts';
import { epoch } from '../storage/storage.ts';
import { currentUnit } from '../storage/unit-of-work.ts';
import { findAccountWith } from './account.ts';
import { admitAnonymous } from './anonymous.ts';
import { answeredLevel } from './assurance.ts';
import { claimsPolicy } from './claims.ts';
import { type ProviderParts, configuration } from './configuration.ts';
import { grantMembers } from './consent.ts';
import { crossOrigin } from './cross-origin.ts';
import { completeDiscovery } from './discovery.ts';
import { installSeams } from './engine-seams/replaced.ts';
import { registerExtraGrants } from './extra-grants.ts';
import { isGrantOf } from './grant-types.ts';
import { listenersUrl } from './mutual-tls.ts';
import { parameterReaders } from './parameters.ts';
import { answerRevocation, introspected, refuseWithReason, tellExpiry } from './refresh-answers.ts';
import { needsConsentPrompt } from './refresh-policy.ts';
import { fetchRequestObjects, referredIn } from './request-uri.ts';
import { keepFromStrangers, stayAfterSignOut } from './strangers.ts';
import { limitSecretGuesses } from './secret-guesses.ts';
import { noteActor, recordSignOut } from './actor.ts';
import { registerTokenExchange } from './token-exchange.ts';

/** Makes a provider that serves with the keys, settings and pages of `parts`. */
export function createProvider(parts: ProviderParts): Provider {
  return adapt(new Provider(parts.config.issuer, configuration(parts)), parts);
}

/** Adds what cannot be configured: replaced members, grant types, answers. @returns the same provider */
export function adapt(provider: Provider, parts: ProviderParts): Provider {
  const { config, storage, outgoing } = parts;
  const judge = limitSecretGuesses(storage);
  const noteUse = noteSecretUses(storage);
  const admit = admitAnonymous(parts);
  installSeams(provider, {
    nextRefreshToken,
    introspected,
    async isFirstUse(iss, jti, exp) {
      await admit('ReplayDetection', {});
      return isFirstUse(iss, jti, exp);
    },
    isClientSecret: ({ clientId, clientSecret }, presented) =>
      judge(clientId, () => {
        const secret = presentedSecret(clientSecret, presented, epoch(storage.now()));
        if (secret !== undefined) noteUse(clientId, secret, currentUnit().origin);
        return secret !== undefined;
      }),
    signOut: (logout, now) => outgoing.signOut(logout, now),
    grantMembers,
    origin: signedInFrom,
    now: () => epoch(storage.now()),
    assumesConsent: (client) => client !== undefined && !needsConsentPrompt(client),
    acr: answeredLevel,
    listenersUrl: listenersUrl(config),
    parameterReaders,
    referred: referredIn,
    isGrantOf,
  });
  registerExtraGrants(provider, parts);
  const claims = claimsPolicy({ baseUrl: config.baseUrl, claims: claimsOf(parts) });
  const findAccount = findAccountWith(storage, claims);
  registerTokenExchange(provider, { ...parts, findAccount });
  // A refusal by redirect has no error status.
  const refuse = () => {
    currentUnit().refuse();
  };
  provider.on('authorization.error', refuse);
  provider.on('server_error', refuse);
  recordSignOut(provider);
  keepFromStrangers(provider);
  refuseWithReason(provider);
  provider.use(noteActor);
  provider.use(stayAfterSignOut);
  provider.use(crossOrigin(config));
  provider.use(fetchRequestObjects(provider, storage, outgoing));
  provider.use(tellExpiry);
  provider.use(answerRevocation);
  provider.use(completeDiscovery(config));
  return provider;
}

// What a session keeps of the request that signed in.
function signedInFrom(): object {
  const { ip, userAgent } = currentUnit().origin;
  return { ip, userAgent };
}
