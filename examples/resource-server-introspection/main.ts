// An API that asks the provider about each token (RFC 7662): for opaque tokens, and where a revoked one must end at once.
import { createServer } from 'node:http';
import * as client from 'openid-client';

const { ISSUER = 'http://localhost:3000', CLIENT_ID = 'api', CLIENT_SECRET = '' } = process.env;
const { RESOURCE = 'https://opaque.example' } = process.env;
const PORT = Number(process.env['PORT'] ?? 4200);

const options = ISSUER.startsWith('http:') ? { execute: [client.allowInsecureRequests] } : {};
const provider = await client.discovery(
  new URL(ISSUER),
  CLIENT_ID,
  CLIENT_SECRET,
  undefined,
  options,
);

const server = createServer((request, response) => {
  void answer(request.headers.authorization ?? '').then(
    ({ status, text }) => response.writeHead(status).end(text),
    () => response.writeHead(503, { 'retry-after': '1' }).end('The provider is away.'),
  );
});
server.listen(PORT, 'localhost', () => {
  console.log(`The API is at http://localhost:${PORT}/`);
});

async function answer(authorization: string): Promise<{ status: number; text: string }> {
  const [, token] = /^Bearer (.+)$/i.exec(authorization) ?? [];
  if (token === undefined) return { status: 401, text: 'Who are you?' };
  const about = await introspected(token);
  if (!about.active || about.aud !== RESOURCE) return { status: 401, text: 'This token is over.' };
  if (!about.scope?.split(' ').includes('notes:read'))
    return { status: 403, text: 'You may not read notes.' };
  return { status: 200, text: `Notes for ${about.sub ?? about.client_id ?? ''}` };
}

async function introspected(token: string): Promise<client.IntrospectionResponse> {
  try {
    return await client.tokenIntrospection(provider, token);
  } catch (error) {
    // A JWT is not asked about: it is to be verified (see resource-server-jwt).
    if (error instanceof client.ResponseBodyError && error.status < 500) return { active: false };
    throw error;
  }
}
