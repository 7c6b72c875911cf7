// The members of the engine's classes that Symbolon uses although the engine does not promise them.
import type { Seam } from './seam.ts';

interface Used extends Seam {
  /** The code that relies on it, to be adapted when it changes. */
  readonly by: string;
}

export const used: readonly Used[] = [
  {
    name: 'Client.needsSecret',
    kind: 'method',
    by: 'createOfflineProvider in provider/offline-provider.ts',
    why: 'whether the command line makes a client’s secret',
  },
  {
    name: 'Client.validate',
    kind: 'method',
    by: 'createOfflineProvider in provider/offline-provider.ts',
    why: 'the command line refuses what the engine would refuse at every request',
  },
  {
    name: 'Client.prototype.metadata',
    kind: 'method',
    by: 'createOfflineProvider in provider/offline-provider.ts',
    why: 'what is not in it, the engine does not know',
  },
  {
    name: 'Client.prototype.sectorIdentifier',
    kind: 'getter',
    by: 'sectorOf in provider/configuration.ts',
    why: 'what pairwise subjects are made for (OIDC Core §8.1)',
  },
  {
    name: 'Session.get',
    kind: 'method',
    by: 'createBrowserSession in pages/browser-session.ts',
    why: 'who is signed in, for pages of our own',
  },
  {
    name: 'Session.prototype.resetIdentifier',
    kind: 'method',
    by: 'createBrowserSession in pages/browser-session.ts',
    why: 'signing in at a page of our own gives the session another id',
  },
  {
    name: 'OIDCContext.prototype.entity',
    kind: 'method',
    by: 'readParameters in provider/engine-seams/requests.ts',
    why: 'it emits `assign.client`: from then on a refusal can be sent to the client',
  },
  {
    name: 'Provider.prototype.cookieName',
    kind: 'method',
    by: 'setSessionCookie in pages/cookies.ts',
    why: 'the name of the session’s cookie, for a sign-in at a page of our own',
  },
];
