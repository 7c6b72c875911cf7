// An application that runs in the browser alone: a public client with PKCE. Its tokens are bound to a key that never
// leaves the browser (DPoP), and live in this page's memory: whoever reads its storage finds nothing.
// @ts-check

const settings = await (await fetch('settings.json')).json();
const { issuer, client_id: clientId } = settings;
const home = `${location.origin}/`;
const provider = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json();
const { privateKey, publicKey } = await crypto.subtle.generateKey(
  { name: 'ECDSA', namedCurve: 'P-256' },
  false, // not to be taken out
  ['sign'],
);
const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', publicKey);

/** @type {{ access_token: string, refresh_token?: string } | undefined} */
let tokens;

/** @param {string} selector @returns {any} */
const element = (selector) => document.querySelector(selector);

element('#sign-in').onclick = async () => {
  const verifier = random();
  const state = random();
  // What comes back must fit to what was sent; a tab's own storage is enough for that.
  sessionStorage.setItem('pending', JSON.stringify({ verifier, state }));
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier));
  location.href = `${provider.authorization_endpoint}?${new URLSearchParams({
    client_id: clientId,
    response_type: 'code',
    redirect_uri: home,
    scope: 'openid profile offline_access',
    code_challenge: base64url(new Uint8Array(digest)),
    code_challenge_method: 'S256',
    state,
  })}`;
};

element('#refresh').onclick = async () => {
  if (tokens?.refresh_token === undefined) return;
  await get({ grant_type: 'refresh_token', refresh_token: tokens.refresh_token });
};

const answer = new URLSearchParams(location.search);
if (answer.has('code')) {
  history.replaceState(null, '', home); // the code has no business in the address
  const { verifier, state } = JSON.parse(sessionStorage.getItem('pending') ?? '{}');
  sessionStorage.removeItem('pending');
  if (state !== answer.get('state') || issuer !== answer.get('iss'))
    throw new Error('This answer is not for us.');
  await get({
    grant_type: 'authorization_code',
    code: answer.get('code') ?? '',
    redirect_uri: home,
    code_verifier: verifier,
  });
}

/** @param {Record<string, string>} form */
async function get(form) {
  const response = await fetch(provider.token_endpoint, {
    method: 'POST',
    headers: { dpop: await proof('POST', provider.token_endpoint) },
    body: new URLSearchParams({ ...form, client_id: clientId }),
  });
  const body = await response.json();
  if (!response.ok) {
    element('#who').textContent = `Please sign in again (${body.error}).`;
    return;
  }
  tokens = { ...tokens, ...body };
  const person = await fetch(provider.userinfo_endpoint, {
    headers: {
      authorization: `DPoP ${body.access_token}`,
      dpop: await proof('GET', provider.userinfo_endpoint, body.access_token),
    },
  });
  element('#who').textContent = `Hello, ${(await person.json()).name}.`;
  element('#refresh').hidden = tokens?.refresh_token === undefined;
}

/**
 * A proof that whoever sends this request has the key (RFC 9449).
 *
 * @param {string} htm
 * @param {string} htu
 * @param {string} [token]
 */
async function proof(htm, htu, token) {
  const encode = (/** @type {object} */ value) =>
    base64url(new TextEncoder().encode(JSON.stringify(value)));
  const hash =
    token === undefined
      ? {}
      : {
          ath: base64url(
            new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(token))),
          ),
        };
  const header = { alg: 'ES256', typ: 'dpop+jwt', jwk: { kty, crv, x, y } };
  const iat = Math.floor(Date.now() / 1000);
  const input = `${encode(header)}.${encode({ htm, htu, iat, jti: random(), ...hash })}`;
  const signature = await crypto.subtle.sign(
    { name: 'ECDSA', hash: 'SHA-256' },
    privateKey,
    new TextEncoder().encode(input),
  );
  return `${input}.${base64url(new Uint8Array(signature))}`;
}

function random() {
  return base64url(crypto.getRandomValues(new Uint8Array(32)));
}

/** @param {Uint8Array} bytes */
function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');
}
