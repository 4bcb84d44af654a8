/**
 * The lock: what a caller holds between grant and release. A thin face of the engine's hold, made by the client only.
 */
import type { LockLostError } from './errors.js';
import type { LockKeyPart } from './protocol/key.js';

/** What a lock needs of the engine's hold. */
export interface HoldLike {
  readonly resource: unknown;
  readonly id: unknown;
  readonly fencingToken: number;
  readonly held: boolean;
  readonly signal: AbortSignal;
  readonly lostError: LockLostError | null;
  release(): Promise<boolean>;
}

/**
 * A lock that was granted. It is held until it is unlocked, or lost; while its process lives and reaches the database
 * there is no limit. `await using lock = await locks.lock(…)` unlocks it at the end of the block.
 */
export class Lock {
  readonly #hold: HoldLike;
  readonly #client: object;

  private constructor(hold: HoldLike, client: object) {
    this.#hold = hold;
    this.#client = client;
  }

  /** @internal Only the client makes locks. */
  static of({ hold, client }: { readonly hold: HoldLike; readonly client: object }): Lock {
    return new Lock(hold, client);
  }

  /** @internal Whether this is a lock of that client; anything else is not. */
  static isOf(lock: unknown, client: object): lock is Lock {
    return typeof lock === 'object' && lock !== null && #client in lock && lock.#client === client;
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

  /** @internal The reason of `signal`, once the lock is lost. */
  get lostError(): LockLostError | null {
    return this.#hold.lostError;
  }

  /**
   * Releases the lock: it goes to the next in the queue with the same write (INV-03). Waits for the acknowledgement, at
   * most until the lock's local deadline; the lock is gone from then on either way.
   *
   * @returns `true` when this call released it; `false` when it was already released or lost, or when no
   * acknowledgement came in time. Of calls at the same time one gives `true`, and the others wait for it (INV-07).
   * Never rejects: a release that fails is an `error` event, and goes to the logger.
   */
  unlock(): Promise<boolean> {
    return this.#hold.release();
  }

  /** Unlocks, at the end of an `await using` block. Never rejects. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.unlock();
  }
}
