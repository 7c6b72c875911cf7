// The settings of connections, of outgoing requests, of CIBA, and of TLS.
import { z } from 'zod';
import { type Section, flag, integer, path } from './setting.ts';

const pemFile = { schema: path.optional(), wants: 'the path of a PEM file' };

const header = {
  schema: z
    .string()
    .regex(/^[A-Za-z0-9-]+$/)
    .transform((value) => value.toLowerCase())
    .optional(),
  wants: 'the name of a header',
};

export const network = {
  keepAlive: {
    variable: 'SYMBOLON_KEEP_ALIVE',
    schema: integer(1, 3600).default(75),
    wants: 'a number of seconds from 1 to 3600',
    help: 'Seconds for which an idle connection is kept. It must be longer than the proxy or balancer in front keeps its own, or that meets closed ones; 75 is above the 60 of most.',
  },
  stopDelay: {
    variable: 'SYMBOLON_STOP_DELAY',
    schema: integer(0, 300).default(2),
    wants: 'a number of seconds from 0 to 300',
    help: 'Seconds for which a process that stops goes on taking requests, while readiness says 503 and every answer ends its connection, so that proxies go elsewhere. In Kubernetes 10.',
  },
  operations: {
    port: {
      variable: 'SYMBOLON_OPERATIONS_PORT',
      schema: integer(1, 65_535).optional(),
      wants: 'a port number',
      help: 'A second port, for supervisors and operators: `/livez` and `/readyz`, which tells what is not well ([operate.md](operate.md#health)). Plain http, without authentication.',
      fallback: 'no such port',
    },
    host: {
      variable: 'SYMBOLON_OPERATIONS_HOST',
      schema: z.string().min(1).default('127.0.0.1'),
      wants: 'a host name or an IP address',
      help: 'The address that `SYMBOLON_OPERATIONS_PORT` listens on; `0.0.0.0` or `::` for every interface, in a network of operators only.',
    },
  },
  ciba: {
    variable: 'SYMBOLON_ENABLE_CIBA',
    ...flag,
    help: 'Whether clients registered with the grant `urn:openid:params:grant-type:ciba` may ask people who are not at their browser (OpenID CIBA, poll and ping); people answer at `/approve`.',
  },
  allowPrivateAddresses: {
    variable: 'SYMBOLON_ALLOW_PRIVATE_ADDRESSES',
    ...flag,
    help: 'Whether the provider’s own requests (`jwks_uri`, `sector_identifier_uri`, client id metadata documents, back-channel logout, CIBA notifications) may go to loopback and private addresses. Only where every client is trusted.',
  },
  tls: {
    cert: {
      variable: 'SYMBOLON_TLS_CERT',
      ...pemFile,
      help: 'The certificate chain of the provider’s own TLS listener, with `SYMBOLON_TLS_KEY`. Without it a TLS proxy stands in front.',
      fallback: 'plain http',
    },
    key: {
      variable: 'SYMBOLON_TLS_KEY',
      ...pemFile,
      help: 'The private key of `SYMBOLON_TLS_CERT`.',
      fallback: 'plain http',
    },
    mtlsPort: {
      variable: 'SYMBOLON_MTLS_PORT',
      schema: integer(1, 65_535).optional(),
      wants: 'a port number',
      help: 'A second TLS port that asks for client certificates (RFC 8705 §5). Switches mutual TLS on; discovery tells it in `mtls_endpoint_aliases`. Needs `SYMBOLON_TLS_CERT`.',
      fallback: 'no such port',
    },
    clientCa: {
      variable: 'SYMBOLON_TLS_CLIENT_CA',
      ...pemFile,
      help: 'The authorities whose client certificates count for `tls_client_auth` on `SYMBOLON_MTLS_PORT`.',
      fallback: 'no certificate counts as verified',
    },
  },
  tlsClient: {
    certificate: {
      variable: 'SYMBOLON_TLS_CLIENT_CERT_HEADER',
      ...header,
      help: 'The header in which the TLS proxy passes the client certificate that it has verified, as URL-encoded PEM (nginx: `$ssl_client_escaped_cert`). Switches mutual TLS on (RFC 8705). Needs `SYMBOLON_TRUST_PROXY`.',
      fallback: 'mutual TLS is off',
    },
    verify: {
      variable: 'SYMBOLON_TLS_CLIENT_VERIFY_HEADER',
      ...header,
      help: 'The header in which the TLS proxy says `SUCCESS` for a certificate from a trusted authority (nginx: `$ssl_client_verify`). Needed for `tls_client_auth`.',
      fallback: 'no certificate counts as verified',
    },
  },
} satisfies Section;
