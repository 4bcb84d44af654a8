/**
 * The hold: what a caller has between grant and release, with its own fencing token inside the run. `held` is read
 * against the clock each time, because the timer that would end it may be late.
 */
import { LockLostError } from '../errors.js';
import type { AcquireRequest } from './request.js';
import type { Session } from './session.js';

/** How a hold moves: held → released | lost. */
export type HoldPhase = 'held' | 'released' | 'lost';

/** Who passes the lock on when a hold is released. */
export interface HoldOwner {
  /** Resolves when the release is acknowledged, or can not be any more: whether this hold was released by it. */
  releaseHold(hold: Hold): Promise<boolean>;
}

export class Hold {
  readonly request: AcquireRequest;
  readonly fencingToken: number;
  readonly grantedAt: number;
  readonly session: Session;
  #phase: HoldPhase = 'held';
  #releasing: Promise<boolean> | null = null;
  #aborter: AbortController | null = null;
  #lostError: LockLostError | null = null;
  readonly #owner: HoldOwner;

  constructor(request: AcquireRequest, fencingToken: number, grantedAt: number, session: Session, owner: HoldOwner) {
    this.request = request;
    this.fencingToken = fencingToken;
    this.grantedAt = grantedAt;
    this.session = session;
    this.#owner = owner;
  }

  get resource(): unknown {
    return this.request.resource;
  }

  get id(): unknown {
    return this.request.id;
  }

  get phase(): HoldPhase {
    return this.#phase;
  }

  /** Whether the lock can be relied on at this moment. */
  get held(): boolean {
    return this.#phase === 'held' && this.session.reliable;
  }

  /** Aborts with `LockLostError` when the lock is lost; made when first asked for, most callers never do. */
  get signal(): AbortSignal {
    if (this.#aborter === null) {
      this.#aborter = new AbortController();
      if (this.#lostError !== null) this.#aborter.abort(this.#lostError);
    }
    return this.#aborter.signal;
  }

  get lostError(): LockLostError | null {
    return this.#lostError;
  }

  /** The first call passes the lock on; the others wait for it. Never rejects. */
  release(): Promise<boolean> {
    if (this.#releasing !== null) return this.#releasing.then(() => false);
    this.session.check();
    if (this.#phase !== 'held') return Promise.resolve(false);
    this.#phase = 'released';
    this.#releasing = this.#owner.releaseHold(this);
    return this.#releasing;
  }

  /** It can no longer be relied on. Returns the error, or null where it had ended before. */
  lose(why: string, cause?: unknown): LockLostError | null {
    if (this.#phase !== 'held') return null;
    this.#phase = 'lost';
    const { resource, id, fencingToken } = this;
    this.#lostError = new LockLostError(`The lock was lost: ${why}.`, { resource, id, fencingToken, cause });
    this.#aborter?.abort(this.#lostError);
    return this.#lostError;
  }
}
