/**
 * The hold: what a caller has between grant and release, with its own fencing token inside the run. `held` is read
 * against the clock each time, because the timer that would end it may be late.
 */
import { type ForcedRelease, LockInvalidArgumentError, LockLostError } from '../errors.js';
import type { AcquireRequest } from './request.js';
import type { Session } from './session.js';

/** How a hold moves: held → released | lost. */
export type HoldPhase = 'held' | 'released' | 'lost';

/** Who passes the lock on when a hold is released. */
export interface HoldOwner {
  /** Resolves when the release is acknowledged, or can not be any more: whether this hold was released by it. */
  releaseHold(hold: Hold): Promise<boolean>;
  /** The stored grant of the run that this hold belongs to; null: it belongs to none any more. */
  grantOf(hold: Hold): string | null;
  /** The server does not name us any more, as somebody has seen: look. */
  doubt(hold: Hold): void;
}

/** Why a hold was lost, beside the sentence. */
export interface LossFacts {
  readonly cause?: unknown;
  readonly forced?: ForcedRelease;
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
  /** How many transactions are being committed on this hold, and who waits for them. */
  #commitsCount = 0;
  #onCommitted: (() => void) | null = null;
  #transacts = false;
  #isUnlocked = false;
  /** Made when first asked for: only lost holds are waited for, and not by all clients. */
  #unlocking: Promise<void> | null = null;
  #onUnlocked: (() => void) | null = null;
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

  /** How long it can be relied on from now on without another renewal; 0: not at all. */
  get reliableForMS(): number {
    return this.held ? this.session.leftMS : 0;
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

  /** The grant that a transaction of this hold is conditional on. Throws where the lock is not held. */
  get grant(): string {
    const grant = this.held ? this.#owner.grantOf(this) : null;
    if (grant === null) throw this.#lostError ?? this.notHeld();
    return grant;
  }

  /** Whether it is neither lost nor passed on, also while its release waits for a commit: nobody else has its grant. */
  get stands(): boolean {
    return this.session.reliable && this.#owner.grantOf(this) !== null;
  }

  /** A transaction of this hold begins; the result ends it. Two would wait for each other. */
  beginTransaction(): () => void {
    if (this.#transacts) throw this.#transactsAlready();
    this.#transacts = true;
    return () => {
      this.#transacts = false;
    };
  }

  /**
   * A transaction is about to be committed: until it has ended nobody else is served, in this process either. Throws
   * where the lock is not held. The result says that it has ended.
   */
  beginCommit(): () => void {
    void this.grant;
    this.#commitsCount += 1;
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      this.#commitsCount -= 1;
      if (this.#commitsCount === 0) this.#onCommitted?.();
    };
  }

  /** The server does not name this hold any more. */
  doubt(): LockLostError {
    this.#owner.doubt(this);
    return this.#lostError ?? this.#lossError('the lock document does not name it any more', {});
  }

  /** Goes on with the signal of an earlier hold of the same caller. */
  continueSignal(earlier: Hold): void {
    this.#aborter = earlier.#aborter;
    if (this.#lostError !== null) this.#aborter?.abort(this.#lostError);
  }

  /** Resolves when its holder has called `release`, whether or not it was lost before. */
  untilUnlocked(): Promise<void> {
    if (this.#isUnlocked) return Promise.resolve();
    this.#unlocking ??= new Promise((resolve) => {
      this.#onUnlocked = resolve;
    });
    return this.#unlocking;
  }

  /** The first call passes the lock on; the others wait for it. Never rejects. */
  release(): Promise<boolean> {
    this.#isUnlocked = true;
    this.#onUnlocked?.();
    if (this.#releasing !== null) return this.#releasing.then(() => false);
    this.session.check();
    if (this.#phase !== 'held') return Promise.resolve(false);
    this.#phase = 'released';
    const commits = this.#untilCommitted();
    this.#releasing =
      commits === null ? this.#owner.releaseHold(this) : commits.then(() => this.#owner.releaseHold(this));
    return this.#releasing;
  }

  /** null: there is none. At most until the session is gone: then the server alone decides between them and others. */
  #untilCommitted(): Promise<void> | null {
    if (this.#commitsCount === 0) return null;
    return new Promise((resolve) => {
      const stop = this.session.onGone(resolve);
      this.#onCommitted = () => {
        stop();
        resolve();
      };
    });
  }

  /** It can no longer be relied on. Returns the error, or null where it had ended before. */
  lose(why: string, facts: LossFacts = {}): LockLostError | null {
    if (this.#phase !== 'held') return null;
    this.#phase = 'lost';
    this.#lostError = this.#lossError(why, facts);
    this.#aborter?.abort(this.#lostError);
    return this.#lostError;
  }

  #transactsAlready(): LockInvalidArgumentError {
    const { resource, id } = this;
    const message = 'Another transaction of this lock has not ended yet: one at a time, and none inside another.';
    return new LockInvalidArgumentError(message, { argument: 'fn', resource, id });
  }

  #lossError(why: string, facts: LossFacts): LockLostError {
    const { resource, id, fencingToken } = this;
    return new LockLostError(`The lock was lost: ${why}.`, { resource, id, fencingToken, ...facts });
  }

  /** For whoever needs it held. */
  notHeld(): LockLostError {
    const { resource, id, fencingToken } = this;
    return new LockLostError('The lock is not held any more.', { resource, id, fencingToken });
  }
}
