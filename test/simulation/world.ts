/**
 * The world of one run: virtual time, the events that are to come, and the order in which they do. After each event
 * that touched a process every promise reaction is run to its end before the next, so that nothing depends on the
 * machine. It knows nothing of locks; `simulation.ts` drives it.
 */

export interface Scheduled {
  cancel(): void;
}

interface Entry {
  readonly at: number;
  readonly order: number;
  run: (() => void) | null;
}

export class World {
  nowMS = 0;
  /** Counts the events that ran: the steps of traces. */
  stepsCount = 0;
  #order = 0;
  #touched = false;
  readonly #heap: Entry[] = [];

  /** Runs it at that instant, or now where that has passed; events of one instant run in the order of these calls. */
  at(instantMS: number, run: () => void): Scheduled {
    this.#order += 1;
    const entry: Entry = { at: Math.max(instantMS, this.nowMS), order: this.#order, run };
    this.#push(entry);
    return {
      cancel: () => {
        entry.run = null;
      },
    };
  }

  in(delayMS: number, run: () => void): Scheduled {
    return this.at(this.nowMS + delayMS, run);
  }

  /** A process ran: its promise reactions are to be run before anything else happens. */
  touch(): void {
    this.#touched = true;
  }

  /** The instant of the next event; `Infinity`: nothing is to come. */
  get nextAt(): number {
    while (this.#heap[0] !== undefined && this.#heap[0].run === null) this.#pop();
    return this.#heap[0]?.at ?? Number.POSITIVE_INFINITY;
  }

  /** Runs events up to and including that instant; `afterStep` after each, when all promise reactions have run. */
  async runUntil(instantMS: number, afterStep: () => boolean): Promise<void> {
    while (this.nextAt <= instantMS) {
      const entry = this.#pop() as Entry;
      this.nowMS = entry.at;
      this.stepsCount += 1;
      entry.run?.();
      if (this.#touched) await this.settle();
      if (!afterStep()) return;
    }
    if (Number.isFinite(instantMS)) this.nowMS = Math.max(this.nowMS, instantMS);
  }

  /** Until no promise reaction is left: none of them waits for anything but an event of this world. */
  async settle(): Promise<void> {
    this.#touched = false;
    await new Promise<void>((resolve) => setImmediate(resolve));
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(entry, heap[parent] as Entry)) break;
      heap[at] = heap[parent] as Entry;
      at = parent;
    }
    heap[at] = entry;
  }

  #pop(): Entry | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1] as Entry, heap[child] as Entry)) child += 1;
      if (!before(heap[child] as Entry, last)) break;
      heap[at] = heap[child] as Entry;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
