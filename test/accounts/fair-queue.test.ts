// A queue that is fair between those who wait.
import { expect, test } from 'vitest';
import { FairQueue } from '../../src/accounts/fair-queue.ts';

const emptied = (queue: FairQueue<string>) => {
  const all: string[] = [];
  for (let item = queue.shift(); item !== undefined; item = queue.shift()) all.push(item);
  return all;
};

test('lanes take turns, each in its own order', () => {
  const queue = new FairQueue<string>(10);
  for (const item of ['a1', 'a2', 'a3', 'b1', 'b2', 'c1']) queue.push(item[0] ?? '', item);
  expect(queue.length).toBe(6);
  expect(emptied(queue)).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'a3']);
  expect(queue.length).toBe(0);
});

test('who comes later waits for one of each lane, not for all', () => {
  const queue = new FairQueue<string>(10);
  for (const item of ['a1', 'a2', 'a3', 'a4']) queue.push('a', item);
  expect(queue.shift()).toBe('a1');
  queue.push('b', 'b1');
  expect(emptied(queue)).toEqual(['a2', 'b1', 'a3', 'a4']);
});

test('when it is full the newest of the longest lane gives way, and never to one that is as long', () => {
  const queue = new FairQueue<string>(4);
  for (const item of ['a1', 'a2', 'a3', 'b1'])
    expect(queue.push(item[0] ?? '', item)).toBeUndefined();
  expect(queue.push('a', 'a4')).toBe('a4');
  expect(queue.push('c', 'c1')).toBe('a3');
  expect(queue.length).toBe(4);
  expect(queue.push('b', 'b2')).toBe('b2');
  expect(queue.push('d', 'd1')).toBe('a2');
  expect(queue.push('e', 'e1')).toBe('e1');
  expect(emptied(queue)).toEqual(['a1', 'b1', 'c1', 'd1']);
});
