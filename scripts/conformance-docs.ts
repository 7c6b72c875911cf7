// Writes docs/conformance.md from test/conformance/modules.ts.
import { writeFileSync } from 'node:fs';
import { modules } from '../test/conformance/modules.ts';

const rows = modules.map(({ module, file, note }) =>
  [
    `\`${module}\``,
    file === undefined ? '' : `[${file}](../test/conformance/${file}.test.ts)`,
    file === undefined ? 'does not apply' : 'passes',
    note ?? '',
  ].join(' | '),
);

writeFileSync(
  new URL('../docs/conformance.md', import.meta.url),
  `<!-- Made by "npm run docs:conformance" from test/conformance/modules.ts. -->

# Conformance

The OpenID Foundation certifies providers with a suite of test modules. The project has a test of its own for each, over
real HTTP, named after the module; an outside run of the suite is the final judge.

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
| OpenID Connect Core, Discovery, RP-Initiated Logout, Back-Channel Logout | basic, discovery, logout | no \`request_uri\` by reference, no \`alg: none\` |
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
| RFC 9101, JAR | dynamic, fapi2 | signed with a public key, by value or pushed |
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
- \`request_uri\` stands only for pushed requests. Request objects come by value, signed.
- \`POST\` to the authorization and logout endpoints is answered with a redirect to the same request by \`GET\`, so that the
  person's session is there (cookies are \`SameSite=Lax\`). A request longer than 12,000 characters is to be pushed.
- An authorization code of a client that registered no PKCE may be exchanged without; public clients and FAPI 2.0 must
  use it, and \`SYMBOLON_REQUIRE_PKCE\` has everybody use it.

## Modules

| module | test | verdict | note |
| --- | --- | --- | --- |
${rows.map((row) => `| ${row} |`).join('\n')}
`,
);
