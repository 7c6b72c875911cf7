// What a page may show of a relying party: its own words, and links only if they are http or https.
import type { Client } from 'oidc-provider';

export interface ClientView {
  readonly name: string;
  readonly logoUri?: string;
  readonly clientUri?: string;
  readonly policyUri?: string;
  readonly tosUri?: string;
}

export function presentClient(client: Client): ClientView;
export function presentClient(client: Client | undefined): ClientView | undefined;
export function presentClient(client: Client | undefined): ClientView | undefined {
  if (!client) return undefined;
  const { clientId, clientName, logoUri, clientUri, policyUri, tosUri } = client;
  return { name: clientName ?? clientId, ...web({ logoUri, clientUri, policyUri, tosUri }) };
}

function web(links: Record<string, string | undefined>): object {
  return Object.fromEntries(
    Object.entries(links).filter(
      ([, link]) => link !== undefined && /^https?:$/.test(URL.parse(link)?.protocol ?? ''),
    ),
  );
}
