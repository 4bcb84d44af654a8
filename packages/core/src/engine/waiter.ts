/**
 * The waiter: one pending call of `lock`, `tryLock` or `exec`. It settles exactly once, whatever races: by a grant, by a
 * refusal (it would not wait), or by leaving (time-out, abort, close, error). It knows nothing of tickets.
 */
import { onAbort } from '../base/abort.js';
import type { Clock, Timer } from '../base/clock.js';
import type { LockTimeoutError } from '../errors.js';
import type { Hold } from './hold.js';
import type { AcquireRequest } from './request.js';

/** How a waiter moves: waiting ⇄ running (named in a run of ours, its turn to come) → granted | refused | left. */
export type WaiterPhase = 'waiting' | 'running' | 'granted' | 'refused' | 'left';

/** What a queue remembers of where it put a waiter. */
export interface Place {
  readonly n: number;
}

const NOWHERE: readonly Place[] = [];

/** What the waiter needs of its surroundings. */
export interface WaiterHost {
  readonly clock: Clock;
  /** Called once when it has settled, whichever way. */
  onSettled(waiter: Waiter): void;
  /** Who holds the lock, for the time-out error. */
  describeTimeout(request: AcquireRequest, waitedMS: number): LockTimeoutError;
}

export class Waiter {
  readonly request: AcquireRequest;
  /** Whether it goes away when the lock is not free at once. */
  readonly mode: 'wait' | 'try';
  /** Its place among all waiters of this client. */
  readonly order: number;
  readonly startedAt: number;
  /** null: it was refused. */
  readonly outcome: Promise<Hold | null>;
  /** Whether an arrival of it was ever sent: from then on it waits through outages. */
  arrivalSent = false;
  /** All the places it was ever given, so that thousands may leave at once. The queue's business. */
  places: readonly Place[] = NOWHERE;
  #phase: WaiterPhase = 'waiting';
  #timer: Timer | null = null;
  #stopListening: (() => void) | null = null;
  #resolve!: (hold: Hold | null) => void;
  #reject!: (reason: unknown) => void;
  readonly #host: WaiterHost;

  constructor(request: AcquireRequest, mode: 'wait' | 'try', order: number, host: WaiterHost) {
    this.request = request;
    this.mode = mode;
    this.order = order;
    this.#host = host;
    this.startedAt = host.clock.nowMS();
    this.outcome = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#limit();
  }

  get phase(): WaiterPhase {
    return this.#phase;
  }

  get settled(): boolean {
    return this.#phase !== 'waiting' && this.#phase !== 'running';
  }

  get waitedMS(): number {
    return this.#host.clock.nowMS() - this.startedAt;
  }

  /** A run of ours names it: its turn comes in memory. */
  enterRun(): void {
    if (this.#phase === 'waiting') this.#phase = 'running';
  }

  /** The run was lost before its turn: it waits again. */
  leaveRun(): void {
    if (this.#phase === 'running') this.#phase = 'waiting';
  }

  grant(hold: Hold): void {
    if (this.#settle('granted')) this.#resolve(hold);
  }

  refuse(): void {
    if (this.#settle('refused')) this.#resolve(null);
  }

  leave(reason: unknown): void {
    if (this.#settle('left')) this.#reject(reason);
  }

  #limit(): void {
    const { signal, timeoutMS } = this.request;
    if (signal !== undefined) this.#stopListening = onAbort(signal, () => this.leave(signal.reason));
    if (this.mode === 'try' || timeoutMS === Number.POSITIVE_INFINITY) return;
    this.#timer = this.#host.clock.setTimer(
      () => this.leave(this.#host.describeTimeout(this.request, this.waitedMS)),
      timeoutMS,
    );
  }

  #settle(phase: 'granted' | 'refused' | 'left'): boolean {
    if (this.settled) return false;
    this.#phase = phase;
    this.#timer?.cancel();
    this.#stopListening?.();
    this.#timer = null;
    this.#stopListening = null;
    this.#host.onSettled(this);
    return true;
  }
}
