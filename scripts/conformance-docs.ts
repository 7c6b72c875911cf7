// Writes docs/conformance.md from test/conformance/modules.ts.
import { writeFileSync } from 'node:fs';
import { modules } from '../test/conformance/modules.ts';

const rows = modules.map(({ module, file, note }) =>
  [
    `\`${module}\``,
    file === undefined ? '' : `[${file}](../test/conformance/${file}.test.ts)`,
    file === undefined ? 'does not apply' : 'tested',
    note ?? '',
  ].join(' | '),
);

writeFileSync(
  new URL('../docs/conformance.md', import.meta.url),
  `<!-- Made by "npm run docs:conformance" from test/conformance/modules.ts. -->

# Conformance

The OpenID Foundation certifies providers with a suite of test modules. This page has two things, which are not the same:
what the suite itself has said of this provider, and the tests of the project's own, one for each module, over real HTTP and
named after it. Symbolon is not certified.

## What the suite has said

The suite 5.2.4 (snapshot 12f2a4d of 2026-08-20) was run from outside on commit 69111ca of 2026-11-21, about 1,650 modules,
with a browser on the real pages. "Review" is a page that a person has to read; all were read and say what they should.
"Skipped" is always that \`none\` is not listed, which certification allows. No module ended in a warning.

| plan | variant | result |
| --- | --- | --- |
| config | | 1 of 1 passed |
| basic | static / dynamic clients | 30 passed, 3 review, 2 skipped of 35 / 31, 3, 4 of 38 |
| form post basic | static | 30, 3, 2 of 35 |
| implicit, form post implicit | dynamic | 46, 6, 6 of 58, each |
| hybrid, form post hybrid | dynamic | 84, 9, 9 of 102, each |
| dynamic | code / code id_token | 12 passed, 6 review, 2 skipped, **3 failed** of 23 / 12, 6, 1, **3** of 22 |
| third-party initiated login | | 2 of 2 passed |
| RP-initiated logout | static, code | 3 passed, 8 review of 11 |
| back-channel logout | static, code | 2 of 2 passed |
| FAPI 2.0 security profile | behind a TLS proxy: private_key_jwt or mTLS, DPoP or mTLS | 56 of 56 (PS256), 55 and 1 skipped of 56 (ES256), 47 of 47, 37 of 37, 46 of 46 |
| | own TLS listener: private_key_jwt and DPoP or mTLS, mTLS and mTLS | all but **2 failed**, each |
| | own TLS listener: mTLS and DPoP | **every token request refused** |
| FAPI 2.0 message signing | own TLS listener: plain and JARM / proxy: JARM | all but **2 failed**, each / 70 of 70 |
| FAPI CIBA (ID1) | proxy: private_key_jwt, poll and ping; mTLS, poll | 33 of 35, 35 of 40, 31 of 33 |

Of what failed, these were changed since, each with a test of ours; **the suite was not run again**:

- \`request_uri\` by reference (two modules of the dynamic plan) is there, see
  [request-uri](../test/provider/request-uri.test.ts).
- The suite's key rotation module cannot read EdDSA keys. There are none unless \`SYMBOLON_SIGNING_ALGORITHMS\` asks for
  them, see [algorithms](../test/keys/algorithms.test.ts).
- CIBA pings and logout tokens that are refused with 4xx are not sent again, see
  [deliveries](../test/provider/deliveries.test.ts).
- Every signed CIBA request is valid for an hour at most, see [issuance](../test/provider/issuance.test.ts).

The mTLS port that did not know its own name, and the TLS 1.2 suites of the own listeners, are told of in
[CHANGELOG](../CHANGELOG.md) when they are changed. Not run: front-channel logout and session management, which there are
not, FAPI 1 and Shared Signals.

## Running the suite

Run the suite against an installation with https, \`SYMBOLON_REGISTRATION=open\`, and, for modules that fetch keys from
the suite's own address, \`SYMBOLON_ALLOW_PRIVATE_ADDRESSES=true\` when that is a private one. Give the suite's clients an
initial access token (\`symbolon client invite\`): it vouches for them. Without one they are strangers, to whom a refusal is
not sent before somebody has signed in, so that modules such as \`oidcc-prompt-none-not-logged-in\` end on a page of ours. A FAPI 2.0 client is one
registered with \`"security_profile": "fapi2"\`.

What the specifications ask beyond the suite is in [specifications](../test/conformance/specifications.test.ts), the
discovery document against behaviour in [discovery](../test/conformance/discovery.test.ts), and every endpoint with
arbitrary parameters in [fuzz](../test/conformance/fuzz.test.ts).

## Specifications

| specification | tested in | exceptions |
| --- | --- | --- |
| OpenID Connect Core, Discovery, RP-Initiated Logout, Back-Channel Logout | basic, discovery, logout | no \`alg: none\` |
| RFC 6749, OAuth 2.0 | basic, discovery | no \`token\` response type alone (RFC 9700 §2.1.2) |
| RFC 7009, revocation | specifications, [refresh](../test/provider/refresh.test.ts) | JWT access tokens are not revoked: \`unsupported_token_type\` |
| RFC 7521, 7523, assertions | fapi2, dynamic, [issuance](../test/provider/issuance.test.ts) | |
| RFC 7591, 7592, registration | dynamic, [self-registration](../test/provider/self-registration.test.ts) | no software statements |
| RFC 7636, PKCE | specifications, fapi2 | S256 only |
| RFC 7662, 9701, introspection | specifications, [refresh](../test/provider/refresh.test.ts) | JWT access tokens are not introspected: they are verified |
| RFC 8252, native applications | specifications | |
| RFC 8414, metadata | discovery, specifications | no signed metadata |
| RFC 8628, device flow | [races](../test/faults/races.test.ts), [browser](../test/browser/flow.test.ts), [examples](../test/examples.test.ts) | |
| RFC 8693, token exchange | specifications | access tokens only; the client is the actor |
| RFC 8705, mutual TLS | [tls](../test/provider/tls.test.ts), [policies](../test/provider/policies.test.ts) | |
| RFC 8707, resource indicators | specifications | one resource a token |
| RFC 9068, JWT access tokens | specifications | |
| RFC 9101, JAR | dynamic, fapi2, [request-uri](../test/provider/request-uri.test.ts) | signed with a public key |
| RFC 9126, PAR | fapi2 | |
| RFC 9207, issuer in the answer | every flow of basic, specifications | |
| RFC 9396, rich authorization requests | specifications, [self-registration](../test/provider/self-registration.test.ts) | not with CIBA |
| RFC 9449, DPoP | fapi2, specifications, [policies](../test/provider/policies.test.ts) | |
| RFC 9700, best current practice | [refresh tokens](refresh-tokens.md), and the tests above | hybrid and implicit types are there for clients that register them |
| OpenID CIBA, poll and ping | [issuance](../test/provider/issuance.test.ts), [approvals](../test/pages/approvals.test.ts) | no push, no \`login_hint_token\`, no user codes |
| JARM | fapi2 | |

## Where Symbolon decides something

- \`offline_access\` does not need \`prompt=consent\` in the request: the consent page is shown when it is needed. A client
  with \`offline_access_prompt: "required"\` gets the letter of OIDC Core §11.
- A client secret may be sent in the header or in the body, whichever of the two was registered.
- A \`request_uri\` is a pushed request's, or one that the client has registered in \`request_uris\`. Request objects are
  signed, whichever way they come.
- \`POST\` to the authorization and logout endpoints is answered with a redirect to the same request by \`GET\`, so that the
  person's session is there (cookies are \`SameSite=Lax\`). A request longer than 12,000 characters is to be pushed.
- An authorization code of a client that registered no PKCE may be exchanged without; public clients and FAPI 2.0 must
  use it, and \`SYMBOLON_REQUIRE_PKCE\` has everybody use it.

## Modules

Each row is a test of the project's own. It says what our test asserts, not what the suite has said.

| module | our test | | note |
| --- | --- | --- | --- |
${rows.map((row) => `| ${row} |`).join('\n')}
`,
);
