// The clients of a cluster. Each asks a process at random, and writes down what it asked and what came. Honest ones go on
// with what they hold; some families begin, are renewed a few times and are revoked; what was revoked is presented again
// and again.
import { setTimeout as sleep } from 'node:timers/promises';
import { generationOf } from '../faults/clients.ts';
import { person } from '../support/provider.ts';
import { type Answer, familyIdOf, post } from '../support/token-endpoint.ts';
import type { Operation } from './history.ts';

const PATIENCE = 40_000; // milliseconds that a client waits for an answer

interface Party {
  readonly client_id: string;
  readonly client_secret: string;
}

/** One line as its client holds it. */
interface Held {
  readonly family: string;
  refresh: string;
  access: string | undefined;
}

export class Load {
  readonly history: Operation[] = [];
  readonly #urls: ReadonlyMap<string, string>;
  readonly #client: Party;
  readonly #random: () => number;
  readonly #revoked: Held[] = [];
  #isOver = false;
  readonly #loops: Promise<void>[] = [];

  /** @param urls of the processes, by name */
  constructor(urls: ReadonlyMap<string, string>, client: Party, random: () => number) {
    this.#urls = urls;
    this.#client = client;
    this.#random = random;
  }

  /** A client that refreshes all the while; now and then it asks two processes at once. */
  honest(token: string): void {
    const held = this.#hold(token);
    this.#loop(400, async () => {
      const twice = this.#random() < 0.1;
      await Promise.all([this.#refresh(held), ...(twice ? [this.#refresh(held)] : [])]);
    });
  }

  /** Revokes these one after the other, each renewed a few times before. */
  leaving(tokens: readonly string[]): void {
    const waiting = [...tokens];
    this.#loop(700, async () => {
      const token = waiting.pop();
      if (token !== undefined) await this.#leave(this.#hold(token));
    });
  }

  /** Begins families with the person's password, which are renewed and revoked. */
  beginning(): void {
    this.#loop(2_500, async () => {
      const form = {
        ...{ grant_type: 'password', username: person.email, password: person.password },
        scope: 'openid offline_access',
      };
      const { body } = await this.#ask('begin', undefined, '/token', form);
      if (body?.refresh_token !== undefined) {
        const held = { ...this.#hold(body.refresh_token), access: body.access_token };
        await this.#leave(held);
      }
    });
  }

  /** Presents what was revoked. */
  haunting(): void {
    this.#loop(300, async () => {
      // The last ones above all.
      const back = Math.floor(this.#random() ** 3 * this.#revoked.length);
      const held = this.#revoked.at(-1 - back);
      if (held) await this.#haunt(held);
    });
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#loops);
  }

  /** Presents everything that was revoked once more. */
  async haveAll(): Promise<void> {
    for (const held of this.#revoked) await this.#haunt(held);
  }

  /** Presents a token that is used up, and then what is held: one line lives, and this ends it. */
  async steal(family: string): Promise<void> {
    const given = this.history.filter(
      (one) => one.family === family && one.kind === 'refresh' && one.answer === 'given',
    );
    const tokens = given.map((one) => one.given ?? '');
    tokens.sort((a, b) => generationOf(a) - generationOf(b));
    for (const token of [tokens.at(-3), tokens.at(-1)])
      if (token !== undefined) await this.#refresh(this.#hold(token));
  }

  #hold(token: string): Held {
    return { family: familyIdOf(token), refresh: token, access: undefined };
  }

  async #leave(held: Held): Promise<void> {
    const turns = Math.floor(this.#random() * 4);
    for (let turn = 0; turn < turns; turn++) await this.#refresh(held);
    const form = { token: held.refresh };
    while (!this.#isOver) {
      const { answer } = await this.#ask('revoke', held, '/revoke', form);
      if (answer !== 'unavailable') break;
      await sleep(200);
    }
    this.#revoked.push({ ...held });
  }

  async #haunt(held: Held): Promise<void> {
    if (held.access !== undefined && this.#random() < 0.5)
      await this.#ask('introspect', held, '/introspect', { token: held.access });
    else await this.#refresh({ ...held });
  }

  async #refresh(held: Held): Promise<void> {
    const form = { grant_type: 'refresh_token', refresh_token: held.refresh };
    const { body } = await this.#ask('refresh', held, '/token', form);
    if (body?.refresh_token === undefined) return;
    // Of two at once, either answer will do.
    if (generationOf(body.refresh_token) < generationOf(held.refresh)) return;
    held.refresh = body.refresh_token;
    held.access = body.access_token;
  }

  async #ask(
    kind: Operation['kind'],
    held: Held | undefined,
    path: string,
    form: Record<string, string>,
  ): Promise<{ answer: Operation['answer']; body: Answer['body'] | undefined }> {
    const all = [...this.#urls];
    const [process, url] = all[Math.floor(this.#random() * all.length)] ?? ['', ''];
    const presented = form['refresh_token'] ?? form['token'];
    const asked = performance.now();
    const came = await post(url + path, form, this.#client, AbortSignal.timeout(PATIENCE)).catch(
      () => undefined, // nobody knows what became of it
    );
    const { body } = came ?? {};
    const answer = answerOf(kind, came);
    const family = held?.family ?? (body?.refresh_token ? familyIdOf(body.refresh_token) : '');
    this.history.push({
      ...{ kind, family, process, asked, came: performance.now(), answer },
      ...(presented === undefined ? {} : { presented }),
      ...(body?.refresh_token === undefined ? {} : { given: body.refresh_token }),
      ...(answer === 'refused'
        ? { reason: body?.error_description ?? body?.error ?? String(came?.status) }
        : {}),
    });
    return { answer, body };
  }

  #loop(pause: number, turn: () => Promise<void>): void {
    const loop = async () => {
      for (;;) {
        await sleep(pause * (0.5 + this.#random()));
        if (this.#isOver) return;
        await turn();
      }
    };
    this.#loops.push(loop());
  }
}

function answerOf(kind: Operation['kind'], came: Answer | undefined): Operation['answer'] {
  if (came === undefined || came.status === 503) return 'unavailable';
  if (came.status !== 200) return 'refused';
  if (kind === 'revoke') return 'done';
  if (kind === 'introspect')
    return (came.body as { active?: boolean }).active === true ? 'given' : 'refused';
  return came.body.refresh_token === undefined ? 'refused' : 'given';
}
