/**
 * The events of a client: their names, their payloads (plain facts), and the emitter that
 * keeps a listener's failure from the library. The engine says what happened; the api is what users listen on.
 */
import { EventEmitter } from 'eventemitter3';
import { callSafely } from './base/safely.js';
import type { LockHolder, LockLostError } from './errors.js';

/** Which lock an event is about: the caller's own values. */
export interface LockSubject {
  /** As given to the call. */
  readonly resource: unknown;
  /** As given to the call. */
  readonly id: unknown;
}

/** A call found its lock held, and waits. */
export interface WaitingEvent extends LockSubject {
  /** The `label` of the call. */
  readonly label?: string;
  /** Who holds the lock, as far as it is known yet. */
  readonly holder?: LockHolder;
}

/**
 * Where a call stands in the queue: when it has its place, whenever the queue has moved (pushed, at most once a second),
 * and once a patrol's interval, while it is among the first of the queue. Found out only while somebody listens.
 */
export interface PositionEvent extends LockSubject {
  /**
   * 1: the first in the queue. Counts the callers who wait, those in the same process too, but not those whom the run that
   * holds the lock has still to serve. Who leaves in front is noticed by the next patrol; until then it may be a little too
   * high, or too low where one who has left was granted the lock all the same.
   */
  readonly position: number;
  /** How long it is likely to take still, in milliseconds, by how the queue has moved; absent before it has. */
  readonly estimatedWaitMS?: number;
  /** Since the call, in milliseconds. */
  readonly waitedMS: number;
  /** The `label` of the call. */
  readonly label?: string;
}

/** Somebody waits for a lock that is held here, and somebody here has asked to know (`lock.contended`). */
export interface ContendedEvent extends LockSubject {
  /** The token of the hold. */
  readonly fencingToken: number;
  /** The lock session the hold belongs to. */
  readonly session: string;
}

/** A call got its lock. */
export interface GrantedEvent extends LockSubject {
  /** The token of this hold. */
  readonly fencingToken: number;
  /** From the call to the grant, in milliseconds. */
  readonly waitedMS: number;
  /** The `label` of the call. */
  readonly label?: string;
  /** The lock session the hold belongs to. */
  readonly session: string;
  /**
   * The `traceparent` of the hold before, as its holder left it with the release (`docs/telemetry.md`). Absent where that
   * left none or is not known, and between callers of one client that were granted together.
   */
  readonly previousTraceparent?: string;
}

/** A hold ended by its own release. */
export interface ReleasedEvent extends LockSubject {
  /** The token of the hold. */
  readonly fencingToken: number;
  /** From the grant to the release, in milliseconds. */
  readonly heldMS: number;
  /** The lock session the hold belonged to. */
  readonly session: string;
}

/** A hold ended because it could no longer be relied on. */
export interface LostEvent extends ReleasedEvent {
  /** The reason of the lock's `signal`. */
  readonly error: LockLostError;
}

/** Something failed that no call rejects with, such as a release. It went to the logger, too. */
export interface ErrorEvent {
  /** What failed. */
  readonly error: unknown;
  /** The caller's `resource`, where it is about one lock. */
  readonly resource?: unknown;
  /** The caller's `id`, where it is about one lock. */
  readonly id?: unknown;
  /** The token of the hold, where its release was not acknowledged in time. */
  readonly fencingToken?: number;
  /** From its grant until nobody waited for its release any more, in milliseconds. */
  readonly heldMS?: number;
  /** The lock session it belonged to. */
  readonly session?: string;
}

/** A lock session of this client was opened, or ended because nothing needs it. */
export interface SessionEvent {
  /** Its id. */
  readonly session: string;
}

/** A heartbeat was acknowledged: the lease of a lock session was renewed. */
export interface SessionRenewedEvent extends SessionEvent {
  /** From when it was due to its acknowledgement, in milliseconds: tries that failed before it, and a late timer, included. */
  readonly delayMS: number;
  /** From when the try that was acknowledged was sent, in milliseconds. */
  readonly roundTripMS: number;
}

/** A lock session of this client was lost, and with it every hold; those who wait arrive again under a new one. */
export interface SessionLostEvent extends SessionEvent {
  /** Why, as far as it is known. */
  readonly cause?: unknown;
}

/** This client declared the session of another process dead, and passed on what it held. */
export interface SessionReapedEvent {
  /** The session that was reaped, not this client's. */
  readonly session: string;
  /** How many locks it held. */
  readonly locksCount: number;
}

/** The change stream of this client was opened, for the first time or again, or closed because nothing waits. */
export interface StreamEvent {
  /** The lock session whose grants it delivers. */
  readonly session: string;
}

/** The change stream delivered a grant, or a forced release. */
export interface StreamDeliveredEvent extends StreamEvent {
  /**
   * From the server's write to the delivery, in milliseconds, 0 or more. By the server's clock as the last heartbeat has
   * compared it with this process's own: whether either is right does not matter, only that the servers' agree.
   */
  readonly lagMS: number;
  /** By how much `lagMS` may be wrong, in milliseconds: half the round trip of that comparison. */
  readonly uncertaintyMS: number;
}

/** The change stream broke and is being opened again; the patrol stands in meanwhile. */
export interface StreamInterruptedEvent extends StreamEvent {
  /** What broke it. */
  readonly cause?: unknown;
}

/** The events of a `LockClient` and their payloads. */
export interface LockEvents {
  waiting: [event: WaitingEvent];
  position: [event: PositionEvent];
  contended: [event: ContendedEvent];
  granted: [event: GrantedEvent];
  released: [event: ReleasedEvent];
  lost: [event: LostEvent];
  error: [event: ErrorEvent];
  'session:opened': [event: SessionEvent];
  'session:renewed': [event: SessionRenewedEvent];
  'session:lost': [event: SessionLostEvent];
  'session:ended': [event: SessionEvent];
  'session:reaped': [event: SessionReapedEvent];
  'stream:opened': [event: StreamEvent];
  'stream:delivered': [event: StreamDeliveredEvent];
  'stream:interrupted': [event: StreamInterruptedEvent];
  'stream:closed': [event: StreamEvent];
}

/** The names of the events. */
export type LockEventName = keyof LockEvents;

type Listener<N extends EventEmitter.EventNames<LockEvents>> = EventEmitter.EventListener<LockEvents, N>;
type AnyFunction = (...args: never[]) => unknown;

/**
 * eventemitter3 with listeners that cannot harm: what one throws, or what its promise rejects with, goes to `onFailure`,
 * and the others are called all the same.
 */
export class SafeEmitter extends EventEmitter<LockEvents> {
  readonly #onFailure: (error: unknown) => void;
  /** The guarded form of each listener, and back: by either, `off` and `listeners` find what was given to `on`. */
  readonly #guarded: WeakMap<AnyFunction, AnyFunction> = new WeakMap();
  readonly #given: WeakMap<AnyFunction, AnyFunction> = new WeakMap();

  constructor(onFailure: (error: unknown) => void) {
    super();
    this.#onFailure = onFailure;
  }

  /** Adds a listener. What it throws goes to the logger, and harms nothing. */
  override on<N extends EventEmitter.EventNames<LockEvents>>(name: N, listener: Listener<N>, context?: unknown): this {
    return super.on(name, this.#guard(listener), context);
  }

  /** The same as `on`. */
  override addListener<N extends EventEmitter.EventNames<LockEvents>>(
    name: N,
    listener: Listener<N>,
    context?: unknown,
  ): this {
    return this.on(name, listener, context);
  }

  /** Adds a listener that is called once at most. */
  override once<N extends EventEmitter.EventNames<LockEvents>>(
    name: N,
    listener: Listener<N>,
    context?: unknown,
  ): this {
    return super.once(name, this.#guard(listener), context);
  }

  /** Takes a listener away; without one, all of that event. */
  override off<N extends EventEmitter.EventNames<LockEvents>>(
    name: N,
    listener?: Listener<N>,
    context?: unknown,
    once?: boolean,
  ): this {
    return super.off(name, listener && this.#guard(listener), context, once);
  }

  /** The same as `off`. */
  override removeListener<N extends EventEmitter.EventNames<LockEvents>>(
    name: N,
    listener?: Listener<N>,
    context?: unknown,
    once?: boolean,
  ): this {
    return this.off(name, listener, context, once);
  }

  /** The listeners of an event, as they were given. */
  override listeners<N extends EventEmitter.EventNames<LockEvents>>(name: N): Listener<N>[] {
    return super.listeners(name).map((listener) => (this.#given.get(listener) ?? listener) as Listener<N>);
  }

  #guard<L extends AnyFunction>(listener: L): L {
    // What is not a function is refused by eventemitter3, with its own words.
    // The emitter itself takes a listener of `once` away by the guarded form.
    if (typeof listener !== 'function' || this.#given.has(listener)) return listener;
    const known = this.#guarded.get(listener);
    if (known !== undefined) return known as L;
    const onFailure = this.#onFailure;
    function guarded(this: unknown, ...args: unknown[]): void {
      callSafely(() => Reflect.apply(listener, this, args), onFailure);
    }
    this.#guarded.set(listener, guarded);
    this.#given.set(guarded, listener);
    return guarded as AnyFunction as L;
  }
}
