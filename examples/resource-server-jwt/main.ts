// An API that verifies JWT access tokens by itself (RFC 9068 §4), with the keys that it fetches from the provider.
import { createServer } from 'node:http';
import { createRemoteJWKSet, errors, jwtVerify } from 'jose';

const { ISSUER = 'http://localhost:3000', RESOURCE = 'https://api.example' } = process.env;
const PORT = Number(process.env['PORT'] ?? 4100);

// It fetches the keys again when a token names one that it does not know: keys rotate without a word to the API.
const keys = createRemoteJWKSet(new URL(`${ISSUER}/jwks`));

const server = createServer((request, response) => {
  void answer(request.headers.authorization ?? '').then(({ status, text, challenge }) => {
    if (challenge !== undefined) response.setHeader('www-authenticate', challenge);
    response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(text);
  });
});
server.listen(PORT, 'localhost', () => {
  console.log(`The API is at http://localhost:${PORT}/`);
});

async function answer(
  authorization: string,
): Promise<{ status: number; text: string; challenge?: string }> {
  const [, token] = /^Bearer (.+)$/i.exec(authorization) ?? [];
  if (token === undefined) return { status: 401, text: 'Who are you?', challenge: 'Bearer' };
  try {
    const { payload } = await jwtVerify(token, keys, {
      issuer: ISSUER,
      audience: RESOURCE,
      typ: 'at+jwt',
      algorithms: ['RS256', 'ES256', 'PS256', 'EdDSA'],
    });
    if (!String(payload['scope']).split(' ').includes('notes:read'))
      return {
        status: 403,
        text: 'You may not read notes.',
        challenge: 'Bearer error="insufficient_scope", scope="notes:read"',
      };
    return { status: 200, text: `Notes for ${payload.sub ?? ''}` };
  } catch (error) {
    if (!(error instanceof errors.JOSEError)) throw error;
    return { status: 401, text: error.message, challenge: 'Bearer error="invalid_token"' };
  }
}
