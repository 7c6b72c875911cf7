// Passwords are kept as argon2id with OWASP's parameters, which are the library's own (19 MiB, 2 passes, 1 lane). Each
// takes a core for tens of milliseconds, off the event loop; so few run at once that a storm of sign-ins leaves the
// provider a core for everything else.
import { availableParallelism } from 'node:os';
import { hash, verify } from '@node-rs/argon2';

const AT_ONCE = Math.max(1, availableParallelism() - 1);

let running = 0;
const waiting: (() => void)[] = [];

export function hashPassword(password: string): Promise<string> {
  return inTurn(() => hash(password));
}

export function verifyPassword(stored: string, password: string): Promise<boolean> {
  return inTurn(() => verify(stored, password));
}

async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (running >= AT_ONCE) await new Promise<void>((resolve) => waiting.push(resolve));
  else running++;
  try {
    return await work();
  } finally {
    // The turn goes to who waits longest, if anybody does.
    const next = waiting.shift();
    if (next) next();
    else running--;
  }
}
