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
the suite's own address, \`SYMBOLON_ALLOW_PRIVATE_ADDRESSES=true\` when that is a private one. A FAPI 2.0 client is one
registered with \`"security_profile": "fapi2"\`.

What the specifications ask beyond the suite is in [specifications](../test/conformance/specifications.test.ts), the
discovery document against behaviour in [discovery](../test/conformance/discovery.test.ts), and every endpoint with
arbitrary parameters in [fuzz](../test/conformance/fuzz.test.ts).

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
