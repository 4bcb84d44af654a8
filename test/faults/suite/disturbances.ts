/**
 * What was done to a run, and when: the checker must know, because a lock that was passed on late after a process was
 * killed is not what one is that was passed on late for no reason.
 */
import { nowMS } from '../../../packages/examples/src/demo/clock.js';

/** One fault as it happened. */
export interface Disturbance {
  readonly fault: string;
  readonly from: number;
  /** null: it goes on. */
  to: number | null;
  /** Whom it concerns: these processes may be unable to take a lock while it lasts. */
  readonly processes: readonly string[];
  /** Documents were deleted by hand: holds that stood are not protected, and places in the queue begin anew. */
  readonly deletes: boolean;
  /** Only news is held up: nobody can lose a lock by it, so that nobody may wait longer than for a patrol. */
  readonly streamsOnly: boolean;
}

/** What a fault says of itself while it happens. */
export interface DisturbanceNote {
  readonly fault: string;
  readonly processes?: readonly string[];
  readonly deletes?: boolean;
  readonly streamsOnly?: boolean;
}

export class Disturbances {
  readonly all: Disturbance[] = [];

  /** Notes it for as long as the work lasts. */
  async during<T>(note: DisturbanceNote, work: () => Promise<T>): Promise<T> {
    const { fault, processes = [], deletes = false, streamsOnly = false } = note;
    const noted: Disturbance = { fault, from: nowMS(), to: null, processes: [...processes], deletes, streamsOnly };
    this.all.push(noted);
    try {
      return await work();
    } finally {
      noted.to = nowMS();
    }
  }

  /** Something else was seen that disturbs, such as that the machine stood still. */
  note(fault: string, { from, to }: { from: number; to: number }): void {
    this.all.push({ fault, from, to, processes: [], deletes: false, streamsOnly: false });
  }

  /** How often each fault happened. */
  counts(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const { fault } of this.all) counts.set(fault, (counts.get(fault) ?? 0) + 1);
    return counts;
  }
}
