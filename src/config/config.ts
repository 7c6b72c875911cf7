// Every setting of Symbolon, declared once: its name, type, default and a line of help. This is the
// only file that reads the environment; docs/configuration.md is made from `settings`.
import { existsSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { z } from 'zod';
import { type ClaimsConfig, readClaimsFile } from './claims.ts';
import { loadLanguages } from '../languages.ts';
import { type Logo, type Theme, complaintAbout, lighter, readLogo } from './theme.ts';

interface Setting {
  /** What a value must look like, in words: the end of the sentence "it wants …". */
  readonly wants: string;
  readonly help: string;
  readonly schema: z.ZodType;
  /** The default in words, where it is not a fixed value. */
  readonly fallback?: string;
  /** Whether a bad value must not be repeated in the error message. */
  readonly secret?: boolean;
}

const integer = (min: number, max: number) =>
  z.string().regex(/^\d+$/).transform(Number).pipe(z.number().int().min(min).max(max));

const seconds = (fallback: number, min = 1) => integer(min, 3_155_760_000).default(fallback);

const boolean = z
  .enum(['true', 'false', '1', '0'])
  .transform((value) => value === 'true' || value === '1');

const issuer = z
  .url({ protocol: /^https?$/ })
  .refine((value) => {
    const url = URL.parse(value);
    return (
      url !== null &&
      !url.search &&
      !url.hash &&
      !url.username &&
      !value.endsWith('?') &&
      !value.endsWith('#')
    );
  })
  .transform((value) => value.replace(/\/+$/, ''));

const secrets = z
  .string()
  .transform((value) => value.split(',').map((secret) => secret.trim()))
  .pipe(z.array(z.string().refine((secret) => Buffer.byteLength(secret) >= 32)).min(1));

const color = z
  .string()
  .regex(/^#[0-9a-f]{6}$/i)
  .transform((value) => value.toLowerCase());

const link = z.url({ protocol: /^(https?|mailto)$/ });

export const settings = {
  PORT: {
    schema: integer(0, 65_535).default(3000),
    wants: 'a port number from 0 to 65535',
    help: 'The port that the provider listens on.',
  },
  HOST: {
    schema: z.string().min(1).default('localhost'),
    wants: 'a host name or an IP address',
    help: 'The address that the provider listens on; `0.0.0.0` or `::` for every interface.',
  },
  NODE_ENV: {
    schema: z.enum(['development', 'production', 'test']).default('development'),
    wants: '`development`, `production` or `test`',
    help: 'In `production`, an issuer on plain http is refused unless it is a loopback address.',
  },
  LOG_LEVEL: {
    schema: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
    wants: '`fatal`, `error`, `warn`, `info`, `debug`, `trace` or `silent`',
    help: 'How much is logged, as JSON lines on standard output.',
  },
  DATABASE_URL: {
    schema: z.url({ protocol: /^postgres(ql)?$/ }).optional(),
    wants: 'a URL like `postgresql://user:password@host:5432/database`',
    help: 'The PostgreSQL server to use. Without it, Symbolon runs a PostgreSQL of its own in the data folder.',
    fallback: 'an embedded PostgreSQL in the data folder',
    secret: true,
  },
  SYMBOLON_ISSUER: {
    schema: issuer.optional(),
    wants: 'an http or https URL without query and fragment',
    help: 'The issuer identifier: the URL at which relying parties and people reach the provider. It may have a path.',
    fallback: '`http://localhost:<PORT>`',
  },
  SYMBOLON_DATA_DIR: {
    schema: z.string().min(1).default('.symbolon'),
    wants: 'the path of a folder',
    help: 'Where the embedded PostgreSQL and the secret made for it are kept. Unused with a `DATABASE_URL`.',
  },
  SYMBOLON_SECRET: {
    schema: secrets.optional(),
    wants:
      'one or more secrets of at least 32 bytes each, separated by commas (`openssl rand -base64 32` makes one)',
    help: 'What sealed data, cookies and refresh tokens are protected with. The first is used for new things, the others are still accepted. Required with a `DATABASE_URL`.',
    fallback: 'made at the first start and kept in the data folder',
    secret: true,
  },
  SYMBOLON_TRUST_PROXY: {
    schema: boolean.default(false),
    wants: '`true` or `false`',
    help: 'Whether `X-Forwarded-*` headers are believed. Only behind a proxy that sets them itself.',
  },
  SYMBOLON_SMTP_URL: {
    schema: z.url({ protocol: /^smtps?$/ }).optional(),
    wants: 'a URL like `smtp://user:password@mail.example.com:587` or `smtps://…:465`',
    help: 'The SMTP server that takes mails to people. `smtp` turns to TLS where the server offers STARTTLS; `?requireTLS=true` insists on it. See [Mail](mail.md).',
    fallback:
      'in development mails are printed on standard output; in production there are none, and what needs them is off',
    secret: true,
  },
  SYMBOLON_MAIL_FROM: {
    schema: z
      .string()
      .regex(/^(?:[^<>@\p{C}]+<[^\s<>@,;]+@[^\s<>@,;]+>|[^\s<>@,;]+@[^\s<>@,;]+)$/u)
      .optional(),
    wants: 'an e-mail address, or `Name <address>`',
    help: 'Who mails come from.',
    fallback: '`no-reply@` and the host of the issuer',
  },
  SYMBOLON_SIGN_UP: {
    schema: z.enum(['closed', 'invitation', 'open']).default('closed'),
    wants: '`closed`, `invitation` or `open`',
    help: 'How people come to an account: added by administrators only, or also by invitation (`symbolon user invite`), or also by themselves at `/sign-up`. See [Accounts](accounts.md). (`SYMBOLON_REGISTRATION` is about clients.)',
  },
  SYMBOLON_ACCESS_TOKEN_TTL: {
    schema: seconds(600),
    wants: 'a number of seconds',
    help: 'How long an access token lives.',
  },
  SYMBOLON_ID_TOKEN_TTL: {
    schema: seconds(600),
    wants: 'a number of seconds',
    help: 'How long an ID token is valid.',
  },
  SYMBOLON_SESSION_TTL: {
    schema: seconds(1_209_600),
    wants: 'a number of seconds',
    help: 'How long a person stays signed in to the provider in one browser, since the last sign-in to an application.',
  },
  SYMBOLON_REFRESH_TOKEN_IDLE_TTL: {
    schema: seconds(2_592_000),
    wants: 'a number of seconds',
    help: 'How long a refresh-token family lives since its last use. A client may have its own: `refresh_token_idle_ttl`.',
  },
  SYMBOLON_REFRESH_TOKEN_ABSOLUTE_TTL: {
    schema: seconds(31_536_000),
    wants: 'a number of seconds',
    help: 'How long a refresh-token family lives since it was first issued. A client may have its own: `refresh_token_absolute_ttl`.',
  },
  SYMBOLON_REFRESH_TOKEN_RETRY_WINDOW: {
    schema: integer(0, 86_400).default(60),
    wants: 'a number of seconds from 0 (off) to 86400',
    help: 'How long the refresh token just used is answered with the same successor again, so that a lost response signs nobody out; for public clients whose token is not bound to a key. A client may have its own: `refresh_token_retry_window`.',
  },
  SYMBOLON_REFRESH_TOKEN_BOUND_RETRY_WINDOW: {
    schema: integer(0, 86_400).default(3600),
    wants: 'a number of seconds from 0 (off) to 86400',
    help: 'The same for clients that authenticate and for tokens bound to a key: there the token alone is worth nothing to a thief. A client may have its own: `refresh_token_retry_window`.',
  },
  SYMBOLON_REFRESH_TOKEN_ROTATION: {
    schema: z.enum(['always', 'unless_sender_constrained', 'never']).default('always'),
    wants: '`always`, `unless_sender_constrained` or `never`',
    help: 'Whether a use replaces the refresh token. A client may have its own: `refresh_token_rotation`.',
  },
  SYMBOLON_REFRESH_TOKEN_ON_REUSE: {
    schema: z.enum(['revoke_grant', 'revoke_family']).default('revoke_grant'),
    wants: '`revoke_grant` or `revoke_family`',
    help: 'What a used-up refresh token ends: its grant with everything issued from it, or its family alone. A client may have its own: `refresh_token_on_reuse`.',
  },
  SYMBOLON_REFRESH_TOKEN_MAX_FAMILIES: {
    schema: integer(1, 10_000).optional(),
    wants: 'a number from 1 to 10000',
    help: 'How many living families a person may have with one client; the oldest ends for the next. A client may have its own: `refresh_token_max_families`.',
    fallback: 'no limit',
  },
  SYMBOLON_REFRESH_TOKEN_RETENTION: {
    schema: seconds(7_776_000, 0),
    wants: 'a number of seconds',
    help: 'How long a family stays explainable after its absolute end; then the sweep takes it.',
  },
  SYMBOLON_END_FAMILIES_ON: {
    schema: z
      .string()
      .default('password_changed,account_locked')
      .transform((value) => value.split(',').map((event) => event.trim()))
      .pipe(z.array(z.enum(['password_changed', 'account_locked', 'none']))),
    wants: '`password_changed`, `account_locked`, both separated by a comma, or `none`',
    help: 'What ends all refresh-token families of a person. “Sign out everywhere” always does.',
  },
  SYMBOLON_ENABLE_JWT_BEARER_GRANT: {
    schema: boolean.default(false),
    wants: '`true` or `false`',
    help: 'Whether clients registered with the grant `urn:ietf:params:oauth:grant-type:jwt-bearer` may use it (RFC 7523 §2.1).',
  },
  SYMBOLON_ENABLE_PASSWORD_GRANT: {
    schema: boolean.default(false),
    wants: '`true` or `false`',
    help: 'Whether clients registered with the grant `password` may use it. RFC 9700 §2.4: it MUST NOT be used. For migrations only.',
  },
  SYMBOLON_ENABLE_TOKEN_EXCHANGE: {
    schema: boolean.default(false),
    wants: '`true` or `false`',
    help: 'Whether clients registered with the grant `urn:ietf:params:oauth:grant-type:token-exchange` may use it (RFC 8693), as their metadata allows.',
  },
  SYMBOLON_REGISTRATION: {
    schema: z.enum(['off', 'token', 'open']).default('off'),
    wants: '`off`, `token` or `open`',
    help: 'Who may register clients at `/register` (RFC 7591): nobody, whoever has an initial access token (`symbolon client invite`), or anybody.',
  },
  SYMBOLON_ENABLE_CLIENT_ID_METADATA_DOCUMENTS: {
    schema: boolean.default(false),
    wants: '`true` or `false`',
    help: 'Whether a client may be an https URL at which its metadata is found (OAuth Client ID Metadata Document, draft 02).',
  },
  SYMBOLON_ENABLE_ENCRYPTION: {
    schema: boolean.default(false),
    wants: '`true` or `false`',
    help: 'Whether clients may have ID tokens and other signed answers encrypted for their keys.',
  },
  SYMBOLON_AUTHORIZATION_DETAILS_TYPES: {
    schema: z
      .string()
      .regex(/^[\w:./-]+(,[\w:./-]+)*$/)
      .transform((value) => value.split(','))
      .optional(),
    wants: 'names separated by commas',
    help: 'The types of rich authorization requests that clients may make (RFC 9396); the consent page shows what is asked for.',
    fallback: 'rich authorization requests are off',
  },
  SYMBOLON_REQUIRE_PKCE: {
    schema: boolean.default(false),
    wants: '`true` or `false`',
    help: 'Whether every client must use PKCE (RFC 7636); public clients always must.',
  },
  SYMBOLON_KEY_ROTATION_DAYS: {
    schema: integer(1, 3650).default(90),
    wants: 'a number of days from 1 to 3650',
    help: 'How long a key signs before the next one does.',
  },
  SYMBOLON_CLAIMS_FILE: {
    schema: z.string().min(1).optional(),
    wants: 'the path of a file',
    help: 'A JSON file with scopes and claims of your own, and with what goes into tokens; see [Claims](clients.md#claims-and-scopes-of-your-own).',
    fallback: 'the standard claims only',
  },
  SYMBOLON_NAME: {
    schema: z.string().trim().min(1).max(60).default('Symbolon'),
    wants: 'a name of at most 60 characters',
    help: 'What the provider calls itself on its pages; see [How it looks](look.md).',
  },
  SYMBOLON_LOGO: {
    schema: z
      .string()
      .regex(/\.(svg|png)$/i)
      .optional(),
    wants: 'the path of an SVG or PNG file',
    help: 'The logo above every page.',
    fallback: 'Symbolon’s own',
  },
  SYMBOLON_ACCENT_COLOR: {
    schema: color.optional(),
    wants: 'a colour like `#17594a`',
    help: 'The colour of buttons and links on light pages. It must be told from the page: a contrast of 4.5:1 at least (WCAG 2.2, 1.4.3).',
    fallback: 'Symbolon’s own',
  },
  SYMBOLON_ACCENT_COLOR_DARK: {
    schema: color.optional(),
    wants: 'a colour like `#8fd3bd`',
    help: 'The same on dark pages.',
    fallback: 'made lighter from `SYMBOLON_ACCENT_COLOR`, if that is set',
  },
  SYMBOLON_SUPPORT_URL: {
    schema: link.optional(),
    wants: 'an https, http or mailto URL',
    help: 'Where people find help; a link at the foot of every page.',
    fallback: 'no link',
  },
  SYMBOLON_PRIVACY_URL: {
    schema: link.optional(),
    wants: 'an https, http or mailto URL',
    help: 'The privacy policy; a link at the foot of every page.',
    fallback: 'no link',
  },
  SYMBOLON_TERMS_URL: {
    schema: link.optional(),
    wants: 'an https, http or mailto URL',
    help: 'The terms of use; a link at the foot of every page.',
    fallback: 'no link',
  },
  SYMBOLON_VIEWS_DIR: {
    schema: z.string().min(1).optional(),
    wants: 'the path of a folder',
    help: 'A folder whose templates and messages replace those of the same name; see [How it looks](look.md).',
    fallback: 'none is replaced',
  },
  SYMBOLON_ENABLE_CIBA: {
    schema: boolean.default(false),
    wants: '`true` or `false`',
    help: 'Whether clients registered with the grant `urn:openid:params:grant-type:ciba` may ask people who are not at their browser (OpenID CIBA, poll and ping); people answer at `/approve`.',
  },
  SYMBOLON_ALLOW_PRIVATE_ADDRESSES: {
    schema: boolean.default(false),
    wants: '`true` or `false`',
    help: 'Whether the provider’s own requests (`jwks_uri`, back-channel logout, CIBA notifications) may go to loopback and private addresses. Only where every client is trusted.',
  },
  SYMBOLON_TLS_CERT: {
    schema: z.string().min(1).optional(),
    wants: 'the path of a PEM file',
    help: 'The certificate chain of the provider’s own TLS listener, with `SYMBOLON_TLS_KEY`. Without it a TLS proxy stands in front.',
    fallback: 'plain http',
  },
  SYMBOLON_TLS_KEY: {
    schema: z.string().min(1).optional(),
    wants: 'the path of a PEM file',
    help: 'The private key of `SYMBOLON_TLS_CERT`.',
    fallback: 'plain http',
  },
  SYMBOLON_MTLS_PORT: {
    schema: integer(1, 65_535).optional(),
    wants: 'a port number',
    help: 'A second TLS port that asks for client certificates (RFC 8705 §5). Switches mutual TLS on; discovery tells it in `mtls_endpoint_aliases`. Needs `SYMBOLON_TLS_CERT`.',
    fallback: 'no such port',
  },
  SYMBOLON_TLS_CLIENT_CA: {
    schema: z.string().min(1).optional(),
    wants: 'the path of a PEM file',
    help: 'The authorities whose client certificates count for `tls_client_auth` on `SYMBOLON_MTLS_PORT`.',
    fallback: 'no certificate counts as verified',
  },
  SYMBOLON_TLS_CLIENT_CERT_HEADER: {
    schema: z
      .string()
      .regex(/^[A-Za-z0-9-]+$/)
      .transform((value) => value.toLowerCase())
      .optional(),
    wants: 'the name of a header',
    help: 'The header in which the TLS proxy passes the client certificate that it has verified, as URL-encoded PEM (nginx: `$ssl_client_escaped_cert`). Switches mutual TLS on (RFC 8705). Needs `SYMBOLON_TRUST_PROXY`.',
    fallback: 'mutual TLS is off',
  },
  SYMBOLON_TLS_CLIENT_VERIFY_HEADER: {
    schema: z
      .string()
      .regex(/^[A-Za-z0-9-]+$/)
      .transform((value) => value.toLowerCase())
      .optional(),
    wants: 'the name of a header',
    help: 'The header in which the TLS proxy says `SUCCESS` for a certificate from a trusted authority (nginx: `$ssl_client_verify`). Needed for `tls_client_auth`.',
    fallback: 'no certificate counts as verified',
  },
} as const satisfies Record<string, Setting>;

export type Environment = Readonly<Record<string, string | undefined>>;

/** The settings of one process. Lifetimes are in seconds. */
export interface Config {
  readonly port: number;
  readonly host: string;
  readonly production: boolean;
  readonly logLevel: string;
  readonly issuer: string;
  /** The path of the issuer without a slash at its end; empty for none. */
  readonly basePath: string;
  /** Undefined: the embedded PostgreSQL in `dataDir`. */
  readonly databaseUrl: string | undefined;
  /** Absolute path. */
  readonly dataDir: string;
  /** Undefined: made and kept in `dataDir`. */
  readonly secrets: readonly string[] | undefined;
  readonly trustProxy: boolean;
  readonly mail: {
    /** `print`: on standard output, in development. */
    readonly mode: 'smtp' | 'print' | 'off';
    readonly smtpUrl: string | undefined;
    readonly from: string;
  };
  /** How people come to an account. */
  readonly signUp: 'closed' | 'invitation' | 'open';
  readonly ttl: {
    readonly accessToken: number;
    readonly idToken: number;
    readonly session: number;
    readonly refreshTokenIdle: number;
    readonly refreshTokenAbsolute: number;
    readonly refreshTokenRetryWindow: number;
    readonly refreshTokenBoundRetryWindow: number;
    readonly refreshTokenRetention: number;
  };
  /** What a client without a rule of its own gets. */
  readonly refreshToken: {
    readonly rotation: 'always' | 'unless_sender_constrained' | 'never';
    readonly onReuse: 'revoke_grant' | 'revoke_family';
    readonly maxFamilies: number | undefined;
  };
  /** What ends all families of a person. */
  readonly endFamiliesOn: readonly string[];
  readonly jwtBearerGrant: boolean;
  readonly passwordGrant: boolean;
  readonly ciba: boolean;
  readonly tokenExchange: boolean;
  readonly registration: 'off' | 'token' | 'open';
  readonly clientIdMetadataDocuments: boolean;
  readonly encryption: boolean;
  readonly authorizationDetailsTypes: readonly string[];
  readonly requirePkce: boolean;
  readonly keyRotationDays: number;
  readonly claims: ClaimsConfig;
  readonly theme: Theme;
  /** The provider's own TLS listeners: paths of PEM files. */
  readonly tls:
    | {
        readonly cert: string;
        readonly key: string;
        readonly mtlsPort: number | undefined;
        readonly clientCa: string | undefined;
      }
    | undefined;
  readonly allowPrivateAddresses: boolean;
  /** The headers of the TLS proxy; lower case. */
  readonly tlsClient:
    { readonly certificate: string; readonly verify: string | undefined } | undefined;
}

/** The environment holds values that Symbolon cannot start with; one line per mistake. */
export class ConfigError extends Error {
  readonly mistakes: readonly string[];

  constructor(mistakes: readonly string[]) {
    super(
      `Symbolon cannot start with these settings:\n${mistakes.map((line) => `  ${line}`).join('\n')}`,
    );
    this.name = 'ConfigError';
    this.mistakes = mistakes;
  }
}

type Values = {
  -readonly [Name in keyof typeof settings]: z.output<(typeof settings)[Name]['schema']>;
};

/**
 * Reads the settings from an environment. A variable that is set to an empty string counts as not set.
 *
 * @param environment names and values, as `process.env` has them
 * @returns the settings, complete with defaults
 * @throws {ConfigError} with one line for every variable that is wrong
 */
export function readConfig(environment: Environment): Config {
  const mistakes: string[] = [];
  const values: Record<string, unknown> = {};
  for (const [name, setting] of Object.entries<Setting>(settings)) {
    const given = environment[name] === '' ? undefined : environment[name];
    const result = setting.schema.safeParse(given);
    if (result.success) values[name] = result.data;
    else mistakes.push(`${name}: got ${shown(given, setting)}, wants ${setting.wants}`);
  }
  if (mistakes.length > 0) throw new ConfigError(mistakes);

  const value = values as Values;
  const address = value.SYMBOLON_ISSUER ?? `http://localhost:${value.PORT}`;
  const production = value.NODE_ENV === 'production';
  if (production && !isSecure(address)) {
    mistakes.push(
      `SYMBOLON_ISSUER: got "${address}", wants an https URL (NODE_ENV is production, and tokens on plain http can be read by anyone on the way)`,
    );
  }
  if (value.DATABASE_URL !== undefined && value.SYMBOLON_SECRET === undefined) {
    mistakes.push(
      `SYMBOLON_SECRET: got nothing, wants ${settings.SYMBOLON_SECRET.wants}, since every process on DATABASE_URL must have the same`,
    );
  }
  if (value.SYMBOLON_TLS_CLIENT_CERT_HEADER !== undefined && !value.SYMBOLON_TRUST_PROXY) {
    mistakes.push(
      'SYMBOLON_TRUST_PROXY: got "false", wants `true`, since SYMBOLON_TLS_CLIENT_CERT_HEADER is believed only from a proxy',
    );
  }
  if (production && value.SYMBOLON_SIGN_UP === 'open' && value.SYMBOLON_SMTP_URL === undefined) {
    mistakes.push(
      `SYMBOLON_SMTP_URL: got nothing, wants ${settings.SYMBOLON_SMTP_URL.wants}, since SYMBOLON_SIGN_UP is open and addresses are confirmed by mail`,
    );
  }
  const { SYMBOLON_TLS_CERT: cert, SYMBOLON_TLS_KEY: key } = value;
  if ((cert === undefined) !== (key === undefined)) {
    const [missing, given] =
      cert === undefined
        ? ['SYMBOLON_TLS_CERT', 'SYMBOLON_TLS_KEY']
        : ['SYMBOLON_TLS_KEY', 'SYMBOLON_TLS_CERT'];
    mistakes.push(`${missing}: got nothing, wants the path of a PEM file, since ${given} is set`);
  }
  if (value.SYMBOLON_MTLS_PORT !== undefined && cert === undefined) {
    mistakes.push(
      'SYMBOLON_TLS_CERT: got nothing, wants the path of a PEM file, since SYMBOLON_MTLS_PORT is set',
    );
  }
  let claims: ClaimsConfig = { scopes: {}, access_token: [], id_token: [] };
  try {
    if (value.SYMBOLON_CLAIMS_FILE !== undefined)
      claims = readClaimsFile(value.SYMBOLON_CLAIMS_FILE);
  } catch (error) {
    mistakes.push(
      `SYMBOLON_CLAIMS_FILE: got "${value.SYMBOLON_CLAIMS_FILE}", wants a file as docs/clients.md describes it (${(error as Error).message})`,
    );
  }
  const theme = themeOf(value, mistakes);
  if (mistakes.length > 0) throw new ConfigError(mistakes);

  return {
    port: value.PORT,
    host: value.HOST,
    production,
    logLevel: value.LOG_LEVEL,
    issuer: address,
    basePath: new URL(address).pathname.replace(/\/$/, ''),
    databaseUrl: value.DATABASE_URL,
    dataDir: resolve(value.SYMBOLON_DATA_DIR),
    secrets: value.SYMBOLON_SECRET,
    trustProxy: value.SYMBOLON_TRUST_PROXY,
    mail: {
      mode: value.SYMBOLON_SMTP_URL !== undefined ? 'smtp' : production ? 'off' : 'print',
      smtpUrl: value.SYMBOLON_SMTP_URL,
      from: value.SYMBOLON_MAIL_FROM ?? `no-reply@${new URL(address).hostname}`,
    },
    signUp: value.SYMBOLON_SIGN_UP,
    ttl: {
      accessToken: value.SYMBOLON_ACCESS_TOKEN_TTL,
      idToken: value.SYMBOLON_ID_TOKEN_TTL,
      session: value.SYMBOLON_SESSION_TTL,
      refreshTokenIdle: value.SYMBOLON_REFRESH_TOKEN_IDLE_TTL,
      refreshTokenAbsolute: value.SYMBOLON_REFRESH_TOKEN_ABSOLUTE_TTL,
      refreshTokenRetryWindow: value.SYMBOLON_REFRESH_TOKEN_RETRY_WINDOW,
      refreshTokenBoundRetryWindow: value.SYMBOLON_REFRESH_TOKEN_BOUND_RETRY_WINDOW,
      refreshTokenRetention: value.SYMBOLON_REFRESH_TOKEN_RETENTION,
    },
    refreshToken: {
      rotation: value.SYMBOLON_REFRESH_TOKEN_ROTATION,
      onReuse: value.SYMBOLON_REFRESH_TOKEN_ON_REUSE,
      maxFamilies: value.SYMBOLON_REFRESH_TOKEN_MAX_FAMILIES,
    },
    endFamiliesOn: value.SYMBOLON_END_FAMILIES_ON,
    jwtBearerGrant: value.SYMBOLON_ENABLE_JWT_BEARER_GRANT,
    passwordGrant: value.SYMBOLON_ENABLE_PASSWORD_GRANT,
    ciba: value.SYMBOLON_ENABLE_CIBA,
    tokenExchange: value.SYMBOLON_ENABLE_TOKEN_EXCHANGE,
    registration: value.SYMBOLON_REGISTRATION,
    clientIdMetadataDocuments: value.SYMBOLON_ENABLE_CLIENT_ID_METADATA_DOCUMENTS,
    encryption: value.SYMBOLON_ENABLE_ENCRYPTION,
    authorizationDetailsTypes: value.SYMBOLON_AUTHORIZATION_DETAILS_TYPES ?? [],
    requirePkce: value.SYMBOLON_REQUIRE_PKCE,
    keyRotationDays: value.SYMBOLON_KEY_ROTATION_DAYS,
    claims,
    theme,
    tls:
      value.SYMBOLON_TLS_CERT === undefined || value.SYMBOLON_TLS_KEY === undefined
        ? undefined
        : {
            cert: resolve(value.SYMBOLON_TLS_CERT),
            key: resolve(value.SYMBOLON_TLS_KEY),
            mtlsPort: value.SYMBOLON_MTLS_PORT,
            clientCa:
              value.SYMBOLON_TLS_CLIENT_CA === undefined
                ? undefined
                : resolve(value.SYMBOLON_TLS_CLIENT_CA),
          },
    allowPrivateAddresses: value.SYMBOLON_ALLOW_PRIVATE_ADDRESSES,
    tlsClient:
      value.SYMBOLON_TLS_CLIENT_CERT_HEADER === undefined
        ? undefined
        : {
            certificate: value.SYMBOLON_TLS_CLIENT_CERT_HEADER,
            verify: value.SYMBOLON_TLS_CLIENT_VERIFY_HEADER,
          },
  };
}

/** How the pages look. What is wrong is added to the mistakes. */
function themeOf(value: Values, mistakes: string[]): Theme {
  const { SYMBOLON_ACCENT_COLOR: light, SYMBOLON_ACCENT_COLOR_DARK: dark } = value;
  for (const [name, color, scheme] of [
    ['SYMBOLON_ACCENT_COLOR', light, 'light'],
    ['SYMBOLON_ACCENT_COLOR_DARK', dark, 'dark'],
  ] as const) {
    const complaint = color === undefined ? undefined : complaintAbout(color, scheme);
    if (complaint !== undefined) mistakes.push(`${name}: got "${color}", wants ${complaint}`);
  }
  let logo: Logo | undefined;
  const { SYMBOLON_LOGO: picture, SYMBOLON_VIEWS_DIR: folder } = value;
  try {
    if (picture !== undefined) logo = readLogo(picture);
  } catch (error) {
    mistakes.push(
      `SYMBOLON_LOGO: got "${picture}", wants ${settings.SYMBOLON_LOGO.wants} (${(error as Error).message})`,
    );
  }
  const views = folder === undefined ? undefined : resolve(folder);
  try {
    if (views !== undefined && !statSync(views).isDirectory()) throw new Error('it is no folder');
    loadLanguages(views);
  } catch (error) {
    mistakes.push(
      `SYMBOLON_VIEWS_DIR: got "${folder}", wants a folder as docs/look.md describes it (${(error as Error).message})`,
    );
  }
  return {
    name: value.SYMBOLON_NAME,
    logo,
    accent: { light, dark: dark ?? (light === undefined ? undefined : lighter(light)) },
    links: {
      support: value.SYMBOLON_SUPPORT_URL,
      privacy: value.SYMBOLON_PRIVACY_URL,
      terms: value.SYMBOLON_TERMS_URL,
    },
    views,
  };
}

/**
 * Reads the settings of this process: its environment, completed by a `.env` file in the working folder.
 *
 * @throws {ConfigError} see {@link readConfig}
 */
export function loadConfig(): Config {
  if (existsSync('.env')) process.loadEnvFile('.env');
  return readConfig(process.env);
}

function isSecure(address: string): boolean {
  const { protocol, hostname } = new URL(address);
  return (
    protocol === 'https:' ||
    hostname === 'localhost' ||
    hostname === '[::1]' ||
    /^127(?:\.\d+){3}$/.test(hostname)
  );
}

function shown(given: string | undefined, setting: Setting): string {
  if (given === undefined) return 'nothing';
  return setting.secret ? `a value of ${Buffer.byteLength(given)} bytes (not shown)` : `"${given}"`;
}
