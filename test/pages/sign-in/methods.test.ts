// With which methods a sign-in gets on, also where the account does not lead to what is wanted.
import { describe, expect, test } from 'vitest';
import type { Factors } from '../../../src/accounts/factors.ts';
import type { SignedIn } from '../../../src/pages/browser-session.ts';
import { methodsToComplete, methodsToOffer } from '../../../src/pages/sign-in/methods.ts';

const none: Factors = { password: true, passkeys: 0, totp: false, recoveryCodes: 0 };
const app: Factors = { ...none, totp: true };
const person = {} as SignedIn;

describe('to complete a sign-in', () => {
  test.each([
    ['1fa', none, ['pwd'], []],
    ['1fa', app, ['pwd'], ['totp']],
    ['1fa', app, ['pwd', 'otp', 'mfa'], []],
    ['2fa', none, ['pwd'], []],
    // What does not lead there is asked for all the same: a password alone never gets round a second factor.
    ['phr', app, ['pwd'], ['totp']],
    ['phr', app, ['pwd', 'otp', 'mfa'], []],
  ] as const)('%s, with %j and %j: %j', (wanted, factors, amr, methods) => {
    expect(methodsToComplete({ wanted }, amr, factors)).toEqual(methods);
    expect(methodsToOffer({ wanted }, amr, factors)).toEqual(methods);
  });
});

test('whoever is signed in is offered nothing that does not lead to what is wanted', () => {
  const offered = (factors: Factors) => methodsToOffer({ wanted: 'phr', person }, ['pwd'], factors);
  expect(offered(app)).toEqual([]);
  expect(offered({ ...app, passkeys: 1 })).toEqual(['passkey']);
  // It is no end of a sign-in that begins there anew.
  expect(methodsToComplete({ wanted: 'phr' }, ['pwd'], app)).toEqual(['totp']);
});
