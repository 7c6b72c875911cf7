// Mutual TLS (RFC 8705): the client's certificate comes from the provider's own listener for it, or in a header from a
// proxy that ends TLS and checks it. The header of anybody but a trusted proxy was taken away before
// (operations/request-origin.ts).
import { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { Configuration, KoaContextWithOIDC } from 'oidc-provider';
import type { Config } from '../config/config.ts';

type MutualTls = NonNullable<NonNullable<Configuration['features']>['mTLS']>;

export function mutualTls({ tlsClient, tls }: Config): MutualTls {
  if (!tlsClient && tls?.mtlsPort === undefined) return { enabled: false };
  const certificate = (ctx: KoaContextWithOIDC) =>
    isEncrypted(ctx) ? ofConnection(ctx) : tlsClient && ofHeader(ctx, tlsClient.certificate);
  return {
    enabled: true,
    certificateBoundAccessTokens: true,
    tlsClientAuth: true,
    selfSignedTlsClientAuth: true,
    getCertificate: certificate,
    certificateAuthorized: (ctx) =>
      isEncrypted(ctx)
        ? 'authorized' in ctx.socket && ctx.socket.authorized === true
        : tlsClient?.verify !== undefined && ctx.get(tlsClient.verify) === 'SUCCESS',
    certificateSubjectMatches(ctx, property, expected) {
      const given = certificate(ctx);
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

/** The endpoints of programs, by the engine's names: only these are announced at the mTLS port too (RFC 8705 §5). */
export const aliased: readonly string[] = [
  'token',
  'revocation',
  'introspection',
  'userinfo',
  'device_authorization',
  'pushed_authorization_request',
  'backchannel_authentication',
  'registration',
];

/** An endpoint's URL as the mTLS port names it. */
export function atMtlsPort({ tls }: Pick<Config, 'tls'>, url: string): string {
  const alias = new URL(url);
  alias.port = String(tls?.mtlsPort ?? '');
  return alias.href;
}

/**
 * The URL of an endpoint as the listener names it that the request came to: RFC 9449 §4.3 wants the `htu` of the request.
 *
 * @param name of the endpoint @param url with the issuer's host
 */
export function listenersUrl(config: Pick<Config, 'tls'>) {
  const port = config.tls?.mtlsPort;
  return (ctx: KoaContextWithOIDC, name: string, url: string): string =>
    port !== undefined &&
    ctx.socket.localPort === port &&
    aliased.includes(name) &&
    aliased.includes(ctx.oidc.route)
      ? atMtlsPort(config, url)
      : url;
}

// A peer that speaks TLS with us is no proxy: its headers prove nothing.
function isEncrypted({ socket }: KoaContextWithOIDC): boolean {
  return 'encrypted' in socket && socket.encrypted === true;
}

function ofConnection({ socket }: KoaContextWithOIDC): X509Certificate | undefined {
  return 'getPeerX509Certificate' in socket
    ? (socket as unknown as TLSSocket).getPeerX509Certificate()
    : undefined;
}

function ofHeader(ctx: KoaContextWithOIDC, header: string): X509Certificate | undefined {
  const value = ctx.get(header);
  if (value === '') return undefined;
  try {
    return new X509Certificate(decodeURIComponent(value));
  } catch {
    return undefined; // The proxy passed something that is no certificate: it counts as none.
  }
}

// Node writes the subject with one attribute per line, in the certificate's order; RFC 4514 separates them by commas
// and begins with the last.
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
