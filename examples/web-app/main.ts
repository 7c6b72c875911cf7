// A web application with a server: people sign in, and it acts for them while they are away.
import { randomBytes } from 'node:crypto';
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http';
import * as client from 'openid-client';

const { ISSUER = 'http://localhost:3000', CLIENT_ID = 'web-app', CLIENT_SECRET = '' } = process.env;
const PORT = Number(process.env['PORT'] ?? 4000);
const home = `http://localhost:${PORT}`;

// Plain http is for your own machine only.
const options = ISSUER.startsWith('http:') ? { execute: [client.allowInsecureRequests] } : {};
const provider = await client.discovery(
  new URL(ISSUER),
  CLIENT_ID,
  CLIENT_SECRET,
  undefined,
  options,
);

interface Session {
  /** Of a sign-in that has begun. */
  pending?: { verifier: string; state: string; nonce: string };
  name?: string;
  idToken?: string;
  refreshToken?: string;
}
// In memory, so that the example stays short; yours belong into your database, the refresh token sealed.
const sessions = new Map<string, Session>();

const server = createServer((request, response) => {
  void answer(request, response).catch((error: unknown) => {
    console.error(error);
    response.writeHead(500).end('Something went wrong.');
  });
});
server.listen(PORT, 'localhost', () => {
  console.log(`The application is at ${home}`);
});

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', home);
  const session = sessionOf(request, response);
  switch (url.pathname) {
    case '/sign-in': {
      const verifier = client.randomPKCECodeVerifier();
      const pending = { verifier, state: client.randomState(), nonce: client.randomNonce() };
      session.pending = pending;
      redirect(
        response,
        client.buildAuthorizationUrl(provider, {
          redirect_uri: `${home}/callback`,
          scope: 'openid profile email offline_access',
          code_challenge: await client.calculatePKCECodeChallenge(verifier),
          code_challenge_method: 'S256',
          state: pending.state,
          nonce: pending.nonce,
        }).href,
      );
      return;
    }
    case '/callback': {
      const { pending } = session;
      if (!pending) {
        redirect(response, '/');
        return;
      }
      delete session.pending;
      const tokens = await client.authorizationCodeGrant(provider, url, {
        pkceCodeVerifier: pending.verifier,
        expectedState: pending.state,
        expectedNonce: pending.nonce,
        idTokenExpected: true,
      });
      keep(session, tokens);
      const sub = tokens.claims()?.sub ?? '';
      const person = await client.fetchUserInfo(provider, tokens.access_token, sub);
      session.name = person.name ?? person.email ?? sub;
      redirect(response, '/');
      return;
    }
    case '/refresh': {
      if (session.refreshToken === undefined) {
        redirect(response, '/sign-in');
        return;
      }
      try {
        keep(session, await client.refreshTokenGrant(provider, session.refreshToken));
        redirect(response, '/');
      } catch (error) {
        // 503 and the like: the same token works later. Only invalid_grant means that it is over.
        if (!(error instanceof client.ResponseBodyError) || error.error !== 'invalid_grant')
          throw error;
        delete session.refreshToken;
        redirect(response, '/sign-in');
      }
      return;
    }
    case '/sign-out': {
      if (session.refreshToken !== undefined)
        await client.tokenRevocation(provider, session.refreshToken);
      const idToken = session.idToken ?? '';
      forget(session);
      redirect(
        response,
        client.buildEndSessionUrl(provider, {
          id_token_hint: idToken,
          post_logout_redirect_uri: `${home}/`,
        }).href,
      );
      return;
    }
    default:
      response.setHeader('content-type', 'text/html; charset=utf-8');
      response.end(
        session.name === undefined
          ? '<!doctype html><title>Notes</title><p>Nobody is signed in. <a href="/sign-in">Sign in</a>'
          : `<!doctype html><title>Notes</title><p>Hello, ${escape(session.name)}. <a href="/refresh">Refresh</a> <a href="/sign-out">Sign out</a>`,
      );
  }
}

/** The new refresh token takes the place of the old one before anything else is done with the answer. */
function keep(session: Session, tokens: client.TokenEndpointResponse): void {
  if (tokens.refresh_token !== undefined) session.refreshToken = tokens.refresh_token;
  if (tokens.id_token !== undefined) session.idToken = tokens.id_token;
}

function sessionOf(request: IncomingMessage, response: ServerResponse): Session {
  const id = /(?:^|; )session=([^;]+)/.exec(request.headers.cookie ?? '')?.[1] ?? '';
  const known = sessions.get(id);
  if (known) return known;
  const made = randomBytes(32).toString('base64url');
  const session: Session = {};
  sessions.set(made, session);
  response.setHeader('set-cookie', `session=${made}; Path=/; HttpOnly; SameSite=Lax`);
  return session;
}

function forget(session: Session): void {
  for (const [id, one] of sessions) if (one === session) sessions.delete(id);
}

function redirect(response: ServerResponse, location: string): void {
  response.writeHead(303, { location }).end();
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
