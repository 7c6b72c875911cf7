// Batches queries of the same kind from concurrent requests: a query that arrives while a batch is on its way goes with
// the next one. A lone query goes at once, and a slow batch does not hold up the others.

const LARGEST = 64;
// A batch takes this many of the waiting queries, or half of them if that is more: the database works on these while
// this process prepares the others.
const SMALL = 10;
const AT_ONCE = 3; // batches on their way at a time, when earlier ones are late
const LATE = 20; // milliseconds

interface Waiting<In, Out> {
  readonly item: In;
  readonly resolve: (out: Out) => void;
  readonly reject: (error: unknown) => void;
}

export class Batch<In, Out> {
  readonly #run: (items: readonly In[]) => Promise<readonly Out[]>;
  #waiting: Waiting<In, Out>[] = [];
  #onTheirWay = 0;
  #lastSent = 0;
  #isScheduled = false;
  #alarm: NodeJS.Timeout | undefined;

  /** @param run answers the items, in their order; an error rejects each of them */
  constructor(run: (items: readonly In[]) => Promise<readonly Out[]>) {
    this.#run = run;
  }

  ask(item: In): Promise<Out> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#isScheduled || this.#onTheirWay >= AT_ONCE || this.#waiting.length === 0) return;
    if (this.#onTheirWay > 0) {
      const left = this.#lastSent + LATE - performance.now();
      if (left > 0) {
        this.#alarm ??= setTimeout(() => {
          this.#alarm = undefined;
          this.#schedule();
        }, left);
        return;
      }
    }
    this.#isScheduled = true;
    // After everything else that has arrived by now.
    setImmediate(() => {
      this.#isScheduled = false;
      const half = Math.ceil(this.#waiting.length / 2);
      const batch = this.#waiting.splice(0, Math.min(LARGEST, Math.max(SMALL, half)));
      this.#onTheirWay++;
      this.#lastSent = performance.now();
      void this.#send(batch).finally(() => {
        this.#onTheirWay--;
        this.#schedule();
      });
      this.#schedule();
    });
  }

  async #send(batch: readonly Waiting<In, Out>[]): Promise<void> {
    try {
      const answers = await this.#run(batch.map(({ item }) => item));
      batch.forEach(({ resolve }, index) => {
        resolve(answers[index] as Out);
      });
    } catch (error) {
      if (batch.length > 1 && isOfOne(error)) {
        await Promise.all(batch.map((one) => this.#send([one])));
        return;
      }
      for (const { reject } of batch) reject(error);
    }
  }
}

// PostgreSQL's classes 22 and 23: invalid data, a violated constraint. One item's error must not fail the others.
function isOfOne(error: unknown): boolean {
  return /^2[23]/.test((error as { code?: string }).code ?? '');
}
