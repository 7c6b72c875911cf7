// The settings of the process: its port, its issuer, its data.
import { isIP } from 'node:net';
import { z } from 'zod';
import { parseDatabaseUrl } from '../database-url.ts';
import { type Section, integer, oneOf, path, refuse } from './setting.ts';

const issuer = z.url({ protocol: /^https?$/ }).refine((value) => {
  const url = URL.parse(value);
  return (
    url !== null &&
    !url.search &&
    !url.hash &&
    !url.username &&
    !value.endsWith('?') &&
    !value.endsWith('#')
  );
});

const databaseUrl = z.string().superRefine((value, context) => {
  try {
    parseDatabaseUrl(value);
  } catch (error) {
    refuse(context, (error as Error).message);
  }
});

const secrets = z
  .string()
  .transform((value) => value.split(',').map((secret) => secret.trim()))
  .pipe(z.array(z.string().refine((secret) => Buffer.byteLength(secret) >= 32)).min(1));

const network = z
  .string()
  .trim()
  .refine((value) => {
    const [address = '', prefix, ...more] = value.split('/');
    const family = isIP(address);
    const isPrefix =
      prefix === undefined ||
      (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 6 ? 128 : 32));
    return family !== 0 && isPrefix && more.length === 0;
  });

const proxies = z.union([
  z.enum(['true', '1']).transform(() => true as const),
  z.enum(['false', '0']).transform(() => false as const),
  z
    .string()
    .transform((value) => value.split(','))
    .pipe(z.array(network).min(1)),
]);

export const server = {
  port: {
    variable: 'PORT',
    schema: integer(0, 65_535).default(3000),
    wants: 'a port number from 0 to 65535',
    help: 'The port that the provider listens on.',
  },
  host: {
    variable: 'HOST',
    schema: z.string().min(1).default('localhost'),
    wants: 'a host name or an IP address',
    help: 'The address that the provider listens on; `0.0.0.0` or `::` for every interface.',
  },
  nodeEnv: {
    variable: 'NODE_ENV',
    schema: z.enum(['development', 'production', 'test']).optional(),
    wants: '`development`, `production` or `test`',
    help: 'In `production`, an issuer on plain http is refused unless it is a loopback address, and no mail is printed.',
    fallback: 'as in `development`, but mails are printed only where the issuer is on this machine',
  },
  logLevel: {
    variable: 'LOG_LEVEL',
    ...oneOf(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], 'info'),
    help: 'How much is logged, as JSON lines on standard output.',
  },
  databaseUrl: {
    variable: 'DATABASE_URL',
    schema: databaseUrl.optional(),
    wants: 'a URL like `postgresql://user:password@host:5432/database`',
    help: 'The PostgreSQL server to use, or several hosts of one; [operate.md](operate.md#postgresql) tells its parameters. Without it, Symbolon runs a PostgreSQL of its own in the data folder.',
    fallback: 'an embedded PostgreSQL in the data folder',
    secret: true,
  },
  databasePassword: {
    variable: 'DATABASE_PASSWORD',
    schema: z.string().optional(),
    wants: 'the password of the user in `DATABASE_URL`, as it is',
    help: 'The password for `DATABASE_URL`, if that has none: as it is, whereas in a URL some characters must be encoded (`%40` for `@`).',
    fallback: 'the one in `DATABASE_URL`',
    secret: true,
  },
  issuer: {
    variable: 'SYMBOLON_ISSUER',
    schema: issuer.optional(),
    wants: 'an http or https URL without query and fragment',
    help: 'The issuer identifier: the URL at which relying parties and people reach the provider. It may have a path, and a slash at its end: it is told as it is written here, and relying parties compare it exactly. All URLs have its scheme and host, whatever a request says.',
    fallback: '`http://localhost:<PORT>`, or `https:` with `SYMBOLON_TLS_CERT`',
  },
  dataDir: {
    variable: 'SYMBOLON_DATA_DIR',
    schema: z.string().min(1).default('.symbolon'),
    wants: 'the path of a folder',
    help: 'Where the embedded PostgreSQL and the secret made for it are kept. Unused with a `DATABASE_URL`.',
  },
  secrets: {
    variable: 'SYMBOLON_SECRET',
    schema: secrets.optional(),
    wants:
      'one or more secrets of at least 32 bytes each, separated by commas (`openssl rand -base64 32` makes one)',
    help: 'What sealed data, cookies and refresh tokens are protected with. The first is used for new things, the others are still accepted. Required with a `DATABASE_URL`.',
    fallback: 'made at the first start and kept in the data folder',
    secret: true,
  },
  trustProxy: {
    variable: 'SYMBOLON_TRUST_PROXY',
    schema: proxies.default(false),
    wants:
      '`true`, `false`, or addresses and networks, separated by commas, like `10.0.0.0/8,fd00::/8,192.0.2.7`',
    help: 'The proxies that are believed: what `X-Forwarded-For` or `Forwarded` says of the client’s address, and the header of `SYMBOLON_TLS_CLIENT_CERT_HEADER`. `true`: whoever connects, and one proxy only; for a port that nobody but the proxy reaches.',
  },
  apply: {
    variable: 'SYMBOLON_APPLY',
    schema: path.optional(),
    wants: 'the path of a folder, or of a file',
    help: 'A folder with the clients, resources, groups, scopes and claims that this installation has, in YAML or JSON: they are applied at every start, before anybody is served, and nothing is removed. See [Files](files.md).',
    fallback: 'nothing is applied',
  },
  auditRetentionDays: {
    variable: 'SYMBOLON_AUDIT_RETENTION_DAYS',
    schema: integer(1, 36_500).default(365),
    wants: 'a number of days from 1 to 36500',
    help: 'How long the events of the audit are kept, those of living families and accounts too. See [Audit](audit.md).',
  },
} satisfies Section;
