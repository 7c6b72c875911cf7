// Rules between settings. They are checked once every value is right by itself.
import { parseDatabaseUrl } from './database-url.ts';
import { isThisMachine, mailMode } from './mail-mode.ts';
import { type Values, settings } from './settings.ts';

interface Rule {
  readonly when: (values: Values) => boolean;
  /** The line for the operator: the variable to mend, what it got, what it wants and why. */
  readonly mistake: (values: Values) => string;
}

export const rules: readonly Rule[] = [
  {
    when: ({ nodeEnv, issuer }) =>
      nodeEnv === 'production' && issuer !== undefined && !isSecure(issuer),
    mistake: ({ issuer = '' }) =>
      `SYMBOLON_ISSUER: got "${issuer}", wants an https URL (NODE_ENV is production, and tokens on plain http can be read by anyone on the way)`,
  },
  {
    when: ({ databaseUrl, secrets }) => databaseUrl !== undefined && secrets === undefined,
    mistake: () =>
      `SYMBOLON_SECRET: got nothing, wants ${settings.secrets.wants}, since every process on DATABASE_URL must have the same`,
  },
  {
    when: ({ databaseUrl, databasePassword }) =>
      databasePassword !== undefined &&
      (databaseUrl === undefined || parseDatabaseUrl(databaseUrl).password !== undefined),
    mistake: ({ databaseUrl }) =>
      `DATABASE_PASSWORD: got a value (not shown), wants nothing, since ${databaseUrl === undefined ? 'there is no DATABASE_URL' : 'DATABASE_URL has a password'}`,
  },
  {
    when: ({ tlsClient, trustProxy }) =>
      tlsClient.certificate !== undefined && trustProxy === false,
    mistake: () =>
      'SYMBOLON_TRUST_PROXY: got "false", wants the proxy’s address, since SYMBOLON_TLS_CLIENT_CERT_HEADER is believed only from a proxy',
  },
  {
    when: (values) => values.signUp === 'open' && mailMode(values) === 'off',
    mistake: () =>
      `SYMBOLON_SMTP_URL: got nothing, wants ${settings.mail.smtpUrl.wants}, since SYMBOLON_SIGN_UP is open and addresses are confirmed by mail`,
  },
  {
    when: ({ nodeEnv, mail }) => nodeEnv === 'production' && mail.print === true,
    mistake: () =>
      'SYMBOLON_PRINT_MAILS: got "true", wants `false`, since NODE_ENV is production and the links of mails are secrets',
  },
  {
    when: ({ tls }) => tls.cert === undefined && tls.key !== undefined,
    mistake: () =>
      'SYMBOLON_TLS_CERT: got nothing, wants the path of a PEM file, since SYMBOLON_TLS_KEY is set',
  },
  {
    when: ({ tls }) => tls.key === undefined && tls.cert !== undefined,
    mistake: () =>
      'SYMBOLON_TLS_KEY: got nothing, wants the path of a PEM file, since SYMBOLON_TLS_CERT is set',
  },
  {
    when: ({ tls, issuer }) => tls.cert !== undefined && issuer?.startsWith('http:') === true,
    mistake: ({ issuer = '' }) =>
      `SYMBOLON_ISSUER: got "${issuer}", wants an https URL, since SYMBOLON_TLS_CERT is set`,
  },
  {
    when: ({ operations, port, tls }) =>
      operations.port !== undefined && [port, tls.mtlsPort].includes(operations.port),
    mistake: ({ operations }) =>
      `SYMBOLON_OPERATIONS_PORT: got "${operations.port ?? ''}", wants a port that is not PORT or SYMBOLON_MTLS_PORT, since what it tells is not for everybody`,
  },
  {
    when: ({ tls }) => tls.mtlsPort !== undefined && tls.cert === undefined,
    mistake: () =>
      'SYMBOLON_TLS_CERT: got nothing, wants the path of a PEM file, since SYMBOLON_MTLS_PORT is set',
  },
];

/** Whether requests to this URL cannot be read on the way. */
function isSecure(address: string): boolean {
  return address.startsWith('https:') || isThisMachine(address);
}
