// What both sides of a comparison are set up with.

export const accountId = 'ada';
export const redirectUri = 'http://localhost:4000/callback';
export const resource = 'https://api.example';
export const clientSecret = 'the secret of the benchmark client';
export const client = {
  client_secret: clientSecret,
  redirect_uris: [redirectUri],
  grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
  response_types: ['code'],
};
/** The clients: what signs their ID tokens. RS256 is what a client gets that asks for nothing. */
export const clients = { bench: 'ES256', 'bench-rs256': 'RS256' } as const;
export type ClientId = keyof typeof clients;
export const authorizationOf = (id: ClientId) =>
  `authorization: Basic ${Buffer.from(`${id}:${encodeURIComponent(clientSecret)}`).toString('base64')}\r\n`;
export const authorization = authorizationOf('bench');

/** What discovery and JWKS are measured against: a static string of about their size. */
export const staticPath = '/static';
export const staticText = JSON.stringify('x'.repeat(2_700));

export const person = {
  email: 'ada@example.com',
  name: 'Ada Lovelace',
  password: 'correct horse battery',
};
/** People who sign in, one for each connection. */
export const PEOPLE = 128;
export const emailOf = (number: number) => `person-${number}@example.com`;
