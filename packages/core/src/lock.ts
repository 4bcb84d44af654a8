/**
 * The lock: what a caller holds between grant and release. A thin face of the engine's hold, made by the client only.
 */
import { onAbort } from './base/abort.js';
import { LockLostError } from './errors.js';
import {
  checkYield,
  type FencedUpdate,
  fencedUpdate,
  type LockFenceOptions,
  type LockTransactionOptions,
  type LockYieldOptions,
} from './lock-arguments.js';
import type { TransactionSession } from './mongo/fenced-transactions.js';
import type { LockKeyPart } from './protocol/key.js';

/** What a lock needs of the engine's hold. */
export interface HoldLike {
  readonly resource: unknown;
  readonly id: unknown;
  readonly fencingToken: number;
  readonly held: boolean;
  readonly reliableForMS: number;
  readonly signal: AbortSignal;
  readonly lostError: LockLostError | null;
  release(): Promise<boolean>;
}

/** What a lock has its client do. */
export interface LockWork<H extends HoldLike = HoldLike> {
  withTransaction<T>(hold: H, body: (session: TransactionSession) => Promise<T>, options: unknown): Promise<T>;
  contended(hold: H): Promise<boolean>;
  /** Releases the hold, and waits for another one in its place. */
  yieldHold(hold: H, limits: { readonly timeoutMS: number; readonly signal: AbortSignal }): Promise<H>;
}

/** A lock that is given up for another turn. */
interface Yielding {
  readonly stop: AbortController;
  readonly next: Promise<HoldLike>;
}

/**
 * A lock that was granted. It is held until it is unlocked, or lost; while its process lives and reaches the database
 * there is no limit. `await using lock = await locks.lock(…)` unlocks it at the end of the block.
 */
export class Lock {
  #hold: HoldLike;
  /** While another hold is waited for. */
  #yielding: Yielding | null = null;
  readonly #work: LockWork;

  private constructor(hold: HoldLike, work: LockWork) {
    this.#hold = hold;
    this.#work = work;
  }

  /** @internal Only the client makes locks. */
  static of<H extends HoldLike>({ hold, work }: { readonly hold: H; readonly work: LockWork<H> }): Lock {
    return new Lock(hold, work as unknown as LockWork);
  }

  /** @internal Whether this is a lock of the client that does this work; anything else is not. */
  static isOf(lock: unknown, work: object): lock is Lock {
    return typeof lock === 'object' && lock !== null && #work in lock && lock.#work === work;
  }

  /** The `resource` as the caller gave it. */
  get resource(): LockKeyPart {
    return this.#hold.resource as LockKeyPart;
  }

  /** The `id` as the caller gave it. */
  get id(): LockKeyPart {
    return this.#hold.id as LockKeyPart;
  }

  /**
   * The fencing token: a whole number that rises strictly with every grant of this resource and id, for ever (INV-02).
   * What is guarded by the lock can keep the highest token it has seen and refuse lower ones; then even a process that
   * was suspended while it held the lock does no harm.
   */
  get fencingToken(): number {
    return this.#hold.fencingToken;
  }

  /**
   * Aborts when the lock can no longer be relied on, at or before the moment another may get it (INV-06), with a
   * `LockLostError` as its reason. It does not abort on a normal unlock.
   */
  get signal(): AbortSignal {
    return this.#hold.signal;
  }

  /**
   * Whether the lock can be relied on at this moment; compared with the clock at each read. `false` from the call of
   * `unlock` or of the client's `close` on, and from its loss on.
   */
  get held(): boolean {
    return this.#hold.held;
  }

  /**
   * For how many milliseconds the lock can be relied on from now on, if its lease is not renewed again: until its local
   * deadline. `0` where it is not held. Each `session:renewed` event moves the deadline. For a guard that must stop
   * something outside this process also when this process can do nothing any more.
   */
  get reliableForMS(): number {
    return this.#hold.reliableForMS;
  }

  /**
   * Runs writes that are committed only if this hold is still the current one, whatever a suspended or cut off process
   * believes: a MongoDB transaction that writes the lock document, on the condition of this very grant, as its last
   * step. Where a take-over came first the commit fails; a take-over that meets the open transaction waits for its end,
   * at most for the server's `transactionLifetimeLimitSeconds`.
   *
   * @param fn Gets the driver's session: give it to every operation (`{ session }`). It may be called again from the
   * start, as by the driver's own `withTransaction`, so that it must not have effects elsewhere, nor unlock or yield the
   * lock. What it throws rolls back; it must not commit or abort by itself, nor begin another transaction of this lock. Its collections must be of the client that the locks were given; with
   * `uri`, `session.client` is that client.
   * @param options `readConcernLevel` and `maxCommitTimeMS`.
   * @returns What `fn` returned in the try that was committed, acknowledged by a majority.
   * @throws As rejections: what `fn` threw, as it is; `LOCK_LOST` where the lock was lost or unlocked before the commit:
   * nothing is written then; `LOCK_OUTCOME_UNKNOWN` where the lock was lost before it could be found out
   * whether it was committed (INV-09); `LOCK_UNAVAILABLE`: it was not; `LOCK_INVALID_ARGUMENT`; and errors of the driver
   * from before the commit.
   * @see https://www.mongodb.com/docs/manual/core/transactions/, `docs/fenced-transactions.md`
   */
  withTransaction<T, S = TransactionSession>(
    fn: (session: S) => Promise<T>,
    options?: LockTransactionOptions,
  ): Promise<T> {
    return this.#work.withTransaction(
      this.#hold,
      fn as unknown as (session: TransactionSession) => Promise<T>,
      options,
    );
  }

  /**
   * A filter and an update for one document elsewhere, such as in another deployment, that refuse a holder of an older
   * token: the document keeps the highest token it has seen. An update that matches nothing was refused, or its filter
   * matched nothing. With an upsert the refusal is a duplicate key where the filter names `_id` or another unique field, and
   * a second document where it does not: do not do that. Sends nothing.
   *
   * @param filter What is to be updated.
   * @param update Update operators, or a pipeline; not a replacement.
   * @param options `field`: where the document keeps the token, `fencingToken` by default. One for each lock that guards it.
   * @returns Both, to be given to `updateOne` or `findOneAndUpdate`.
   * @throws `LOCK_INVALID_ARGUMENT`.
   */
  fence<F extends object, U extends object>(filter: F, update: U, options?: LockFenceOptions): FencedUpdate {
    return fencedUpdate(this.fencingToken, filter, update, options);
  }

  /**
   * Waits until somebody else waits for this lock, in this process or another: a long job can then make room by `yield`.
   * What others do is told by a change stream that is open for as long as somebody asks, and looked up every
   * `patrolIntervalMS` beside. Never rejects.
   *
   * @returns `true` when somebody waits; `false` when the hold has ended before.
   */
  contended(): Promise<boolean> {
    return this.#work.contended(this.#hold);
  }

  /**
   * Makes room: releases the lock, and waits for it again behind all who wait now. It is then the same `Lock` with a new
   * `fencingToken`, and the same `signal`. Meanwhile it is not held.
   *
   * @param options `timeoutMS` and `signal` end the wait, as those of `lock`.
   * @throws `LOCK_LOST` where it was not held, or its release was not acknowledged. Else as `lock`: then it is not held
   * any more.
   */
  async yield(options?: LockYieldOptions): Promise<void> {
    const { timeoutMS, signal } = checkYield(options);
    if (signal?.aborted === true) throw signal.reason;
    const { resource, id } = this;
    if (this.#yielding !== null) throw new LockLostError('The lock is being yielded already.', { resource, id });
    const stop = new AbortController();
    const forget = signal && onAbort(signal, () => stop.abort(signal.reason));
    const next = this.#work.yieldHold(this.#hold, { timeoutMS, signal: stop.signal });
    const yielding = { stop, next };
    this.#yielding = yielding;
    try {
      this.#hold = await next;
    } finally {
      forget?.();
      if (this.#yielding === yielding) this.#yielding = null;
    }
  }

  /** @internal The reason of `signal`, once the lock is lost. */
  get lostError(): LockLostError | null {
    return this.#hold.lostError;
  }

  /**
   * Releases the lock: it goes to the next in the queue with the same write (INV-03). Waits for the acknowledgement, at
   * most until the lock's local deadline, and before that for a fenced transaction that is being committed; the lock is
   * gone from then on either way. While `yield` waits, it ends that wait.
   *
   * @returns `true` when this call released it; `false` when it was already released or lost, or when no
   * acknowledgement came in time. Of calls at the same time one gives `true`, and the others wait for it (INV-07).
   * Never rejects: a release that fails is an `error` event, and goes to the logger. After a loss it does nothing, but
   * with `releaseLostLocks: 'on-unlock'` it says that the holder has ended, so that others may have the lock.
   */
  unlock(): Promise<boolean> {
    return this.#yielding === null ? this.#hold.release() : this.#unlockYielding(this.#yielding);
  }

  /** Nobody is to get what `yield` still waits for, and then have it for ever. */
  async #unlockYielding({ stop, next }: Yielding): Promise<boolean> {
    stop.abort(
      new LockLostError('The lock was unlocked while it was yielded.', { resource: this.resource, id: this.id }),
    );
    const hold = await next.catch(() => null);
    return hold === null ? false : hold.release();
  }

  /** Unlocks, at the end of an `await using` block. Never rejects. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.unlock();
  }
}
