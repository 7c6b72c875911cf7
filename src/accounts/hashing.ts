// Password hashing with argon2id and OWASP's parameters, which are the library's defaults (19 MiB, 2 passes, 1 lane). A
// hash takes a core for tens of milliseconds. So hashing runs in threads of its own (hashing-thread.ts), one fewer than
// there are cores, at a low priority: a storm of sign-ins does not hold up other requests. When the queue is too long,
// a request is refused at once.
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { errors } from 'oidc-provider';
import { normalizedPassword } from './password-rules.ts';

/** What a thread is asked: to hash a password, or to compare it with a hash. */
export type Question = { readonly password: string; readonly stored?: string };
export type Answer = { readonly value: string | boolean } | { readonly error: unknown };

const PARAMETERS = { m: 19_456, t: 2, p: 1 }; // a test holds the library to them
const THREADS = Math.max(1, availableParallelism() - 1);
const LONGEST_QUEUE = 200; // about ten seconds of work for one thread
const IDLE = 10_000; // milliseconds after which a thread that has nothing to do ends

/** Too many passwords wait to be hashed: this one was not looked at (RFC 6749 §4.1.2.1). */
export class TooBusy extends errors.CustomOIDCProviderError {
  constructor() {
    super(
      'temporarily_unavailable',
      'the provider has too many passwords to check right now; nothing was changed, please try again',
    );
    this.status = this.statusCode = 503;
    this.expose = true;
  }
}

/** @returns in PHC string format @throws {TooBusy} */
export async function hashPassword(password: string): Promise<string> {
  return (await ask({ password: normalizedPassword(password) })) as string;
}

/** @throws {TooBusy} */
export async function verifyPassword(stored: string, password: string): Promise<boolean> {
  const normalized = normalizedPassword(password);
  if (await ask({ password: normalized, stored })) return true;
  // An old hash, made before passwords were normalised.
  return normalized !== password && ((await ask({ password, stored })) as boolean);
}

/** Whether a hash was made with weaker parameters than today's, and with none that is stronger. */
export function isWeaker(stored: string): boolean {
  const parameters = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$/.exec(stored);
  if (!parameters) return true; // another algorithm
  const [m, t, p] = parameters.slice(1).map(Number) as [number, number, number];
  const isMore = m > PARAMETERS.m || t > PARAMETERS.t || p > PARAMETERS.p;
  return !isMore && (m < PARAMETERS.m || t < PARAMETERS.t || p < PARAMETERS.p);
}

interface Waiting {
  readonly question: Question;
  readonly resolve: (value: string | boolean) => void;
  readonly reject: (error: unknown) => void;
}

const waiting: Waiting[] = [];
const idle: Thread[] = [];
let threads = 0;

function ask(question: Question): Promise<string | boolean> {
  return new Promise((resolve, reject) => {
    if (waiting.length >= LONGEST_QUEUE) throw new TooBusy();
    waiting.push({ question, resolve, reject });
    const thread = idle.pop() ?? (threads < THREADS ? new Thread() : undefined);
    thread?.work();
  });
}

class Thread {
  readonly #worker = new Worker(new URL('./hashing-thread.ts', import.meta.url));
  #current: Waiting | undefined;
  #end: NodeJS.Timeout | undefined;

  constructor() {
    threads++;
    this.#worker.on('message', (answer: Answer) => {
      const current = this.#current;
      if ('error' in answer) current?.reject(answer.error);
      else current?.resolve(answer.value);
      this.work();
    });
    this.#worker.once('error', (error) => this.#current?.reject(error));
    this.#worker.once('exit', () => {
      threads--;
      if (idle.includes(this)) idle.splice(idle.indexOf(this), 1);
      // The queue must go on, whatever a thread died of.
      if (waiting.length > 0 && threads < THREADS) new Thread().work();
    });
  }

  /** Takes the question that has waited longest, or waits for one. */
  work(): void {
    clearTimeout(this.#end);
    this.#current = waiting.shift();
    if (this.#current) {
      this.#worker.ref();
      this.#worker.postMessage(this.#current.question);
      return;
    }
    idle.push(this);
    this.#worker.unref(); // it does not keep the process alive
    this.#end = setTimeout(() => void this.#worker.terminate(), IDLE).unref();
  }
}
