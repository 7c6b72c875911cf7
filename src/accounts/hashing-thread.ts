// A thread that hashes passwords and compares them, one at a time; see hashing.ts.
import { setPriority } from 'node:os';
import { parentPort } from 'node:worker_threads';
import { compareForeign } from './foreign-hashes.ts';
import type { Answer, Question } from './hashing.ts';

// Its program for the platform is an optional dependency: `npm install --omit=optional` leaves it out.
const { hashSync, verifySync } = await import('@node-rs/argon2').catch(
  () => import('./node-argon2.ts'),
);

// On Linux this sets the priority of this thread; elsewhere it would be the whole process's.
if (process.platform === 'linux') setPriority(0, 10);

parentPort?.on('message', ({ password, stored }: Question) => {
  parentPort?.postMessage(answer(password, stored));
});

function answer(password: string, stored: string | undefined): Answer {
  try {
    if (stored === undefined) return { value: hashSync(password) };
    return { value: compareForeign(stored, password) ?? verifySync(stored, password) };
  } catch (error) {
    return { error };
  }
}
