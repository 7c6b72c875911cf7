// A service that acts for itself (client credentials, RFC 6749 §4.4) and calls an API that it has a token for.
import * as client from 'openid-client';

const { ISSUER = 'http://localhost:3000', CLIENT_ID = 'service', CLIENT_SECRET = '' } = process.env;
const { API = 'http://localhost:4100/', RESOURCE = 'https://api.example' } = process.env;

const options = ISSUER.startsWith('http:') ? { execute: [client.allowInsecureRequests] } : {};
const provider = await client.discovery(
  new URL(ISSUER),
  CLIENT_ID,
  CLIENT_SECRET,
  undefined,
  options,
);

// Keep the token until it expires; there is no refresh token, and no need for one.
const { access_token: token } = await client.clientCredentialsGrant(provider, {
  resource: RESOURCE,
  scope: 'notes:read',
});
const response = await fetch(API, { headers: { authorization: `Bearer ${token}` } });
console.log(response.status, await response.text());
