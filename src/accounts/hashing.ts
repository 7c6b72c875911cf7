// Passwords are kept as argon2id with OWASP's parameters, which are the library's own (19 MiB, 2 passes, 1 lane). Each
// takes a core for tens of milliseconds: in threads of their own (hashing-thread.ts), one fewer than there are cores,
// which step back behind whatever else wants a core. So a storm of sign-ins does not hold up everything else; who would
// wait too long behind it is refused at once.
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { errors } from 'oidc-provider';
import { normalizedPassword } from './password-rules.ts';

/** What a thread is asked, and what it answers. */
export type Question = { readonly password: string; readonly stored?: string };
export type Answer = { readonly value: string | boolean } | { readonly error: unknown };

const PARAMETERS = { m: 19_456, t: 2, p: 1 }; // a test holds the library to them
const THREADS = Math.max(1, availableParallelism() - 1);
const LONGEST_QUEUE = 200; // about ten seconds of work for one thread
const IDLE = 10_000; // milliseconds after which a thread that has nothing to do ends

/** More passwords wait than are hashed in good time: this one was not looked at (RFC 6749 §4.1.2.1). */
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
  // Hashed before passwords were normalised.
  return normalized !== password && ((await ask({ password, stored })) as boolean);
}

/** Whether a hash was made with less than passwords are hashed with now, and with nothing that is more. */
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
      // Who waits must not wait for ever, whatever a thread died of.
      if (waiting.length > 0 && threads < THREADS) new Thread().work();
    });
  }

  /** Takes who has waited longest, or waits itself. */
  work(): void {
    clearTimeout(this.#end);
    this.#current = waiting.shift();
    if (this.#current) {
      this.#worker.ref();
      this.#worker.postMessage(this.#current.question);
      return;
    }
    idle.push(this);
    this.#worker.unref(); // it does not keep the process
    this.#end = setTimeout(() => void this.#worker.terminate(), IDLE).unref();
  }
}
