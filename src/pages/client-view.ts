// What a page may show of a relying party: its own words, and links only if they are http or https. Of one that nobody
// here vouches for (storage/strangers.ts) it says so, and where it leads.
import type { Client } from 'oidc-provider';
import type { Language } from '../languages.ts';
import { strangerAmong } from '../provider/strangers.ts';
import { clientName, hostOf, inLine, placeOf, whereabouts } from '../storage/strangers.ts';

export interface ClientView {
  readonly name: string;
  readonly logoUri?: string;
  readonly clientUri?: string;
  readonly policyUri?: string;
  readonly tosUri?: string;
  /** Set when nobody here vouches for it. */
  readonly stranger?: StrangerView;
}

/** Hosts, `localhost`, or schemes of applications. */
export interface StrangerView {
  /** Where it has the person sent now: a fact. */
  readonly leadsTo?: string;
  /** Where its redirect URIs lead, '' for nowhere: what it says itself. */
  readonly places?: string;
  /** Where it is at home for certain, '' for nowhere. */
  readonly home?: string;
  /** The host of its metadata document. */
  readonly document?: string;
}

/**
 * @param leadsTo the URI to which it has the person sent now. Without one nothing proves that a stranger's host is its
 *   own, so none of its links is shown
 */
export function presentClient(client: Client, leadsTo?: unknown): ClientView;
export function presentClient(
  client: Client | undefined,
  leadsTo?: unknown,
): ClientView | undefined;
export function presentClient(
  client: Client | undefined,
  leadsTo?: unknown,
): ClientView | undefined {
  if (!client) return undefined;
  const { clientId, logoUri, clientUri, policyUri, tosUri } = client;
  const name = clientName({ client_id: clientId, client_name: client.clientName });
  const links = web({ logoUri, clientUri, policyUri, tosUri });
  const stranger = strangerAmong(client);
  if (!stranger) return { name, ...links };
  const { document } = stranger;
  const described = document === undefined ? {} : { document };
  if (typeof leadsTo !== 'string') {
    // Of who needs no redirect nothing ever shows where it leads: this is only what it says.
    const places = inLine(stranger.places);
    return { name, stranger: { places, home: whereabouts(stranger), ...described } };
  }
  const own = new Set([
    hostOf({ redirect_uris: client.redirectUris }),
    document === undefined ? undefined : URL.parse(clientId)?.hostname,
  ]);
  return {
    name,
    ...Object.fromEntries(
      Object.entries(links).filter(([, link]) => own.has(URL.parse(link)?.hostname)),
    ),
    stranger: { leadsTo: placeOf(leadsTo), ...described },
  };
}

/** An application's name in a sentence; of a stranger it says that it is one. */
export function clientInWords(
  { t }: Pick<Language, 't'>,
  { name, stranger }: Pick<ClientView, 'name' | 'stranger'>,
): string {
  if (!stranger) return name;
  const hosts = stranger.leadsTo ?? stranger.home ?? '';
  return hosts === ''
    ? t('client.stranger-nowhere', { client: name })
    : t('client.stranger', { client: name, hosts });
}

function web(links: Record<string, string | undefined>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(links).filter(
      (entry): entry is [string, string] =>
        entry[1] !== undefined && /^https?:$/.test(URL.parse(entry[1])?.protocol ?? ''),
    ),
  );
}
