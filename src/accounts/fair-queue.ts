// A queue that is fair between those who wait in it. Each has a lane, lanes take turns, and when the queue is full it is
// the longest lane that gives way: whoever sends a storm makes only their own wait longer.

export class FairQueue<T> {
  /** In the order of their turns; none is empty. */
  readonly #lanes = new Map<string, T[]>();
  readonly #longest: number;
  #length = 0;

  /** @param longest how many may wait at most */
  constructor(longest: number) {
    this.#longest = longest;
  }

  get length(): number {
    return this.#length;
  }

  /**
   * Adds what waits to its lane.
   *
   * @returns what has to leave if the queue was full: the newest of the longest lane, or what was to be added
   */
  push(lane: string, item: T): T | undefined {
    const own = this.#lanes.get(lane)?.length ?? 0;
    if (this.#length < this.#longest) {
      this.#add(lane, item);
      return undefined;
    }
    const longest = [...this.#lanes.values()].reduce(longer, []);
    if (longest.length <= own + 1) return item;
    this.#length--;
    const gone = longest.pop();
    this.#add(lane, item);
    return gone;
  }

  /** Takes what has waited longest in the lane whose turn it is. @returns undefined when nothing waits */
  shift(): T | undefined {
    const [next] = this.#lanes;
    if (!next) return undefined;
    const [lane, waiting] = next;
    const item = waiting.shift();
    this.#length--;
    this.#lanes.delete(lane);
    if (waiting.length > 0) this.#lanes.set(lane, waiting); // behind the others
    return item;
  }

  #add(lane: string, item: T): void {
    const waiting = this.#lanes.get(lane);
    if (waiting) waiting.push(item);
    else this.#lanes.set(lane, [item]);
    this.#length++;
  }
}

function longer<T>(one: T[], other: T[]): T[] {
  return other.length > one.length ? other : one;
}
