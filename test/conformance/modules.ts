// Every module of the OpenID Foundation's conformance suite (5.2) that tests providers, and the test of ours that asserts
// the same. docs/conformance.md is made from this list. A module without a test does not apply: the note says why.

export interface Module {
  readonly module: string;
  readonly file?: string;
  /** Part of the test's title. */
  readonly title?: string;
  readonly note?: string;
}

export const modules: readonly Module[] = [
  { module: 'oidcc-server', file: 'basic', title: 'oidcc-server' },
  { module: 'oidcc-response-type-missing', file: 'basic', title: 'oidcc-response-type-missing' },
  { module: 'oidcc-idtoken-signature', file: 'basic', title: 'oidcc-idtoken-signature' },
  {
    module: 'oidcc-idtoken-unsigned',
    file: 'basic',
    title: 'oidcc-idtoken-unsigned',
    note: 'skipped by the suite: `none` is not listed',
  },
  { module: 'oidcc-userinfo-get', file: 'basic', title: 'oidcc-userinfo-%s' },
  { module: 'oidcc-userinfo-post-header', file: 'basic', title: 'oidcc-userinfo-%s' },
  { module: 'oidcc-userinfo-post-body', file: 'basic', title: 'oidcc-userinfo-%s' },
  {
    module: 'oidcc-ensure-request-without-nonce-succeeds-for-code-flow',
    file: 'basic',
    title: 'oidcc-ensure-request-without-nonce-succeeds-for-code-flow',
  },
  { module: 'oidcc-scope-profile', file: 'basic', title: 'oidcc-scope-${name}' },
  { module: 'oidcc-scope-email', file: 'basic', title: 'oidcc-scope-${name}' },
  { module: 'oidcc-scope-address', file: 'basic', title: 'oidcc-scope-${name}' },
  { module: 'oidcc-scope-phone', file: 'basic', title: 'oidcc-scope-${name}' },
  { module: 'oidcc-scope-all', file: 'basic', title: 'oidcc-scope-${name}' },
  { module: 'oidcc-alternate-happy-flow', file: 'basic', title: 'oidcc-alternate-happy-flow' },
  { module: 'oidcc-display-page', file: 'basic', title: 'oidcc-display-page' },
  { module: 'oidcc-display-popup', file: 'basic', title: 'oidcc-display-popup' },
  { module: 'oidcc-prompt-login', file: 'basic', title: 'oidcc-prompt-login' },
  {
    module: 'oidcc-prompt-none-not-logged-in',
    file: 'basic',
    title: 'oidcc-prompt-none-not-logged-in',
  },
  { module: 'oidcc-prompt-none-logged-in', file: 'basic', title: 'oidcc-prompt-none-logged-in' },
  { module: 'oidcc-max-age-1', file: 'basic', title: 'oidcc-max-age-1' },
  { module: 'oidcc-max-age-10000', file: 'basic', title: 'oidcc-max-age-10000' },
  {
    module: 'oidcc-ensure-request-with-unknown-parameter-succeeds',
    file: 'basic',
    title: 'oidcc-ensure-request-with-unknown-parameter-succeeds',
  },
  { module: 'oidcc-id-token-hint', file: 'basic', title: 'oidcc-id-token-hint' },
  { module: 'oidcc-login-hint', file: 'basic', title: 'oidcc-login-hint' },
  { module: 'oidcc-ui-locales', file: 'basic', title: 'oidcc-ui-locales' },
  { module: 'oidcc-claims-locales', file: 'basic', title: 'oidcc-claims-locales' },
  {
    module: 'oidcc-ensure-request-with-acr-values-succeeds',
    file: 'basic',
    title: 'oidcc-ensure-request-with-acr-values-succeeds',
    note: 'no `acr` is told yet: a warning of the suite',
  },
  { module: 'oidcc-codereuse', file: 'basic', title: 'oidcc-codereuse' },
  { module: 'oidcc-codereuse-30seconds', file: 'basic', title: 'oidcc-codereuse-30seconds' },
  {
    module: 'oidcc-ensure-registered-redirect-uri',
    file: 'basic',
    title: 'oidcc-ensure-registered-redirect-uri',
  },
  {
    module: 'oidcc-ensure-post-request-succeeds',
    file: 'basic',
    title: 'oidcc-ensure-post-request-succeeds',
  },
  {
    module: 'oidcc-server-client-secret-post',
    file: 'basic',
    title: 'oidcc-server-client-secret-post',
  },
  {
    module: 'oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported',
    file: 'basic',
    title: 'oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported',
  },
  {
    module: 'oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported',
    file: 'basic',
    title: 'oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported',
    note: 'refused as `invalid_request_object`; `none` is not listed',
  },
  { module: 'oidcc-claims-essential', file: 'basic', title: 'oidcc-claims-essential' },
  {
    module: 'oidcc-ensure-request-object-with-redirect-uri',
    file: 'basic',
    title: 'oidcc-ensure-request-object-with-redirect-uri',
    note: 'refused on a page: unsigned request objects are not taken',
  },
  { module: 'oidcc-refresh-token', file: 'basic', title: 'oidcc-refresh-token' },
  {
    module: 'oidcc-ensure-request-with-valid-pkce-succeeds',
    file: 'basic',
    title: 'oidcc-ensure-request-with-valid-pkce-succeeds',
  },
  {
    module: 'oidcc-discovery-endpoint-verification',
    file: 'dynamic',
    title: 'oidcc-discovery-endpoint-verification',
  },
  { module: 'oidcc-idtoken-rs256', file: 'dynamic', title: 'oidcc-idtoken-rs256 and the others' },
  { module: 'oidcc-userinfo-rs256', file: 'dynamic', title: 'oidcc-userinfo-rs256 and the others' },
  {
    module: 'oidcc-ensure-redirect-uri-in-authorization-request',
    file: 'dynamic',
    title: 'oidcc-ensure-redirect-uri-in-authorization-request',
  },
  {
    module: 'oidcc-redirect-uri-query-OK',
    file: 'dynamic',
    title: 'oidcc-redirect-uri-query-OK, -mismatch, -added',
  },
  {
    module: 'oidcc-redirect-uri-query-mismatch',
    file: 'dynamic',
    title: 'oidcc-redirect-uri-query-OK, -mismatch, -added',
  },
  {
    module: 'oidcc-redirect-uri-query-added',
    file: 'dynamic',
    title: 'oidcc-redirect-uri-query-OK, -mismatch, -added',
  },
  { module: 'oidcc-redirect-uri-regfrag', file: 'dynamic', title: 'oidcc-redirect-uri-regfrag' },
  {
    module: 'oidcc-registration-logo-uri',
    file: 'dynamic',
    title: 'oidcc-registration-logo-uri, -policy-uri, -tos-uri',
  },
  {
    module: 'oidcc-registration-policy-uri',
    file: 'dynamic',
    title: 'oidcc-registration-logo-uri, -policy-uri, -tos-uri',
  },
  {
    module: 'oidcc-registration-tos-uri',
    file: 'dynamic',
    title: 'oidcc-registration-logo-uri, -policy-uri, -tos-uri',
  },
  { module: 'oidcc-registration-jwks-uri', file: 'dynamic', title: 'oidcc-registration-jwks-uri' },
  {
    module: 'oidcc-registration-sector-uri',
    file: 'dynamic',
    title: 'oidcc-registration-sector-uri, -sector-bad',
  },
  {
    module: 'oidcc-registration-sector-bad',
    file: 'dynamic',
    title: 'oidcc-registration-sector-uri, -sector-bad',
  },
  {
    module: 'oidcc-server-rotate-keys',
    file: 'dynamic',
    title: 'oidcc-server-rotate-keys',
    note: '`symbolon key rotate --now`; the suite cannot read EdDSA keys, which there are only with `SYMBOLON_SIGNING_ALGORITHMS`',
  },
  {
    module: 'oidcc-request-uri-unsigned',
    file: 'basic',
    title: 'oidcc-request-uri-unsigned',
    note: 'skipped by the suite: `none` is not listed',
  },
  {
    module: 'oidcc-request-uri-signed-rs256',
    file: 'dynamic',
    title: 'oidcc-request-uri-signed-rs256, by reference',
  },
  {
    module: 'oidcc-ensure-client-assertion-with-iss-aud-succeeds',
    file: 'dynamic',
    title: 'oidcc-ensure-client-assertion-with-iss-aud-succeeds',
  },
  {
    module: 'oidcc-refresh-token-rp-key-rotation',
    file: 'dynamic',
    title: 'oidcc-refresh-token-rp-key-rotation',
  },
  {
    module: 'fapi2-security-profile-final-refresh-token',
    file: 'fapi2',
    title: 'refresh-token: no rotation',
  },
  {
    module: 'oidcc-ensure-request-without-nonce-fails',
    file: 'basic',
    title: 'oidcc-ensure-request-without-nonce-fails',
  },
  {
    module: 'oidcc-rp-initiated-logout-discovery-endpoint-verification',
    file: 'logout',
    title: 'oidcc-rp-initiated-logout and its discovery',
  },
  {
    module: 'oidcc-rp-initiated-logout',
    file: 'logout',
    title: 'oidcc-rp-initiated-logout and its discovery',
  },
  {
    module: 'oidcc-rp-initiated-logout-bad-post-logout-redirect-uri',
    file: 'logout',
    title: 'oidcc-rp-initiated-logout-bad-post-logout-redirect-uri',
  },
  {
    module: 'oidcc-rp-initiated-logout-modified-id-token-hint',
    file: 'logout',
    title: 'oidcc-rp-initiated-logout-%s-id-token-hint',
  },
  {
    module: 'oidcc-rp-initiated-logout-no-id-token-hint',
    file: 'logout',
    title: 'oidcc-rp-initiated-logout-no-id-token-hint',
  },
  {
    module: 'oidcc-rp-initiated-logout-no-params',
    file: 'logout',
    title: 'oidcc-rp-initiated-logout-no-params',
  },
  {
    module: 'oidcc-rp-initiated-logout-no-post-logout-redirect-uri',
    file: 'logout',
    title: 'oidcc-rp-initiated-logout-no-post-logout-redirect-uri',
  },
  {
    module: 'oidcc-rp-initiated-logout-no-state',
    file: 'logout',
    title: 'oidcc-rp-initiated-logout-no-state',
  },
  {
    module: 'oidcc-rp-initiated-logout-only-state',
    file: 'logout',
    title: 'oidcc-rp-initiated-logout-only-state',
  },
  {
    module: 'oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri',
    file: 'logout',
    title: 'oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri',
  },
  {
    module: 'oidcc-rp-initiated-logout-bad-id-token-hint',
    file: 'logout',
    title: 'oidcc-rp-initiated-logout-%s-id-token-hint',
  },
  {
    module: 'oidcc-backchannel-logout-discovery-endpoint-verification',
    file: 'logout',
    title: 'oidcc-backchannel-rp-initiated-logout and its discovery',
  },
  {
    module: 'oidcc-backchannel-rp-initiated-logout',
    file: 'logout',
    title: 'oidcc-backchannel-rp-initiated-logout and its discovery',
  },
  {
    module: 'oidcc-frontchannel-logout-discovery-endpoint-verification',
    note: 'front-channel logout depends on third-party cookies, which browsers block; back-channel logout is there',
  },
  { module: 'oidcc-frontchannel-rp-initiated-logout', note: 'as above' },
  {
    module: 'oidcc-session-management-discovery-endpoint-verification',
    note: 'session management depends on third-party cookies, which browsers block',
  },
  { module: 'oidcc-session-management-rp-initiated-logout', note: 'as above' },
  {
    module: 'fapi2-security-profile-final-discovery-end-point-verification',
    file: 'fapi2',
    title: 'discovery-end-point-verification',
  },
  { module: 'fapi2-security-profile-final-happy-flow', file: 'fapi2', title: 'happy-flow' },
  {
    module: 'fapi2-security-profile-final-user-rejects-authentication',
    file: 'fapi2',
    title: 'user-rejects-authentication',
  },
  {
    module: 'fapi2-security-profile-final-ensure-request-object-with-multiple-aud-succeeds',
    file: 'fapi2',
    title: 'signed request objects, several audiences',
  },
  {
    module: 'fapi2-security-profile-final-ensure-authorization-request-without-state-success',
    file: 'fapi2',
    title: 'without-state-success',
  },
  {
    module: 'fapi2-security-profile-final-ensure-authorization-request-without-nonce-success',
    file: 'fapi2',
    title: '-without-nonce-success',
  },
  {
    module: 'fapi2-security-profile-final-ensure-authorization-request-with-64-char-nonce-success',
    file: 'fapi2',
    title: 'a nonce and a state of %i',
  },
  {
    module: 'fapi2-security-profile-final-ensure-other-scope-order-succeeds',
    file: 'fapi2',
    title: 'ensure-other-scope-order-succeeds',
  },
  {
    module: 'fapi2-security-profile-final-test-claims-parameter-identity-claims',
    file: 'fapi2',
    title: 'test-claims-parameter-identity-claims',
  },
  {
    module: 'fapi2-security-profile-final-access-token-type-header-case-sensitivity',
    file: 'fapi2',
    title: 'happy-flow',
  },
  {
    module:
      'fapi2-security-profile-final-ensure-request-object-with-nbf-8-seconds-in-the-future-is-accepted',
    file: 'fapi2',
    title: 'signed request objects, several audiences, nbf 8 seconds ahead',
  },
  {
    module: 'fapi2-security-profile-final-check-dpop-proof-nbf-exp',
    file: 'fapi2',
    title: 'check-dpop-proof-nbf-exp',
  },
  {
    module: 'fapi2-security-profile-final-ensure-dpopproof-with-iat-10seconds-before-succeeds',
    file: 'fapi2',
    title: 'check-dpop-proof-nbf-exp, iat 10 seconds before',
  },
  {
    module: 'fapi2-security-profile-final-ensure-dpopproof-with-iat-10seconds-after-succeeds',
    file: 'fapi2',
    title: 'check-dpop-proof-nbf-exp, iat 10 seconds before and 8 after',
  },
  {
    module: 'fapi2-security-profile-final-ensure-mismatched-dpop-jkt-fails',
    file: 'fapi2',
    title: 'a key named at PAR binds the code',
  },
  {
    module:
      'fapi2-security-profile-final-ensure-token-endpoint-fails-with-mismatched-dpop-proof-jkt',
    file: 'fapi2',
    title: 'a key named at PAR binds the code',
  },
  {
    module: 'fapi2-security-profile-final-ensure-token-endpoint-fails-with-mismatched-dpop-jkt',
    file: 'fapi2',
    title: 'a key named at PAR binds the code',
  },
  {
    module: 'fapi2-security-profile-final-ensure-dpopproof-at-par-endpoint-binding-success',
    file: 'fapi2',
    title: 'a key named at PAR binds the code',
  },
  {
    module: 'fapi2-security-profile-final-ensure-dpop-auth-code-binding-success',
    file: 'fapi2',
    title: 'a key named at PAR binds the code',
  },
  {
    module: 'fapi2-security-profile-final-ensure-different-nonce-inside-and-outside-request-object',
    file: 'fapi2',
    title: 'ensure-different-nonce, -state inside and outside',
  },
  {
    module: 'fapi2-security-profile-final-ensure-different-state-inside-and-outside-request-object',
    file: 'fapi2',
    title: 'ensure-different-nonce, -state inside and outside',
  },
  {
    module: 'fapi2-security-profile-final-ensure-authorization-request-with-long-nonce',
    file: 'fapi2',
    title: 'a nonce and a state of %i',
  },
  {
    module: 'fapi2-security-profile-final-ensure-authorization-request-with-long-state',
    file: 'fapi2',
    title: 'a nonce and a state of %i',
  },
  {
    module: 'fapi2-security-profile-final-ensure-request-object-without-exp-fails',
    file: 'fapi2',
    title: 'without-exp',
  },
  {
    module: 'fapi2-security-profile-final-ensure-request-object-without-nbf-fails',
    file: 'fapi2',
    title: 'without-nbf',
  },
  {
    module: 'fapi2-security-profile-final-state-only-outside-request-object-not-used',
    file: 'fapi2',
    title: 'ensure-different-nonce, -state inside and outside',
  },
  {
    module: 'fapi2-security-profile-final-ensure-request-object-without-redirect-uri-fails',
    file: 'fapi2',
    title: 'without-redirect-uri',
  },
  {
    module: 'fapi2-security-profile-final-ensure-expired-request-object-fails',
    file: 'fapi2',
    title: 'expired',
  },
  {
    module: 'fapi2-security-profile-final-ensure-request-object-with-bad-aud-fails',
    file: 'fapi2',
    title: 'bad-aud',
  },
  {
    module: 'fapi2-security-profile-final-ensure-request-object-with-exp-over-60-fails',
    file: 'fapi2',
    title: 'exp-over-60',
  },
  {
    module:
      'fapi2-security-profile-final-australia-connectid-ensure-request-object-with-exp-over-10-fails',
    note: 'for another ecosystem’s profile (Australia, Brazil, United Kingdom)',
  },
  {
    module: 'fapi2-security-profile-final-ensure-request-object-with-nbf-over-60-fails',
    file: 'fapi2',
    title: 'nbf-over-60',
  },
  {
    module:
      'fapi2-security-profile-final-australia-connectid-ensure-request-object-with-nbf-over-15-fails',
    note: 'for another ecosystem’s profile (Australia, Brazil, United Kingdom)',
  },
  {
    module: 'fapi2-security-profile-final-ensure-signed-request-object-with-RS256-fails',
    file: 'fapi2',
    title: 'RS256, none, a wrong signature and another client’s key fail',
  },
  {
    module: 'fapi2-security-profile-final-ensure-request-object-signature-algorithm-is-not-none',
    file: 'fapi2',
    title: 'RS256, none, a wrong signature and another client’s key fail',
  },
  {
    module: 'fapi2-security-profile-final-ensure-request-object-with-invalid-signature-fails',
    file: 'fapi2',
    title: 'RS256, none, a wrong signature and another client’s key fail',
  },
  {
    module: 'fapi2-security-profile-final-ensure-matching-key-in-authorization-request',
    file: 'fapi2',
    title: 'RS256, none, a wrong signature and another client’s key fail',
  },
  {
    module: 'fapi2-security-profile-final-ensure-unsigned-request-at-par-endpoint-fails',
    file: 'fapi2',
    title: 'ensure-unsigned-request-at-par-endpoint-fails',
  },
  {
    module: 'fapi2-security-profile-final-ensure-registered-redirect-uri',
    note: 'not in the plain FAPI profile',
  },
  {
    module: 'fapi2-security-profile-final-plain-fapi-tolerate-unregistered-redirect-uri',
    file: 'fapi2',
    title: 'registered-redirect-uri',
  },
  {
    module:
      'fapi2-security-profile-final-ensure-unsigned-authorization-request-without-using-par-fails',
    file: 'fapi2',
    title: 'ensure-unsigned-authorization-request-without-using-par-fails',
  },
  {
    module: 'fapi2-security-profile-final-ensure-redirect-uri-in-authorization-request',
    file: 'fapi2',
    title: 'request-object-without-redirect-uri',
  },
  {
    module: 'fapi2-security-profile-final-ensure-response-type-code-idtoken-fails',
    file: 'fapi2',
    title: 'response-type-code-idtoken',
  },
  {
    module: 'fapi2-security-profile-final-australia-connectid-ensure-invalid-purpose-fails',
    note: 'for another ecosystem’s profile (Australia, Brazil, United Kingdom)',
  },
  {
    module: 'fapi2-security-profile-final-ensure-response-type-token-fails',
    file: 'fapi2',
    title: 'response-type-token',
  },
  {
    module: 'fapi2-security-profile-final-ensure-client-id-in-token-endpoint',
    file: 'fapi2',
    title: '-client-id-in-token-endpoint',
  },
  {
    module: 'fapi2-security-profile-final-ensure-holder-of-key-required',
    file: 'fapi2',
    title: 'ensure-holder-of-key-required',
  },
  {
    module: 'fapi2-security-profile-final-ensure-authorization-code-is-bound-to-client',
    file: 'fapi2',
    title: 'ensure-authorization-code-is-bound-to-client',
  },
  {
    module: 'fapi2-security-profile-final-attempt-reuse-authorization-code-after-one-second',
    file: 'fapi2',
    title: 'attempt-reuse-authorization-code-after-one-second',
  },
  {
    module: 'fapi2-security-profile-final-ensure-token-endpoint-fails-with-expired-auth-code',
    file: 'fapi2',
    title: 'ensure-token-endpoint-fails-with-expired-auth-code',
  },
  {
    module: 'fapi2-security-profile-final-ensure-signed-client-assertion-with-RS256-fails',
    file: 'fapi2',
    title: 'ensure-signed-client-assertion-with-RS256-fails',
  },
  {
    module: 'fapi2-security-profile-final-ensure-client-assertion-in-token-endpoint',
    file: 'fapi2',
    title: 'ensure-client-assertion-in-token-endpoint',
  },
  {
    module:
      'fapi2-security-profile-final-ensure-client-assertion-with-exp-is-5-minutes-in-past-fails',
    file: 'fapi2',
    title: 'exp-is-5-minutes-in-past',
  },
  {
    module: 'fapi2-security-profile-final-ensure-client-assertion-with-wrong-aud-fails',
    file: 'fapi2',
    title: 'wrong-aud',
  },
  {
    module: 'fapi2-security-profile-final-ensure-client-assertion-with-no-sub-fails',
    file: 'fapi2',
    title: 'no-sub',
  },
  {
    module: 'fapi2-security-profile-final-dpop-negative-tests',
    file: 'fapi2',
    title: 'dpop-negative-tests',
  },
  {
    module: 'fapi2-security-profile-final-ensure-server-handles-non-matching-intent-id',
    note: 'for another ecosystem’s profile (Australia, Brazil, United Kingdom)',
  },
  {
    module: 'fapi2-security-profile-final-test-essential-acr-sca-claim',
    note: 'for another ecosystem’s profile (Australia, Brazil, United Kingdom)',
  },
  {
    module: 'fapi2-security-profile-final-brazil-ensure-bad-payment-signature-fails',
    note: 'for another ecosystem’s profile (Australia, Brazil, United Kingdom)',
  },
  {
    module:
      'fapi2-security-profile-final-australia-connectid-test-claims-parameter-idtoken-identity-claims',
    note: 'for another ecosystem’s profile (Australia, Brazil, United Kingdom)',
  },
  {
    module:
      'fapi2-security-profile-final-par-ensure-reused-request-uri-prior-to-auth-completion-succeeds',
    file: 'fapi2',
    title: 'par-ensure-reused-request-uri-prior-to-auth-completion-succeeds',
  },
  {
    module: 'fapi2-security-profile-final-par-attempt-reuse-request_uri',
    file: 'fapi2',
    title: 'par-attempt-reuse-request_uri',
  },
  {
    module: 'fapi2-security-profile-final-par-attempt-to-use-expired-request_uri',
    file: 'fapi2',
    title: 'par-attempt-reuse-request_uri, -expired-request_uri',
  },
  {
    module:
      'fapi2-security-profile-final-par-ensure-jwt-client-assertions-nbf-8-seconds-in-the-future-is-accepted',
    file: 'fapi2',
    title: 'nbf-8-seconds-in-the-future-is-accepted',
  },
  {
    module:
      'fapi2-security-profile-final-par-ensure-jwt-client-assertions-nbf-over-60-seconds-in-the-future-fails',
    file: 'fapi2',
    title: 'nbf-over-60-seconds-in-the-future',
  },
  {
    module: 'fapi2-security-profile-final-par-attempt-to-use-request_uri-for-different-client',
    file: 'fapi2',
    title: '-for-different-client',
  },
  {
    module:
      'fapi2-security-profile-final-par-authorization-request-containing-request_uri-form-param',
    file: 'fapi2',
    title: 'authorization-request-containing-request_uri-form-param',
  },
  {
    module: 'fapi2-security-profile-final-par-attempt-invalid-http-method',
    file: 'fapi2',
    title: 'par-attempt-invalid-http-method',
  },
  {
    module: 'fapi2-security-profile-final-par-ensure-pkce-required',
    file: 'fapi2',
    title: 'pkce-required',
  },
  {
    module: 'fapi2-security-profile-final-ensure-pkce-code-verifier-required',
    file: 'fapi2',
    title: 'ensure-pkce-code-verifier-required',
  },
  {
    module: 'fapi2-security-profile-final-incorrect-pkce-code-verifier-rejected',
    file: 'fapi2',
    title: 'incorrect-pkce-code-verifier-rejected',
  },
  {
    module: 'fapi2-security-profile-final-par-plain-pkce-rejected',
    file: 'fapi2',
    title: 'plain-pkce-rejected',
  },
  {
    module: 'fapi2-security-profile-final-par-authorization-request-containing-request_uri',
    file: 'fapi2',
    title: 'containing-request_uri',
  },
  {
    module: 'fapi2-security-profile-final-par-without-duplicate-parameters',
    file: 'fapi2',
    title: 'happy-flow',
  },
  {
    module: 'fapi2-security-profile-final-par-test-array-as-audience-fails',
    file: 'fapi2',
    title: 'array-as-audience',
  },
  {
    module: 'fapi2-security-profile-final-par-test-par-endpoint-url-as-audience-fails',
    file: 'fapi2',
    title: 'par-endpoint-url-as-audience',
  },
  {
    module: 'fapi2-security-profile-final-par-test-token-endpoint-url-as-audience-fails',
    file: 'fapi2',
    title: 'token-endpoint-url-as-audience',
  },
  {
    module: 'oidcc-3rd_party-init-login',
    file: 'dynamic',
    title: 'oidcc-3rd_party-init-login, -nohttps',
  },
  {
    module: 'oidcc-3rd_party-init-login-nohttps',
    file: 'dynamic',
    title: 'oidcc-3rd_party-init-login, -nohttps',
  },
];
