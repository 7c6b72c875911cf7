// The verdict table, with a clock of its own.
import { describe, expect, test } from 'vitest';
import { Keyring, sha256 } from '../../src/keys/keyring.ts';
import {
  formatRefreshToken,
  isSecret,
  newRefreshToken,
  parseRefreshToken,
  successors,
} from '../../src/storage/families/token.ts';
import {
  type FamilyState,
  expiresAt,
  judge,
  refusalReason,
} from '../../src/storage/families/verdict.ts';

const now = new Date('2026-01-01T00:00:00Z');
const later = (seconds: number) => new Date(now.getTime() + seconds * 1000);

function family(change: Partial<FamilyState & { endReason: string | null }> = {}) {
  return {
    id: 'family',
    generation: 3,
    currentHash: sha256('current'),
    previousHash: sha256('previous'),
    rotatedAt: now,
    idleExpiresAt: later(1000),
    absoluteExpiresAt: later(2000),
    consentExpiresAt: null,
    endedAt: null,
    endReason: null,
    ...change,
  };
}

describe('the verdict', () => {
  test.each([
    ['the current secret', 'current', later(10), {}, 'rotate'],
    ['the former secret within the window', 'previous', later(59.999), {}, 'retry'],
    ['the former secret at the window’s end', 'previous', later(60), {}, 'reuse'],
    ['any other secret', 'older', later(1), {}, 'reuse'],
    [
      'any secret of a family never rotated',
      'previous',
      now,
      { previousHash: null, rotatedAt: null },
      'reuse',
    ],
    ['the current secret of an ended family', 'current', now, { endedAt: now }, 'ended'],
    ['an old secret of an ended family', 'older', now, { endedAt: now }, 'ended'],
    ['the current secret just before it is idle', 'current', later(999.999), {}, 'rotate'],
    ['the current secret when it is idle', 'current', later(1000), {}, 'expired'],
    [
      'the current secret at the absolute end',
      'current',
      later(2000),
      { idleExpiresAt: later(9000) },
      'expired',
    ],
    [
      'the current secret when the consent has ended',
      'current',
      later(50),
      { consentExpiresAt: later(50) },
      'expired',
    ],
    ['an old secret of an expired family', 'older', later(1000), {}, 'expired'],
  ] as const)('%s', (_what, secret, time, change, verdict) => {
    expect(judge(family(change), secret, time, 60)).toBe(verdict);
  });

  test('a window of 0 is off, at once', () => {
    expect(judge(family(), 'previous', now, 0)).toBe('reuse');
  });
});

describe('the reason of a refusal', () => {
  test.each([
    ['previous', later(60), {}, 'rotated_beyond_window'],
    ['older', later(1), {}, 'reuse'],
    ['current', later(1000), {}, 'idle_expired'],
    ['current', later(2000), { idleExpiresAt: later(9000) }, 'absolute_expired'],
    ['current', later(50), { consentExpiresAt: later(50) }, 'consent_expired'],
    ['current', now, { endedAt: now, endReason: 'limit' }, 'limit'],
  ] as const)('%s at %s with %o is %s', (secret, time, change, reason) => {
    expect(refusalReason(family(change), secret, time)).toBe(reason);
  });
});

test('a family ends by whichever comes first', () => {
  expect(expiresAt(family())).toEqual(later(1000));
  expect(expiresAt(family({ idleExpiresAt: later(5000) }))).toEqual(later(2000));
  expect(expiresAt(family({ consentExpiresAt: later(1) }))).toEqual(later(1));
});

describe('the token', () => {
  test('has 128 and 256 random bits, and never begins with a hyphen', () => {
    const tokens = Array.from({ length: 500 }, () => formatRefreshToken(newRefreshToken()));
    expect(new Set(tokens).size).toBe(500);
    for (const token of tokens) expect(token).toMatch(/^\w[\w-]{21}\.[\w-]{43}$/);
  });

  test('is read back, and nothing else is taken for one', () => {
    const token = newRefreshToken();
    expect(parseRefreshToken(formatRefreshToken(token))).toEqual(token);
    for (const text of [
      '',
      'a.b',
      `${formatRefreshToken(token)} `,
      `${formatRefreshToken(token)}.x`,
      `x${formatRefreshToken(token)}`,
    ]) {
      expect(parseRefreshToken(text)).toBeUndefined();
    }
  });

  test('its successor depends on the server’s secret, the family, the generation and the token', () => {
    const token = { familyId: 'f'.repeat(22), secret: 's'.repeat(43) };
    const keyring = new Keyring(['one secret that is long enough to be one']);
    const [successor] = successors(keyring, token, 1);
    expect(successor).toMatch(/^[\w-]{43}$/);
    expect(successors(keyring, token, 1)).toEqual([successor]);
    const others = [
      successors(keyring, token, 2)[0],
      successors(keyring, { ...token, familyId: 'g'.repeat(22) }, 1)[0],
      successors(keyring, { ...token, secret: 't'.repeat(43) }, 1)[0],
      successors(new Keyring(['another secret that is long enough too']), token, 1)[0],
    ];
    expect(new Set([successor, ...others]).size).toBe(5);
  });

  test('after SYMBOLON_SECRET has changed, its former successor is still among them', () => {
    const token = { familyId: 'f'.repeat(22), secret: 's'.repeat(43) };
    const [before] = successors(new Keyring(['the old one that is long enough']), token, 1);
    const after = successors(
      new Keyring(['the new one', 'the old one that is long enough']),
      token,
      1,
    );
    expect(after[0]).not.toBe(before);
    expect(after).toContain(before);
  });

  test('a hash is of one secret only', () => {
    expect(isSecret('current', sha256('current'))).toBe(true);
    expect(isSecret('Current', sha256('current'))).toBe(false);
  });
});
