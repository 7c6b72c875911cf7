// The refresh token's value, and the verdict table, with a clock of its own.
import { describe, expect, test } from 'vitest';
import { Keyring, sha256 } from '../../src/keys/keyring.ts';
import {
  type NewToken,
  type RefreshToken,
  formatFirstForm,
  formatRefreshToken,
  isSealed,
  isSecret,
  newRefreshToken,
  parseRefreshToken,
  successors,
} from '../../src/storage/families/token.ts';
import {
  type FamilyState,
  expiresAt,
  judge,
  lifeEnd,
  reuseReason,
} from '../../src/storage/families/verdict.ts';

const now = new Date('2026-01-01T00:00:00Z');
const later = (seconds: number) => new Date(now.getTime() + seconds * 1000);
const keyring = new Keyring(['one secret that is long enough to be one']);
const familyId = 'f'.repeat(22);
const salt = new Uint8Array(16).fill(7);

/** A secret by a name. */
const secret = (name: string) => sha256(name).toString('base64url');

/** What somebody presents: of the second form with a generation, of the first without. */
function presented(
  name: string,
  generation?: number,
  change: Partial<NewToken> = {},
): RefreshToken {
  const token = { familyId, secret: secret(name), generation: generation ?? 0, salt, ...change };
  const value =
    generation === undefined ? formatFirstForm(token) : formatRefreshToken(keyring, token);
  const parsed = parseRefreshToken(keyring, value);
  if (!parsed) throw new Error(`${value} was not read`);
  return parsed;
}

function family(change: Partial<FamilyState & { endReason: string | null }> = {}) {
  return {
    id: familyId,
    generation: 3,
    currentHash: sha256(secret('third')),
    previousHash: sha256(secret('second')),
    salt,
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
  const third = presented('third', 3);
  const second = presented('second', 2);
  const first = presented('first', 1);
  const ahead = presented('ninth', 9);
  const forged = presented('ninth', 9, { salt: new Uint8Array(16) });
  test.each([
    ['the current one', third, later(10), {}, 'rotate'],
    ['the former one within the window', second, later(59.999), {}, 'retry'],
    ['the former one at the window’s end', second, later(60), {}, 'reuse'],
    ['one before that', first, later(1), {}, 'reuse'],
    ['one that is ahead of the row', ahead, later(1), {}, 'catch_up'],
    ['another of the row’s generation', presented('other', 3), later(1), {}, 'reuse'],
    ['another of the former generation', presented('other', 2), later(1), {}, 'reuse'],
    ['a tag that was made without the salt', forged, later(1), {}, 'unknown'],
    ['the same, of an ended family', forged, later(1), { endedAt: now }, 'unknown'],
    ['the same, of an expired family', forged, later(9000), {}, 'unknown'],
    [
      'the current secret, the tag made with another salt',
      third,
      now,
      { salt: new Uint8Array(16) },
      'rotate',
    ],
    ['the current one of an ended family', third, now, { endedAt: now }, 'ended'],
    ['an old one of an ended family', first, now, { endedAt: now }, 'ended'],
    ['one ahead of an ended family', ahead, now, { endedAt: now }, 'ended'],
    ['the current one just before it is idle', third, later(999.999), {}, 'rotate'],
    ['the current one when it is idle', third, later(1000), {}, 'expired'],
    ['one ahead, whose use the row has forgotten', ahead, later(1000), {}, 'catch_up'],
    ['one ahead at the absolute end', ahead, later(2000), {}, 'expired'],
    [
      'one ahead when the consent has ended',
      ahead,
      later(50),
      { consentExpiresAt: later(50) },
      'expired',
    ],
    [
      'the current one at the absolute end',
      third,
      later(2000),
      { idleExpiresAt: later(9000) },
      'expired',
    ],
    [
      'the current one when the consent has ended',
      third,
      later(50),
      { consentExpiresAt: later(50) },
      'expired',
    ],
    ['an old one of an expired family', first, later(1000), {}, 'expired'],
    ['of the first form: the current one', presented('third'), later(10), {}, 'rotate'],
    ['of the first form: the former one', presented('second'), later(10), {}, 'retry'],
    ['of the first form: the former one, late', presented('second'), later(60), {}, 'reuse'],
    ['of the first form: any other', presented('first'), later(10), {}, 'unknown'],
  ] as const)('%s', (_what, token, time, change, verdict) => {
    expect(judge(family(change), token, time, 60)).toBe(verdict);
  });

  test('a window of 0 is off, at once', () => {
    expect(judge(family(), second, now, 0)).toBe('reuse');
  });

  test('a family that was never rotated has no former token', () => {
    const young = family({ generation: 0, previousHash: null, rotatedAt: null });
    expect(judge(young, presented('second'), now, 60)).toBe('unknown');
  });
});

describe('the reason of a refusal', () => {
  test('tells a late token from a replayed one', () => {
    expect(reuseReason(family(), presented('second', 2))).toBe('rotated_beyond_window');
    expect(reuseReason(family(), presented('first', 1))).toBe('reuse');
  });

  test.each([
    [later(999), {}, undefined],
    [later(1000), {}, 'idle_expired'],
    [later(2000), { idleExpiresAt: later(9000) }, 'absolute_expired'],
    [later(50), { consentExpiresAt: later(50) }, 'consent_expired'],
    [now, { endedAt: now, endReason: 'limit' }, 'limit'],
  ] as const)('at %s with %o: %s', (time, change, reason) => {
    expect(lifeEnd(family(change), time)).toBe(reason);
  });
});

test('a family ends by whichever comes first', () => {
  expect(expiresAt(family())).toEqual(later(1000));
  expect(expiresAt(family({ idleExpiresAt: later(5000) }))).toEqual(later(2000));
  expect(expiresAt(family({ consentExpiresAt: later(1) }))).toEqual(later(1));
});

describe('the token', () => {
  test('says what it is, and has 256 random bits', () => {
    const tokens = Array.from({ length: 500 }, () => newRefreshToken(familyId));
    expect(new Set(tokens.map((one) => one.secret)).size).toBe(500);
    expect(new Set(tokens.map((one) => Buffer.from(one.salt).toString('hex'))).size).toBe(500);
    for (const token of tokens) {
      expect(token.salt.length).toBe(16);
      expect(formatRefreshToken(keyring, token)).toMatch(/^symr_f{22}\.0\.[\w-]{64}$/);
    }
  });

  test('is read back, and shows that it was issued', () => {
    const token = newRefreshToken(familyId);
    const parsed = parseRefreshToken(keyring, formatRefreshToken(keyring, token));
    expect(parsed).toMatchObject({ familyId, secret: token.secret, proof: { generation: 0 } });
    expect(parsed?.proof && isSealed(parsed.proof, token.salt)).toBe(true);
    expect(parsed?.proof && isSealed(parsed.proof, salt)).toBe(false);
    expect(parseRefreshToken(keyring, formatFirstForm(token))).toEqual({
      ...{ familyId, secret: token.secret, proof: undefined },
    });
  });

  test('nothing else is taken for one', () => {
    const value = formatRefreshToken(keyring, newRefreshToken(familyId));
    const texts = ['', 'a.b', `${value} `, `${value}.x`, `x${value}`, value.replace('.0.', '.00.')];
    for (const text of [...texts, value.replace('.0.', '.-1.'), value.replace('.0.', '.0x1.')])
      expect(parseRefreshToken(keyring, text), text).toBeUndefined();
  });

  test('every part of it is covered by its tag', () => {
    const value = formatRefreshToken(keyring, {
      familyId,
      generation: 12,
      secret: secret('a'),
      salt,
    });
    const changed = (at: number) =>
      value.slice(0, at) + (value[at] === 'A' ? 'B' : 'A') + value.slice(at + 1);
    const prefix = 'symr_'.length;
    for (let at = prefix; at < value.length; at++) {
      if (value[at] === '.') continue;
      const parsed = parseRefreshToken(keyring, changed(at));
      expect(parsed?.proof && isSealed(parsed.proof, salt), `character ${at}`).not.toBe(true);
    }
    const other = parseRefreshToken(keyring, value.replace('.12.', '.13.'));
    expect(other).toMatchObject({ familyId, proof: undefined });
  });

  test('its tag needs the server’s secret and the family’s salt', () => {
    const token = { familyId, generation: 1, secret: secret('a'), salt };
    const value = formatRefreshToken(keyring, token);
    const without = new Keyring(['another secret that is long enough too']);
    expect(parseRefreshToken(without, value)?.proof).toBeUndefined();
    expect(formatRefreshToken(keyring, { ...token, salt: new Uint8Array(16) })).not.toBe(value);
  });

  test('after SYMBOLON_SECRET has changed, it still shows that it was issued', () => {
    const value = formatRefreshToken(keyring, {
      familyId,
      generation: 1,
      secret: secret('a'),
      salt,
    });
    const changed = new Keyring(['the new one', 'one secret that is long enough to be one']);
    const { proof } = parseRefreshToken(changed, value) ?? {};
    expect(proof && isSealed(proof, salt)).toBe(true);
  });

  test('its successor depends on the server’s secret, the family, the generation and the token', () => {
    const token = { familyId, secret: 's'.repeat(43) };
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
    const token = { familyId, secret: 's'.repeat(43) };
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
