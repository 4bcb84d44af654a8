/**
 * The engine of one client: it has the session, the stream, the patrol and one queue for each resource in use, starts
 * each when it is needed and ends it when nothing needs it any more. The api calls it; it calls the two ports.
 */
import type { Clock, Timer } from '../base/clock.js';
import type { Random } from '../base/random.js';
import { LockClosedError, type LockHolder, LockLimitError, type LockLostError, LockTimeoutError } from '../errors.js';
import type { LockEventName, LockEvents } from '../events.js';
import type { ChangeFeed, FeedHandle, FeedListener, LockStore } from '../ports.js';
import { decodeKey } from '../protocol/key.js';
import {
  type AttemptContext,
  backoffMS,
  isHopeless,
  Lifespan,
  pause,
  SessionGone,
  untilAcknowledged,
} from './attempt.js';
import type { Hold } from './hold.js';
import { Patrol } from './patrol.js';
import { Reaper } from './reaper.js';
import type { AcquireRequest } from './request.js';
import { type QueueMemory, ResourceQueue } from './resource-queue.js';
import { Session } from './session.js';
import { TicketDeleter } from './ticket-deleter.js';
import { Waiter } from './waiter.js';

export interface EngineOptions {
  readonly leaseDurationMS: number;
  readonly heartbeatIntervalMS: number;
  readonly deadlineMarginMS: number;
  readonly patrolIntervalMS: number;
  readonly clockSkewMS: number;
  readonly idleMS: number;
  readonly runMaxCount: number;
  readonly waitersMaxCount: number;
  readonly label?: string;
}

export interface EngineSettings {
  readonly options: EngineOptions;
  readonly store: LockStore;
  readonly feed: ChangeFeed;
  readonly clock: Clock;
  readonly random: Random;
  readonly host: string;
  readonly pid: number;
  /** Called with every event. Must not throw. */
  emit<N extends LockEventName>(name: N, ...payload: LockEvents[N]): void;
}

/** How an engine moves. */
type EnginePhase = 'open' | 'closing' | 'closed';

/** The stream of a session, which may still be on its way. */
interface OpenFeed {
  readonly session: Session;
  readonly handle: FeedHandle;
  /** Settles when it is open, refused, or closed before. */
  readonly opening: Promise<void>;
  readonly endWait: () => void;
}

/** How many keys not in use the engine remembers, to know a late report of a grant it has served. */
const REMEMBERED_MAX = 10_000;
/** For how many leases a client goes on passing on what a lost session held, while the server cannot be reached. */
const BURIAL_LEASES_MAX = 20;
/** For how long a client that closes goes on passing on what its lost sessions held. */
const BURIAL_LIMIT_MS = 2_000;
/** For which share of a lease an answer is waited for before a command is sent again, perhaps on another connection. */
const ATTEMPT_SHARE = 0.5;

export class Engine {
  readonly #settings: EngineSettings;
  readonly #attempts: AttemptContext;
  readonly #queues = new Map<string, ResourceQueue>();
  /** What is known of keys that are not in use now, oldest first. */
  readonly #remembered = new Map<string, QueueMemory>();
  readonly #reaper: Reaper;
  readonly #patrol: Patrol;
  readonly #deleter: TicketDeleter;
  readonly #waiters = new Set<Waiter>();
  #phase: EnginePhase = 'open';
  /** Ends when the client is closed. */
  readonly #life = new Lifespan();
  #session: Session | null = null;
  #opening: Promise<Session> | null = null;
  /** Whether the store was prepared since it was last closed. */
  #connected = false;
  #feed: OpenFeed | null = null;
  /** Whether a stream was ever opened: then the server lets us. */
  #feedProven = false;
  readonly #feedsClosing = new Set<Promise<void>>();
  #auditing: Promise<void> | null = null;
  #auditAgain = false;
  #order = 0;
  #waitersOrder = 0;
  #idleTimer: Timer | null = null;
  /** When something last came to rest, and when somebody last waited for others. */
  #restedAt = 0;
  #waitedAt = 0;
  #closing: Promise<void> | null = null;
  /** Called whenever something came to rest; `close` waits on it. */
  #onRest: (() => void) | null = null;
  /** Lost sessions of our own that are being passed on. */
  readonly #burials = new Set<Lifespan>();

  constructor(settings: EngineSettings) {
    this.#settings = settings;
    const { clock, random, options, store } = settings;
    const onFailure = (error: unknown): void => this.#emit('error', { error });
    this.#attempts = { clock, random, attemptTimeoutMS: options.leaseDurationMS * ATTEMPT_SHARE, onFailure };
    this.#deleter = new TicketDeleter(store, this.#attempts, options.leaseDurationMS, () => this.#rest());
    this.#reaper = new Reaper(this.#reaperHost());
    this.#patrol = new Patrol(this.#patrolHost(onFailure), this.#reaper);
  }

  /** Topology, indexes and session ahead of time. */
  async connect(): Promise<void> {
    for (;;) {
      try {
        await this.#openSession();
        return this.#rest();
      } catch (error) {
        // Its session was lost before it began, or the client was closed: the next turn tells which.
        if (!(error instanceof SessionGone)) throw error;
      }
    }
  }

  /**
   * Waits in the queue. Rejects with a `LockError`, or with the reason of the request's signal. Throws where it is
   * refused at once. No function of its own waits: thousands may wait here, and each would weigh on all of them.
   */
  acquire(request: AcquireRequest): Promise<Hold> {
    const outcome = this.#enqueue(request, request.timeoutMS === 0 ? 'try' : 'wait');
    // Only who would not wait can be refused.
    if (request.timeoutMS > 0) return outcome as Promise<Hold>;
    return outcome.then((hold) => hold ?? Promise.reject(this.#timeoutError(request, 0)));
  }

  /** Never waits in the queue; null: the lock is held, or others wait for it. Throws as `acquire`. */
  tryAcquire(request: AcquireRequest): Promise<Hold | null> {
    return this.#enqueue(request, 'try');
  }

  /** Rejects who waits, ends what is held, releases, and ends the session. At most until the local deadline. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  // --- waiters ----------------------------------------------------------------------------------------------------

  #enqueue(request: AcquireRequest, mode: 'wait' | 'try'): Promise<Hold | null> {
    // Not `throwIfAborted`: a signal is known by its shape, and those of an older standard have none.
    if (request.signal?.aborted === true) throw request.signal.reason;
    if (this.#phase !== 'open') throw closedError(request);
    this.#checkLimit(request);
    this.#waitersOrder += 1;
    const waiter = new Waiter(request, mode, this.#waitersOrder, {
      clock: this.#settings.clock,
      onSettled: (settled) => this.#onSettled(settled),
      describeTimeout: (about, waitedMS) => this.#timeoutError(about, waitedMS),
    });
    this.#waiters.add(waiter);
    this.#queue(request.key).enqueue(waiter);
    return waiter.outcome;
  }

  #checkLimit({ resource, id }: AcquireRequest): void {
    const { waitersMaxCount } = this.#settings.options;
    if (this.#waiters.size < waitersMaxCount) return;
    const message = `${waitersMaxCount} calls wait already ("waitersMaxCount"). Wait for some to end, or raise the option.`;
    throw new LockLimitError(message, { resource, id });
  }

  #onSettled(waiter: Waiter): void {
    this.#waiters.delete(waiter);
    if (waiter.arrivalSent) this.#waitedAt = this.#settings.clock.nowMS();
    if (waiter.phase === 'left' || waiter.phase === 'refused') this.#queues.get(waiter.request.key)?.forget(waiter);
  }

  #timeoutError(request: AcquireRequest, waitedMS: number): LockTimeoutError {
    const { resource, id, key, timeoutMS } = request;
    const holder = this.#holderOf(key);
    // By the key: the caller's own values need not bear to be made a text of.
    const about = Object.values(decodeKey(key) ?? { key })
      .map((text) => JSON.stringify(text))
      .join(', ');
    const by = holder === undefined ? '' : ` It is held by ${describeHolder(holder)}.`;
    const message = `The lock (${about}) was not granted within ${timeoutMS} ms.${by}`;
    return new LockTimeoutError(message, { resource, id, waitedMS, ...(holder && { holder }) });
  }

  #holderOf(key: string): LockHolder | undefined {
    const grant = this.#queues.get(key)?.holder;
    if (!grant) return undefined;
    const own = grant.session === this.#session?.id;
    const { host, pid, label }: Partial<Omit<LockHolder, 'session'>> = own
      ? this.#ownFacts()
      : (this.#patrol.known(grant.session) ?? {});
    const facts = {
      ...(host !== undefined && { host }),
      ...(pid !== undefined && { pid }),
      ...(label !== undefined && { label }),
    };
    return { session: grant.session, fencingToken: grant.firstToken, ...facts };
  }

  #ownFacts(): { host: string; pid: number; label?: string } {
    const { host, pid, options } = this.#settings;
    return { host, pid, ...(options.label !== undefined && { label: options.label }) };
  }

  // --- queues -----------------------------------------------------------------------------------------------------

  #queue(key: string): ResourceQueue {
    const existing = this.#queues.get(key);
    if (existing !== undefined) return existing;
    const queue = new ResourceQueue(key, this.#remembered.get(key), this.#queueHost);
    this.#remembered.delete(key);
    this.#queues.set(key, queue);
    return queue;
  }

  #retire(queue: ResourceQueue): void {
    if (this.#queues.get(queue.key) !== queue) return;
    this.#queues.delete(queue.key);
    if (queue.handledToken > 0) this.#remembered.set(queue.key, queue.memory);
    if (this.#remembered.size > REMEMBERED_MAX) this.#remembered.delete(this.#remembered.keys().next().value as string);
    this.#rest();
  }

  /** A grant to the current session, from wherever it was learnt. */
  #receive(key: string, grant: string): void {
    const queue = this.#queue(key);
    queue.receive(grant);
    if (queue.idle) this.#retire(queue);
  }

  readonly #queueHost = this.#makeQueueHost();

  #makeQueueHost(): ConstructorParameters<typeof ResourceQueue>[2] {
    const engine = this;
    return {
      get clock() {
        return engine.#settings.clock;
      },
      get store() {
        return engine.#settings.store;
      },
      get attempts() {
        return engine.#attempts;
      },
      get runMaxCount() {
        return engine.#settings.options.runMaxCount;
      },
      get leaseDurationMS() {
        return engine.#settings.options.leaseDurationMS;
      },
      get session() {
        return engine.#session;
      },
      report: this.#makeReport(),
      openSession: () => this.#openSession(),
      openFeed: (session) => this.#openFeed(session),
      nextOrder: () => this.#nextOrder(),
      deleteTickets: (session, numbers) => this.#deleter.delete(session, numbers),
      leaveQueue: (session, key, numbers) => this.#deleter.leave(session, key, numbers),
      deleteTicketLater: (session, n) => this.#deleter.deleteLater(session, n),
      patrolSoon: (key) => this.#patrol.soon(key),
      auditSoon: () => void this.#audit(),
      backOff: (triesCount) => pause(this.#attempts, this.#life, backoffMS(this.#settings.random, triesCount)),
      retire: (queue) => this.#retire(queue),
    };
  }

  #makeReport(): ConstructorParameters<typeof ResourceQueue>[2]['report'] {
    return {
      waiting: ({ resource, id, key, label }) => {
        const holder = this.#holderOf(key);
        this.#emit('waiting', { resource, id, ...(label !== undefined && { label }), ...(holder && { holder }) });
      },
      granted: (hold, waiter) => {
        const { label } = waiter.request;
        const { resource, id, fencingToken, session } = hold;
        const waitedMS = hold.grantedAt - waiter.startedAt;
        this.#emit('granted', {
          resource,
          id,
          fencingToken,
          waitedMS,
          session: session.id,
          ...(label !== undefined && { label }),
        });
      },
      released: (hold) => this.#emit('released', this.#factsOf(hold)),
      lost: (hold: Hold, error: LockLostError) => this.#emit('lost', { ...this.#factsOf(hold), error }),
      failed: (error, request) => {
        this.#emit('error', { error, ...(request && { resource: request.resource, id: request.id }) });
      },
    };
  }

  #factsOf(hold: Hold): { resource: unknown; id: unknown; fencingToken: number; heldMS: number; session: string } {
    const { resource, id, fencingToken, session, grantedAt } = hold;
    return { resource, id, fencingToken, heldMS: this.#settings.clock.nowMS() - grantedAt, session: session.id };
  }

  #emit<N extends LockEventName>(name: N, ...payload: LockEvents[N]): void {
    this.#settings.emit(name, ...payload);
  }

  #nextOrder(): number {
    this.#order += 1;
    return this.#order;
  }

  // --- session ----------------------------------------------------------------------------------------------------

  #openSession(): Promise<Session> {
    if (this.#session?.check()) return Promise.resolve(this.#session);
    if (this.#phase !== 'open') return Promise.reject(new LockClosedError('The client was closed.'));
    this.#opening ??= this.#startSession().finally(() => {
      this.#opening = null;
      this.#rest();
    });
    return this.#opening;
  }

  async #startSession(): Promise<Session> {
    const { store, random, options } = this.#settings;
    // The driver's own limit for finding a primary decides here, not ours.
    this.#connected = true;
    const patient = { ...this.#attempts, attemptTimeoutMS: Number.POSITIVE_INFINITY };
    await untilAcknowledged(patient, this.#life, () => store.prepare(), isHopeless);
    const draft = { session: random.id(), leaseMS: options.leaseDurationMS, ...this.#ownFacts() };
    const session = new Session(draft, { store }, options, this.#attempts, {
      onLost: (lost, why) => this.#onSessionLost(lost, why),
      onHeartbeat: () => void this.#audit(),
    });
    await session.open();
    if (this.#phase !== 'open') return this.#abandon(session);
    this.#session = session;
    this.#emit('session:opened', { session: session.id });
    return session;
  }

  /** The client was closed while its session was being written. */
  async #abandon(session: Session): Promise<never> {
    session.end();
    await this.#settings.store.endSession({ session: session.id }).catch(() => {});
    throw new LockClosedError('The client was closed.');
  }

  /** Holds are lost and waiting callers arrive again, under a new id and with a new stream. */
  #onSessionLost(session: Session, why: string): void {
    if (this.#session !== session) return;
    this.#session = null;
    this.#closeFeed();
    this.#remembered.clear();
    this.#emit('session:lost', { session: session.id, cause: why });
    for (const queue of [...this.#queues.values()]) queue.loseSession(why);
    void this.#buryOwn(session);
    this.#rest();
  }

  /** Our own old session is passed on by us, at once: our holds have been told, so that a late renewal costs nobody a lease. */
  async #buryOwn({ id: session }: Session): Promise<void> {
    const { clock, options, store } = this.#settings;
    const limit = new Lifespan();
    const timer = clock.setTimer(() => limit.end(), BURIAL_LEASES_MAX * options.leaseDurationMS);
    this.#burials.add(limit);
    try {
      await untilAcknowledged(this.#attempts, limit, () => store.condemnSession({ session }));
      await this.#reaper.bury(session, limit);
    } catch (error) {
      // Others reap it when its lease has lapsed.
      if (!(error instanceof SessionGone)) this.#emit('error', { error });
    } finally {
      timer.cancel();
      this.#burials.delete(limit);
      this.#rest();
    }
  }

  /** Its old sessions are passed on before a client closes, for a while: others would wait a lease for them. */
  async #finishBurials(): Promise<void> {
    if (this.#burials.size === 0) return;
    const limit = new Lifespan();
    this.#onRest = () => {
      if (this.#burials.size === 0) limit.end();
    };
    await pause(this.#attempts, limit, BURIAL_LIMIT_MS);
    this.#onRest = null;
    for (const burial of this.#burials) burial.end();
  }

  // --- stream -----------------------------------------------------------------------------------------------------

  /** Opens the stream before a ticket is sent. The first time it waits until the server has let us: else no ticket is sent. */
  async #openFeed(session: Session): Promise<void> {
    this.#patrol.watch();
    for (;;) {
      if (this.#feed?.session !== session) this.#startFeed(session);
      if (!this.#feedProven) await this.#feed?.opening;
      if (session.gone) throw new SessionGone();
      // Otherwise it was closed before it was open, because nobody waited any more.
      if (this.#feed?.session === session) return;
    }
  }

  #startFeed(session: Session): void {
    this.#closeFeed();
    let endWait!: () => void;
    let refused!: (error: Error) => void;
    const opening = new Promise<void>((resolve, reject) => {
      endWait = resolve;
      refused = reject;
    });
    opening.catch(() => {});
    const listener: FeedListener = {
      onFact: ({ key, grant }) => this.#receive(key, grant),
      onOpened: () => {
        this.#feedProven = true;
        endWait();
        this.#emit('stream:opened', { session: session.id });
        this.#patrol.all();
      },
      onInterrupted: (cause) => this.#emit('stream:interrupted', { session: session.id, cause }),
      onRefused: (error) => {
        this.#feedProven = false;
        refused(error);
        this.#closeFeed();
        for (const queue of this.#awaitingQueues()) queue.refuseAll(error);
      },
    };
    const handle = this.#settings.feed.open({ session: session.id, listener });
    this.#feed = { session, handle, opening, endWait };
    this.#waitedAt = this.#settings.clock.nowMS();
  }

  #closeFeed(): void {
    const feed = this.#feed;
    if (feed === null) return;
    this.#feed = null;
    feed.endWait();
    const closing = feed.handle.close().finally(() => this.#feedsClosing.delete(closing));
    this.#feedsClosing.add(closing);
    this.#emit('stream:closed', { session: feed.session.id });
  }

  // --- audit ------------------------------------------------------------------------------------------------------

  /** Reads what the server says this session holds: grants nobody told us of, and holds that stand no more. */
  #audit(): Promise<void> {
    if (this.#auditing !== null) this.#auditAgain = true;
    this.#auditing ??= this.#auditUntilDone().finally(() => {
      this.#auditing = null;
    });
    return this.#auditing;
  }

  async #auditUntilDone(): Promise<void> {
    do {
      this.#auditAgain = false;
      const session = this.#session;
      if (session === null) return;
      try {
        await this.#auditOnce(session);
      } catch (error) {
        if (!(error instanceof SessionGone)) this.#emit('error', { error });
      }
    } while (this.#auditAgain);
  }

  async #auditOnce(session: Session): Promise<void> {
    const readOrder = this.#nextOrder();
    const read = (): ReturnType<LockStore['readGrantsOf']> =>
      this.#settings.store.readGrantsOf({ session: session.id });
    const grants = new Map(
      (await untilAcknowledged(this.#attempts, session, read)).map(({ key, grant }) => [key, grant]),
    );
    for (const [key, grant] of grants) this.#receive(key, grant);
    for (const queue of [...this.#queues.values()]) {
      const { run } = queue;
      const judged = run !== null && run.phase === 'serving' && run.order < readOrder;
      if (judged && grants.get(queue.key) !== run.text)
        queue.loseRun('the lock document does not name this session any more');
    }
  }

  // --- idleness ---------------------------------------------------------------------------------------------------

  /** Something came to rest: whether all has, and stays so, is looked at after `idleMS`. */
  #rest(): void {
    this.#restedAt = this.#settings.clock.nowMS();
    this.#onRest?.();
    this.#lookIfIdleIn(this.#settings.options.idleMS);
  }

  #lookIfIdleIn(delayMS: number): void {
    if (this.#idleTimer !== null || this.#phase !== 'open') return;
    if (this.#session === null && this.#feed === null && !this.#connected) return;
    this.#idleTimer = this.#settings.clock.setTimer(() => {
      this.#idleTimer = null;
      void this.#lookIfIdle();
    }, delayMS);
  }

  async #lookIfIdle(): Promise<void> {
    const { idleMS } = this.#settings.options;
    const nowMS = this.#settings.clock.nowMS();
    if (this.#awaitingQueues().length > 0) this.#waitedAt = nowMS;
    if (this.#feed !== null && nowMS - this.#waitedAt >= idleMS) this.#closeFeed();
    const restsForMS = this.#idle ? nowMS - this.#restedAt : 0;
    if (restsForMS >= idleMS) {
      await this.#audit();
      if (this.#idle && this.#phase === 'open') return this.#endSession();
    }
    this.#lookIfIdleIn(Math.max(idleMS - restsForMS, 1));
  }

  #awaitingQueues(): ResourceQueue[] {
    return [...this.#queues.values()].filter((queue) => queue.awaiting);
  }

  get #idle(): boolean {
    const waits = this.#waiters.size > 0 || this.#queues.size > 0 || this.#opening !== null;
    return !waits && this.#deleter.idle && this.#burials.size === 0;
  }

  /** Nothing of it is left: its document goes, or stays as that of a dead session where a grant may name it yet. */
  async #endSession(): Promise<void> {
    const { store } = this.#settings;
    const session = this.#session;
    this.#session = null;
    this.#closeFeed();
    this.#remembered.clear();
    if (session !== null) {
      session.end();
      this.#emit('session:ended', { session: session.id });
      await this.#writeEnd(session);
    }
    if (this.#feedsClosing.size > 0) await this.#untilSettled(Promise.all(this.#feedsClosing));
    const unused = this.#session === null && this.#opening === null;
    if (!unused && this.#phase !== 'closed') return;
    this.#connected = false;
    await store.close().catch(() => {});
  }

  /** Sent until acknowledged, or its lease has lapsed; a client that closes waits no longer than for any answer. */
  async #writeEnd({ id: session, mayBeNamed }: Session): Promise<void> {
    const { clock, options, store } = this.#settings;
    const limit = new Lifespan();
    const limitMS = this.#phase === 'closed' ? this.#attempts.attemptTimeoutMS : options.leaseDurationMS;
    const timer = clock.setTimer(() => limit.end(), limitMS);
    try {
      await untilAcknowledged(this.#attempts, limit, () => {
        return mayBeNamed ? store.condemnSession({ session }) : store.endSession({ session });
      });
    } catch (error) {
      if (!(error instanceof SessionGone)) this.#emit('error', { error });
    } finally {
      timer.cancel();
    }
  }

  // --- closing ----------------------------------------------------------------------------------------------------

  async #close(): Promise<void> {
    this.#phase = 'closing';
    this.#life.end();
    this.#idleTimer?.cancel();
    for (const queue of [...this.#queues.values()]) queue.close(closedError);
    for (const waiter of [...this.#waiters]) waiter.leave(closedError(waiter.request));
    // A session that is being written has its end written, too.
    if (this.#opening !== null) await this.#untilSettled(this.#opening);
    this.#session?.stopRenewing();
    await this.#untilIdle();
    if (this.#session !== null) {
      await this.#audit();
      await this.#untilIdle();
    }
    await this.#finishBurials();
    this.#patrol.stop();
    this.#phase = 'closed';
    await this.#endSession();
  }

  /** Waits for what is about to end, at most as long as for any answer. Never rejects. */
  async #untilSettled(ending: Promise<unknown>): Promise<void> {
    const limit = new Lifespan();
    const end = (): void => limit.end();
    ending.then(end, end);
    await pause(this.#attempts, limit, this.#attempts.attemptTimeoutMS);
  }

  /** Until everything was released and deleted, at most until the session is gone. */
  #untilIdle(): Promise<void> {
    const session = this.#session;
    if (session === null) return Promise.resolve();
    return new Promise((resolve) => {
      const settle = (): void => {
        this.#onRest = null;
        stop();
        resolve();
      };
      const stop = session.onGone(settle);
      this.#onRest = () => {
        if (this.#queues.size === 0 && this.#deleter.quiet) settle();
      };
      this.#onRest();
    });
  }

  // --- what the reaper and the patrol need -------------------------------------------------------------------------

  #reaperHost(): ConstructorParameters<typeof Reaper>[0] {
    const { store, options } = this.#settings;
    const { leaseDurationMS, clockSkewMS, runMaxCount } = options;
    return {
      store,
      attempts: this.#attempts,
      leaseDurationMS,
      clockSkewMS,
      runMaxCount,
      awaits: (key) => this.#queues.get(key)?.awaiting ?? false,
      onGranted: (key, grant) => this.#receiveIfOurs(key, grant),
      onReaped: (session, locksCount) => this.#emit('session:reaped', { session, locksCount }),
    };
  }

  #receiveIfOurs(key: string, grant: string): void {
    if (this.#session !== null && grant.startsWith(`${this.#session.id}/`)) this.#receive(key, grant);
  }

  #patrolHost(onFailure: (error: unknown) => void): ConstructorParameters<typeof Patrol>[0] {
    const engine = this;
    const { store, options } = this.#settings;
    return {
      store,
      attempts: this.#attempts,
      clockSkewMS: options.clockSkewMS,
      leaseDurationMS: options.leaseDurationMS,
      patrolIntervalMS: options.patrolIntervalMS,
      get session() {
        return engine.#session;
      },
      awaitingQueues: () => this.#awaitingQueues(),
      queue: (key) => this.#queues.get(key),
      nextOrder: () => this.#nextOrder(),
      onFailure,
    };
  }
}

function closedError({ resource, id }: AcquireRequest): LockClosedError {
  return new LockClosedError('The client was closed.', { resource, id });
}

function describeHolder({ session, fencingToken, host, pid, label }: LockHolder): string {
  const where =
    host === undefined ? `session ${session}` : `process ${pid} on ${host}${label === undefined ? '' : ` (${label})`}`;
  return `${where}, fencing token ${fencingToken}`;
}
