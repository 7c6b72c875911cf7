// Mutual TLS behind a proxy (RFC 8705): the proxy ends TLS, checks the client's certificate and passes it in a
// header. The header is believed only because SYMBOLON_TRUST_PROXY says that a proxy sets it.
import { X509Certificate } from 'node:crypto';
import type { Configuration, KoaContextWithOIDC } from 'oidc-provider';
import type { Config } from '../config.ts';

type MutualTls = NonNullable<NonNullable<Configuration['features']>['mTLS']>;

export function mutualTls({ tlsClient }: Config): MutualTls {
  if (!tlsClient) return { enabled: false };
  return {
    enabled: true,
    certificateBoundAccessTokens: true,
    tlsClientAuth: true,
    selfSignedTlsClientAuth: true,
    getCertificate: (ctx) => certificate(ctx, tlsClient.certificate),
    certificateAuthorized: (ctx) =>
      tlsClient.verify !== undefined && ctx.get(tlsClient.verify) === 'SUCCESS',
    certificateSubjectMatches(ctx, property, expected) {
      const given = certificate(ctx, tlsClient.certificate);
      if (!given) return false;
      switch (property) {
        case 'tls_client_auth_subject_dn':
          return distinguishedName(given.subject) === distinguishedName(expected);
        case 'tls_client_auth_san_dns':
          return alternativeNames(given, 'DNS').includes(expected);
        case 'tls_client_auth_san_ip':
          return alternativeNames(given, 'IP Address').includes(expected);
        case 'tls_client_auth_san_email':
          return alternativeNames(given, 'email').includes(expected);
        case 'tls_client_auth_san_uri':
          return alternativeNames(given, 'URI').includes(expected);
        default:
          return false;
      }
    },
  };
}

function certificate(ctx: KoaContextWithOIDC, header: string): X509Certificate | undefined {
  const value = ctx.get(header);
  if (value === '') return undefined;
  try {
    return new X509Certificate(decodeURIComponent(value));
  } catch {
    return undefined; // What the proxy passed is no certificate: as good as none.
  }
}

// Node gives the subject a line an attribute in the certificate's order; RFC 4514 separates with commas and begins
// with the last.
function distinguishedName(name: string): string {
  const parts = name.includes('\n') ? name.split('\n').reverse() : name.split(/(?<!\\),/);
  return parts.map((part) => part.trim()).join(',');
}

function alternativeNames({ subjectAltName = '' }: X509Certificate, kind: string): string[] {
  return subjectAltName
    .split(', ')
    .filter((name) => name.startsWith(`${kind}:`))
    .map((name) => name.slice(kind.length + 1));
}
