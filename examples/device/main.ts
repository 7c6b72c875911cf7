// A command-line tool without a browser (RFC 8628): the person opens a link elsewhere, the tool waits. The refresh
// token is kept in a file that only this person can read, so that they sign in once.
import { chmod, readFile, rename, writeFile } from 'node:fs/promises';
import * as client from 'openid-client';

const { ISSUER = 'http://localhost:3000', CLIENT_ID = 'tool', CLIENT_SECRET = '' } = process.env;
type Tokens = client.TokenEndpointResponse & client.TokenEndpointResponseHelpers;

const FILE = process.env['TOKEN_FILE'] ?? '.tool-token';

const options = ISSUER.startsWith('http:') ? { execute: [client.allowInsecureRequests] } : {};
const authentication = CLIENT_SECRET === '' ? client.None() : undefined;
const provider = await client.discovery(
  new URL(ISSUER),
  CLIENT_ID,
  CLIENT_SECRET === '' ? undefined : CLIENT_SECRET,
  authentication,
  options,
);

const tokens = (await refreshed()) ?? (await signedIn());
const person = await client.fetchUserInfo(
  provider,
  tokens.access_token,
  tokens.claims()?.sub ?? '',
);
console.log(`Signed in as ${person.name ?? person.sub}.`);

async function refreshed(): Promise<Tokens | undefined> {
  const kept = await readFile(FILE, 'utf8').catch(() => undefined);
  if (kept === undefined) return undefined;
  try {
    return await keep(await client.refreshTokenGrant(provider, kept));
  } catch (error) {
    if (error instanceof client.ResponseBodyError && error.error === 'invalid_grant')
      return undefined;
    throw error; // the provider is away: the token is still good
  }
}

async function signedIn(): Promise<Tokens> {
  const device = await client.initiateDeviceAuthorization(provider, {
    scope: 'openid profile offline_access',
  });
  console.log(`Open ${device.verification_uri_complete ?? device.verification_uri}`);
  console.log(`and compare the code: ${device.user_code}`);
  return keep(await client.pollDeviceAuthorizationGrant(provider, device));
}

/** Writes the new refresh token in one step: a tool that is killed has the old one or the new one, both are good. */
async function keep(answer: Tokens): Promise<Tokens> {
  if (answer.refresh_token === undefined) return answer;
  const draft = `${FILE}.${process.pid}`;
  await writeFile(draft, answer.refresh_token, { mode: 0o600 });
  await chmod(draft, 0o600);
  await rename(draft, FILE);
  return answer;
}
