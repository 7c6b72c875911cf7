// The networks by which strangers are counted.
import { expect, test } from 'vitest';
import { networkOf, networksOf, widestNetworkOf } from '../../src/accounts/networks.ts';

test.each([
  ['203.0.113.7', ['203.0.113.7']],
  ['::ffff:203.0.113.7', ['203.0.113.7']],
  ['2001:db8:1:2:3:4:5:6', ['20010db800010002/64', '20010db8000100/56', '20010db80001/48']],
  ['2001:db8:1:2:ffff::', ['20010db800010002/64', '20010db8000100/56', '20010db80001/48']],
  ['unix socket', ['unix socket']],
])('%s is of %j', (ip, networks) => {
  expect(networksOf(ip)).toEqual(networks);
  expect([networkOf(ip), widestNetworkOf(ip)]).toEqual([networks[0], networks.at(-1)]);
});

test('a /48 and a /56 are the same wherever in them an address is', () => {
  const [, one56, one48] = networksOf('2001:db8:1:2::1');
  const [, same56, same48] = networksOf('2001:db8:1:ff::1');
  const [, other56, again48] = networksOf('2001:db8:1:100::1');
  expect([same56, same48, again48]).toEqual([one56, one48, one48]);
  expect(other56).not.toBe(one56);
  expect(networksOf('2001:db8:2::1').at(-1)).not.toBe(one48);
});
