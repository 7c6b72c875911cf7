// The table of the settings: that each of them reaches the configuration and its documentation.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { configurationDocs } from '../../scripts/configuration-docs.ts';
import { readConfig } from '../../src/config/config.ts';
import { settingsOf } from '../../src/config/settings.ts';

describe('no setting is dead: the configuration is another with it', () => {
  const folder = mkdtempSync(join(tmpdir(), 'symbolon-settings-'));
  const file = (name: string, content: string) => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  const secret = 'x'.repeat(32);
  const tls = { SYMBOLON_TLS_CERT: 'cert.pem', SYMBOLON_TLS_KEY: 'key.pem' };
  const proxy = { SYMBOLON_TRUST_PROXY: 'true', SYMBOLON_TLS_CLIENT_CERT_HEADER: 'x-cert' };
  // A value other than the default, and what must be set besides.
  const samples: [variable: string, value: string, besides?: Record<string, string>][] = [
    ['PORT', '4000'],
    ['HOST', '::'],
    ['NODE_ENV', 'production'],
    ['LOG_LEVEL', 'warn'],
    ['DATABASE_URL', 'postgresql://localhost/x', { SYMBOLON_SECRET: secret }],
    [
      'DATABASE_PASSWORD',
      'p@ss',
      { DATABASE_URL: 'postgresql://x@localhost/x', SYMBOLON_SECRET: secret },
    ],
    ['SYMBOLON_ISSUER', 'https://id.example.com'],
    ['SYMBOLON_DATA_DIR', 'data'],
    ['SYMBOLON_SECRET', secret],
    ['SYMBOLON_TRUST_PROXY', '10.0.0.0/8, ::1'],
    ['SYMBOLON_APPLY', '/etc/symbolon/apply'],
    ['SYMBOLON_AUDIT_RETENTION_DAYS', '90'],
    ['SYMBOLON_SMTP_URL', 'smtp://mail.example.com'],
    ['SYMBOLON_PRINT_MAILS', 'false'],
    ['SYMBOLON_MAIL_FROM', 'id@example.com'],
    ['SYMBOLON_SIGN_UP', 'open'],
    ['SYMBOLON_DELETION_DAYS', 'off'],
    ['SYMBOLON_ACCESS_TOKEN_TTL', '1'],
    ['SYMBOLON_ID_TOKEN_TTL', '1'],
    ['SYMBOLON_SESSION_TTL', '1'],
    ['SYMBOLON_SESSION_ABSOLUTE_TTL', '1'],
    ['SYMBOLON_REFRESH_TOKEN_IDLE_TTL', '1'],
    ['SYMBOLON_REFRESH_TOKEN_ABSOLUTE_TTL', '1'],
    ['SYMBOLON_REFRESH_TOKEN_RETRY_WINDOW', '1'],
    ['SYMBOLON_REFRESH_TOKEN_CLIENT_RETRY_WINDOW', '5'],
    ['SYMBOLON_REFRESH_TOKEN_BOUND_RETRY_WINDOW', '1'],
    ['SYMBOLON_REFRESH_TOKEN_ROTATION', 'never'],
    ['SYMBOLON_REFRESH_TOKEN_ON_REUSE', 'revoke_grant'],
    ['SYMBOLON_REFRESH_TOKEN_LATE_RETRY', '20'],
    ['SYMBOLON_REFRESH_TOKEN_MAX_LATE_RETRIES', '2,5'],
    ['SYMBOLON_ROTATION_COMMIT', 'relaxed'],
    ['SYMBOLON_REFRESH_TOKEN_MAX_FAMILIES', '1'],
    ['SYMBOLON_REFRESH_TOKEN_RETENTION', '1'],
    ['SYMBOLON_END_FAMILIES_ON', 'none'],
    ['SYMBOLON_ENABLE_JWT_BEARER_GRANT', 'true'],
    ['SYMBOLON_ENABLE_PASSWORD_GRANT', 'true'],
    ['SYMBOLON_ENABLE_TOKEN_EXCHANGE', 'true'],
    ['SYMBOLON_REGISTRATION', 'open'],
    ['SYMBOLON_UNUSED_CLIENT_DAYS', '7'],
    ['SYMBOLON_ENABLE_CLIENT_ID_METADATA_DOCUMENTS', 'true'],
    ['SYMBOLON_ENABLE_ENCRYPTION', 'true'],
    ['SYMBOLON_AUTHORIZATION_DETAILS_TYPES', 'payment'],
    ['SYMBOLON_REQUIRE_PKCE', 'true'],
    ['SYMBOLON_SIGNING_ALGORITHMS', 'RS256,EdDSA'],
    ['SYMBOLON_KEY_ROTATION_DAYS', '1'],
    ['SYMBOLON_CLAIMS_FILE', file('claims.json', '{ "access_token": ["email"] }')],
    ['SYMBOLON_NAME', 'Mine'],
    ['SYMBOLON_LOGO', file('logo.svg', '<svg></svg>')],
    ['SYMBOLON_ACCENT_COLOR', '#17594a'],
    ['SYMBOLON_ACCENT_COLOR_DARK', '#8fd3bd'],
    ['SYMBOLON_SUPPORT_URL', 'mailto:help@example.com'],
    ['SYMBOLON_PRIVACY_URL', 'https://example.com/privacy'],
    ['SYMBOLON_TERMS_URL', 'https://example.com/terms'],
    ['SYMBOLON_VIEWS_DIR', folder],
    ['SYMBOLON_KEEP_ALIVE', '620'],
    ['SYMBOLON_STOP_DELAY', '10'],
    ['SYMBOLON_OPERATIONS_PORT', '9090'],
    ['SYMBOLON_OPERATIONS_HOST', '::1'],
    ['SYMBOLON_ENABLE_CIBA', 'true'],
    ['SYMBOLON_ALLOW_PRIVATE_ADDRESSES', 'true'],
    ['SYMBOLON_TLS_CERT', 'other.pem', tls],
    ['SYMBOLON_TLS_KEY', 'other.pem', tls],
    ['SYMBOLON_MTLS_PORT', '8443', tls],
    ['SYMBOLON_TLS_CLIENT_CA', 'ca.pem', tls],
    ['SYMBOLON_TLS_CLIENT_CERT_HEADER', 'x-other', proxy],
    ['SYMBOLON_TLS_CLIENT_VERIFY_HEADER', 'x-verify', proxy],
  ];
  test.each(samples)('%s', (variable, value, besides = {}) => {
    expect(readConfig({ ...besides, [variable]: value })).not.toEqual(readConfig(besides));
  });

  test('every setting is here', () => {
    expect(samples.map(([variable]) => variable)).toEqual(
      settingsOf().map(({ variable }) => variable),
    );
  });
});

test('docs/configuration.md is what the declaration says', () => {
  expect(readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8')).toBe(
    configurationDocs(),
  );
});
