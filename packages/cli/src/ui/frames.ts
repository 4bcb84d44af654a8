/**
 * What one browser is sent: the difference between what it has been told and what the board knows. A frame that a slow
 * browser could not take is simply not made, and the next one has it all. `server.ts` has one for each connection.
 */
import type { TrackedLock } from '../observer/tracker.js';
import { type Board, lockName } from './board.js';
import type { Figures, Frame, LockView, SelectedView } from './wire.js';

/** Locks that a browser is shown at once: those with most waiters first. */
const SHOWN_MAX = 200;
/** How much of a queue a lock in the list has, and how much the one whose details are open. */
const QUEUE_IN_LIST_MAX = 3;
const QUEUE_IN_DETAILS_MAX = 200;

/** What a browser asks to see. */
export interface Interest {
  /** Part of a resource, an id, a host or a label; empty: all locks. */
  readonly filter: string;
  readonly selected: { readonly resource: string; readonly id: string } | null;
}

/** See above. */
export class FrameMaker {
  readonly #board: Board;
  readonly #interest: Interest;
  readonly #stopListening: () => void;
  /** Keys of shown locks that have changed since the last frame. */
  readonly #changed = new Set<string>();
  /** Names of the shown locks by key, and the other way round. */
  #shown = new Map<string, string>();
  #keys = new Map<string, string>();
  #matchingCount = 0;
  #listIsStale = true;
  #factsTold = 0;
  #isFirst = true;

  constructor(board: Board, interest: Interest) {
    this.#board = board;
    this.#interest = interest;
    this.#stopListening = board.listen((lock) => this.#hear(lock));
  }

  close(): void {
    this.#stopListening();
  }

  /** Whether there is anything to say but the time. */
  get hasNews(): boolean {
    return this.#isFirst || this.#changed.size > 0 || this.#factsTold < this.#board.factsCount;
  }

  /** The next frame. With `figures` the list may be another one; without, only what is in it changes. */
  next(figures: Figures | null): Frame {
    const board = this.#board;
    const { status, problem, nowMS } = board;
    const shown = figures === null ? undefined : this.#chooseShown();
    const selected = this.#selected();
    const frame: Frame = {
      isFirst: this.#isFirst,
      nowMS,
      status,
      ...(problem !== undefined && { problem }),
      ...(shown !== undefined && { shown }),
      matchingCount: this.#matchingCount,
      changed: this.#takeChanged(),
      incidents: board.incidentsAfter(this.#factsTold),
      ...(figures !== null && { figures }),
      ...(selected !== null && { selected }),
    };
    this.#isFirst = false;
    this.#factsTold = board.factsCount;
    return frame;
  }

  #hear(lock: string | null): void {
    this.#listIsStale = true;
    if (lock === null) for (const key of this.#shown.keys()) this.#changed.add(key);
    else {
      const key = this.#keys.get(lock);
      if (key !== undefined) this.#changed.add(key);
    }
  }

  /** The keys to show where they are others than before. */
  #chooseShown(): string[] | undefined {
    if (!this.#listIsStale) return undefined;
    this.#listIsStale = false;
    const matching = [...this.#board.locks.values()].filter((lock) => matches(lock, this.#interest.filter));
    this.#matchingCount = matching.length;
    if (matching.length > SHOWN_MAX) matching.sort(byInterest);
    const before = this.#shown;
    this.#shown = new Map(matching.slice(0, SHOWN_MAX).map((lock) => [lock.key, lockName(lock)]));
    this.#keys = new Map([...this.#shown].map(([key, name]) => [name, key]));
    const added = [...this.#shown.keys()].filter((key) => !before.has(key));
    for (const key of added) this.#changed.add(key);
    const isSame = added.length === 0 && before.size === this.#shown.size && !this.#isFirst;
    return isSame ? undefined : [...this.#shown.keys()];
  }

  #takeChanged(): LockView[] {
    const views = [...this.#changed].flatMap((key) => {
      const lock = this.#shown.has(key) ? this.#board.locks.get(key) : undefined;
      return lock === undefined ? [] : [this.#board.view(lock, QUEUE_IN_LIST_MAX)];
    });
    this.#changed.clear();
    return views;
  }

  #selected(): SelectedView | null {
    const { selected } = this.#interest;
    if (selected === null) return null;
    const name = lockName(selected);
    const lock = this.#find(selected, name);
    const news = this.#board.timelineAfter(name, this.#isFirst ? 0 : this.#factsTold);
    return { ...selected, lock: lock === null ? null : this.#board.view(lock, QUEUE_IN_DETAILS_MAX), news };
  }

  #find({ resource, id }: { readonly resource: string; readonly id: string }, name: string): TrackedLock | null {
    const key = this.#keys.get(name);
    const shown = key === undefined ? undefined : this.#board.locks.get(key);
    if (shown !== undefined) return shown;
    for (const lock of this.#board.locks.values()) if (lock.resource === resource && lock.id === id) return lock;
    return null;
  }
}

function matches({ resource, id, hold }: TrackedLock, filter: string): boolean {
  if (filter === '') return true;
  const wanted = filter.toLowerCase();
  const texts = [resource, id, hold?.holder.host, hold?.holder.label];
  return texts.some((text) => text?.toLowerCase().includes(wanted));
}

function byInterest(one: TrackedLock, other: TrackedLock): number {
  if (one.waitersCount !== other.waitersCount) return other.waitersCount - one.waitersCount;
  return (one.hold?.since?.getTime() ?? 0) - (other.hold?.since?.getTime() ?? 0);
}
