// Password hashing with argon2id and OWASP's parameters, which are the library's defaults (19 MiB, 2 passes, 1 lane). A
// hash takes a core for tens of milliseconds. So hashing runs in threads of its own (hashing-thread.ts), one fewer than
// there are cores, at a low priority: a storm of sign-ins does not hold up other requests. The passwords that wait take
// turns by the network that they come from, so that a storm from some addresses does not hold up sign-ins from others;
// browsers that an account knows have a queue of their own. When a queue is too long, a request is refused at once.
import { availableParallelism } from 'node:os';
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { errors } from 'oidc-provider';
import { requestOrigin } from '../storage/unit-of-work.ts';
import { FairQueue } from './fair-queue.ts';
import { widestNetworkOf } from './networks.ts';
import { PARAMETERS } from './node-argon2.ts';
import { normalizedPassword } from './password-rules.ts';

/** What a thread is asked: to hash a password, or to compare it with a hash. */
export type Question = { readonly password: string; readonly stored?: string };
export type Answer = { readonly value: string | boolean } | { readonly error: unknown };

const THREADS = Math.max(1, availableParallelism() - 1);
// Types are stripped where it is built.
const THREAD = new URL(`./hashing-thread${extname(import.meta.url)}`, import.meta.url);
const LONGEST_QUEUE = 200; // of each of the two queues: about ten seconds of work for one thread
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

/** Who waits for a password to be hashed. */
export interface Waiter {
  /** The address of a stranger. */
  readonly ip?: string | undefined;
  /** The account that knows the browser; then the address does not count. */
  readonly knownTo?: string | undefined;
}

/**
 * @param waiter by default the address of the request that is served
 * @returns in PHC string format
 * @throws {TooBusy}
 */
export async function hashPassword(password: string, waiter?: Waiter): Promise<string> {
  return (await ask({ password: normalizedPassword(password) }, waiter)) as string;
}

/** @param waiter by default the address of the request that is served @throws {TooBusy} */
export async function verifyPassword(
  stored: string,
  password: string,
  waiter?: Waiter,
): Promise<boolean> {
  const normalized = normalizedPassword(password);
  if (await ask({ password: normalized, stored }, waiter)) return true;
  // An old hash, made before passwords were normalised.
  return normalized !== password && ((await ask({ password, stored }, waiter)) as boolean);
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

const known = new FairQueue<Waiting>(LONGEST_QUEUE);
const strangers = new FairQueue<Waiting>(LONGEST_QUEUE);
let isTurnOfKnown = true;
const idle: Thread[] = [];
let threads = 0;

function ask(
  question: Question,
  { knownTo, ip }: Waiter = { ip: requestOrigin()?.ip },
): Promise<string | boolean> {
  return new Promise((resolve, reject) => {
    const one = { question, resolve, reject };
    const tooMany =
      knownTo === undefined
        ? strangers.push(widestNetworkOf(ip ?? ''), one)
        : known.push(knownTo, one);
    tooMany?.reject(new TooBusy());
    const thread = idle.pop() ?? (threads < THREADS ? new Thread() : undefined);
    thread?.work();
  });
}

// Every other turn is a known browser's: they wait for no stranger but one, and whoever has an account does not keep
// everybody else out with it.
function next(): Waiting | undefined {
  const [first, second] = isTurnOfKnown ? [known, strangers] : [strangers, known];
  isTurnOfKnown = !isTurnOfKnown;
  return first.shift() ?? second.shift();
}

class Thread {
  readonly #worker = new Worker(THREAD);
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
      if (known.length + strangers.length > 0 && threads < THREADS) new Thread().work();
    });
  }

  /** Takes the question whose turn it is, or waits for one. */
  work(): void {
    clearTimeout(this.#end);
    this.#current = next();
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
