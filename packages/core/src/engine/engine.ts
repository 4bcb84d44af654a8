/**
 * The engine of one client: it has the session, the stream, the patrol and one queue for each resource in use, starts
 * each when it is needed and ends it when nothing needs it any more. The api calls it; it calls the two ports.
 */
import type { Clock, Timer } from '../base/clock.js';
import type { Random } from '../base/random.js';
import { LockClosedError, type LockHolder, LockLimitError, type LockLostError, LockTimeoutError } from '../errors.js';
import type { LockEventName, LockEvents } from '../events.js';
import type { LostLockRelease } from '../options.js';
import type { ChangeFeed, FeedHandle, FeedListener, LockStore } from '../ports.js';
import { type ForcedNote, parseForced } from '../protocol/forced.js';
import { decodeKey } from '../protocol/key.js';
import {
  type AttemptContext,
  backoffMS,
  isHopeless,
  Lifespan,
  type Lifetime,
  pause,
  SessionGone,
  untilAcknowledged,
} from './attempt.js';
import { Contention } from './contention.js';
import { type ForceRequest, Forcer } from './forcer.js';
import type { Hold, LossFacts } from './hold.js';
import { Patrol } from './patrol.js';
import { QueueWatch } from './queue-watch.js';
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
  readonly releaseLostLocks: LostLockRelease;
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
  /** Whether anybody listens to an event, which need not be found out then. */
  listens(name: LockEventName): boolean;
  /** Called with every event, and with the request where it is about one call. Must not throw. */
  emit<N extends LockEventName>(name: N, event: LockEvents[N][0], request?: AcquireRequest): void;
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
/** How many holds that fell at once are looked up for who has ended them by hand, and how long that may take. */
const TOLD_MAX = 16;
const TOLD_WITHIN_MS = 1_000;
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
  readonly #forcer: Forcer;
  readonly #contention: Contention;
  readonly #watch: QueueWatch;
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
  /** How many calls beside the queues need the database now. */
  #usesCount = 0;
  /** Ends when holders are not to be waited for any more. */
  readonly #grace = new Lifespan();
  /** Lost sessions of our own that are being passed on. */
  readonly #burials = new Set<Lifespan>();

  constructor(settings: EngineSettings) {
    this.#settings = settings;
    const { clock, random, options, store } = settings;
    const onFailure = (error: unknown): void => this.#emit('error', { error });
    this.#attempts = { clock, random, attemptTimeoutMS: options.leaseDurationMS * ATTEMPT_SHARE, onFailure };
    this.#deleter = new TicketDeleter(store, this.#attempts, () => this.#rest());
    this.#reaper = new Reaper(this.#reaperHost());
    this.#patrol = new Patrol(this.#patrolHost(onFailure), this.#reaper);
    this.#forcer = new Forcer(this.#forcerHost());
    this.#contention = new Contention(this.#contentionHost());
    this.#watch = new QueueWatch(this.#watchHost());
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

  /**
   * Rejects who waits, lets holders finish for `graceMS`, ends what is still held, releases, and ends the session. At most
   * until the local deadline then. A later call may shorten the grace.
   */
  close(graceMS = 0): Promise<void> {
    if (graceMS <= 0) this.#grace.end();
    this.#closing ??= this.#close(graceMS);
    return this.#closing;
  }

  /** Has the database open for something beside the queues. Rejects with a `LockError`. */
  async use<T>(send: () => Promise<T>): Promise<T> {
    if (this.#phase !== 'open') throw new LockClosedError('The client was closed.');
    this.#connected = true;
    this.#usesCount += 1;
    try {
      await this.#settings.store.prepare();
      return await send();
    } finally {
      this.#usesCount -= 1;
      this.#rest();
    }
  }

  /** The database stays open while this runs: the commit of a transaction, also while the client closes. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    this.#usesCount += 1;
    try {
      return await work();
    } finally {
      this.#usesCount -= 1;
      this.#rest();
    }
  }

  /** Ends the run that has this token. false: it does not stand any more. Rejects with a `LockError`. */
  forceRelease(request: ForceRequest): Promise<boolean> {
    return this.use(() => this.#forcer.release(request, this.#life)).catch((error) => {
      throw error instanceof SessionGone ? new LockClosedError('The client was closed.') : error;
    });
  }

  /** Resolves with true when somebody waits behind this hold, with false when it has ended. */
  contended(hold: Hold): Promise<boolean> {
    return this.#contention.ask(hold);
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
    this.#contention.look();
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
  #receive(
    key: string,
    grant: string,
    report: { readonly trace?: string | undefined; readonly readOrder?: number },
  ): void {
    const queue = this.#queue(key);
    queue.receive(grant, report);
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
      get releaseLostLocks() {
        return engine.#settings.options.releaseLostLocks;
      },
      get session() {
        return engine.#session;
      },
      get positionsWanted() {
        return engine.#settings.listens('position');
      },
      report: this.#makeReport(),
      openSession: () => this.#openSession(),
      openFeed: (session) => this.#openFeed(session),
      nextOrder: () => this.#nextOrder(),
      deleteTickets: (session, numbers) => this.#deleter.delete(session, numbers),
      leaveQueue: (session, key, numbers) => this.#deleter.leave(session, key, numbers),
      patrolSoon: (key) => this.#patrol.soon(key),
      watchSoon: () => this.#watch.look(),
      auditSoon: () => void this.#audit(),
      backOff: (triesCount) => pause(this.#attempts, this.#life, backoffMS(this.#settings.random, triesCount)),
      retire: (queue) => this.#retire(queue),
    };
  }

  #makeReport(): ConstructorParameters<typeof ResourceQueue>[2]['report'] {
    return {
      waiting: (request) => {
        const { resource, id, key, label } = request;
        const holder = this.#holderOf(key);
        const facts = { resource, id, ...(label !== undefined && { label }), ...(holder && { holder }) };
        this.#emit('waiting', facts, request);
      },
      position: (waiter, position, estimatedWaitMS) => {
        const { resource, id, label } = waiter.request;
        const facts = { position, waitedMS: waiter.waitedMS, ...(estimatedWaitMS !== null && { estimatedWaitMS }) };
        this.#emit('position', { resource, id, ...facts, ...(label !== undefined && { label }) }, waiter.request);
      },
      granted: (hold, waiter, previousTraceparent) => {
        const { label } = waiter.request;
        const { resource, id, fencingToken, session } = hold;
        const waitedMS = hold.grantedAt - waiter.startedAt;
        const facts = { fencingToken, waitedMS, session: session.id, ...(label !== undefined && { label }) };
        const previous = previousTraceparent !== null && { previousTraceparent };
        this.#emit('granted', { resource, id, ...facts, ...previous }, hold.request);
      },
      released: (hold) => {
        this.#emit('released', this.#factsOf(hold), hold.request);
        this.#contention.look();
      },
      lost: (hold: Hold, error: LockLostError) => {
        this.#emit('lost', { ...this.#factsOf(hold), error }, hold.request);
        this.#contention.look();
      },
      unreleased: (hold, error) => {
        this.#emit('error', { error, ...this.#factsOf(hold) }, hold.request);
        this.#contention.look();
      },
      failed: (error, request) => {
        this.#emit('error', { error, ...(request && { resource: request.resource, id: request.id }) });
      },
    };
  }

  #factsOf(hold: Hold): { resource: unknown; id: unknown; fencingToken: number; heldMS: number; session: string } {
    const { resource, id, fencingToken, session, grantedAt } = hold;
    return { resource, id, fencingToken, heldMS: this.#settings.clock.nowMS() - grantedAt, session: session.id };
  }

  #emit<N extends LockEventName>(name: N, event: LockEvents[N][0], request?: AcquireRequest): void {
    this.#settings.emit(name, event, request);
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
      onRenewed: ({ id }, took) => this.#emit('session:renewed', { session: id, ...took }),
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
    const lost = [...this.#queues.values()].flatMap((queue) => queue.loseSession(why) ?? []);
    void this.#buryOwn(session, this.#settings.options.releaseLostLocks === 'on-unlock' ? lost : []);
    this.#rest();
  }

  /**
   * Our own old session is passed on by us: our holds have been told, so that a late renewal costs nobody a lease. At
   * once, or when the holders of `kept` have ended.
   */
  async #buryOwn({ id: session }: Session, kept: readonly Hold[]): Promise<void> {
    const { clock, options, store } = this.#settings;
    const limit = new Lifespan();
    this.#burials.add(limit);
    if (kept.length > 0) await this.#untilUnlocked(session, kept, limit);
    const timer = clock.setTimer(() => limit.end(), BURIAL_LEASES_MAX * options.leaseDurationMS);
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

  /**
   * Until the holders of a lost session have ended, at most until its lease has lapsed by any clock: then others may
   * have what they held in any case. Tickets and locks that nobody holds are not kept meanwhile.
   */
  async #untilUnlocked(session: string, kept: readonly Hold[], limit: Lifetime): Promise<void> {
    const { leaseDurationMS, clockSkewMS } = this.#settings.options;
    const holders = new Lifespan();
    const stop = limit.onGone(() => holders.end());
    void Promise.all(kept.map((hold) => hold.untilUnlocked())).then(() => holders.end());
    this.#reaper.bury(session, holders, new Set(kept.map(({ request }) => request.key))).catch((error) => {
      if (!(error instanceof SessionGone)) this.#emit('error', { error });
    });
    await pause(this.#attempts, holders, leaseDurationMS + clockSkewMS);
    holders.end();
    stop();
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
      onFact: ({ key, grant, trace }) => this.#receive(key, grant, { trace }),
      onForced: ({ key, note }) => this.#loseForced(key, note),
      onLag: (lag) => this.#emit('stream:delivered', { session: session.id, ...lag }),
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
    this.#awaitClosing(feed.handle.close());
    this.#emit('stream:closed', { session: feed.session.id });
  }

  #awaitClosing(closed: Promise<void>): void {
    const closing = closed.finally(() => this.#feedsClosing.delete(closing));
    this.#feedsClosing.add(closing);
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
    for (const [key, grant] of grants) this.#receive(key, grant, { readOrder });
    const fallen = [...this.#queues.values()].filter(({ key, run }) => {
      const judged = run !== null && run.phase === 'serving' && run.order < readOrder;
      return judged && grants.get(key) !== run.text;
    });
    await Promise.all(fallen.map((queue, index) => this.#loseFallen(queue, index < TOLD_MAX)));
    if (session.resentAt !== null) await this.#deleteStrays(session);
  }

  /** Own tickets that no caller here waits in: written by a copy of an arrival that came late. */
  async #deleteStrays(session: Session): Promise<void> {
    const read = (): ReturnType<LockStore['readTicketsOf']> =>
      this.#settings.store.readTicketsOf({ session: session.id });
    for (const { key, n } of await untilAcknowledged(this.#attempts, session, read)) {
      if (this.#queues.get(key)?.hasTicket(n) !== true) void this.#deleter.leave(session, key, [n]);
    }
  }

  /** A run that stands no more: ended by hand, as the lock document then says, or taken over. */
  async #loseFallen(queue: ResourceQueue, isTold: boolean): Promise<void> {
    const { key, run } = queue;
    const note = isTold ? await this.#readForced(key) : null;
    // It may have been released meanwhile, which settles it.
    if (run === null || queue.run !== run || run.phase !== 'serving') return;
    if (note !== null && this.#loseForced(key, note)) return;
    queue.loseRun('the lock document does not name this session any more');
  }

  /** One try, and not for long: the hold is lost already. */
  async #readForced(key: string): Promise<ForcedNote | null> {
    const limit = new Lifespan();
    const timer = this.#settings.clock.setTimer(() => limit.end(), TOLD_WITHIN_MS);
    const request = { key, withoutTickets: [], withoutSessions: [], limit: 1 };
    try {
      const view = await untilAcknowledged(
        this.#attempts,
        limit,
        () => this.#settings.store.readQueue(request),
        () => true,
      );
      return parseForced(view.lock?.forced);
    } catch {
      return null;
    } finally {
      timer.cancel();
    }
  }

  /** Whether it was the run that is held here. */
  #loseForced(key: string, note: ForcedNote): boolean {
    const queue = this.#queues.get(key);
    const { session, ...forced } = note;
    const grant = queue?.run?.grant;
    if (queue === undefined || session !== this.#session?.id) return false;
    // Where the note comes before the grant that it ends, that is not served any more.
    queue.endedByHand(forced.fencingToken);
    if (grant?.session !== session || grant.firstToken !== forced.fencingToken) return false;
    const facts: LossFacts = { forced };
    queue.loseRun(`it was released by force by ${forced.by}: ${forced.reason}`, facts);
    return true;
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
    const waits = this.#waiters.size > 0 || this.#queues.size > 0 || this.#opening !== null || this.#usesCount > 0;
    return !waits && this.#deleter.quiet && this.#burials.size === 0 && !this.#expectsStrays;
  }

  /** For a lease after an arrival was sent again its session stays, and deletes what a copy writes. */
  get #expectsStrays(): boolean {
    const resentAt = this.#session?.resentAt ?? null;
    const { clock, options } = this.#settings;
    return resentAt !== null && clock.nowMS() - resentAt < options.leaseDurationMS;
  }

  /** Nothing of it is left: its document goes, or stays as that of a dead session where a grant may name it yet. */
  async #endSession(): Promise<void> {
    const { store } = this.#settings;
    const session = this.#session;
    this.#session = null;
    this.#closeFeed();
    this.#watch.stop();
    this.#remembered.clear();
    if (session !== null) {
      session.end();
      this.#emit('session:ended', { session: session.id });
      await this.#writeEnd(session);
    }
    if (this.#feedsClosing.size > 0) await this.#untilSettled(Promise.all(this.#feedsClosing));
    const unused = this.#session === null && this.#opening === null && this.#usesCount === 0;
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

  async #close(graceMS: number): Promise<void> {
    this.#phase = 'closing';
    this.#life.end();
    this.#idleTimer?.cancel();
    for (const waiter of [...this.#waiters]) waiter.leave(closedError(waiter.request));
    if (graceMS > 0) await this.#untilReleased(graceMS);
    for (const queue of [...this.#queues.values()]) queue.close(closedError);
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

  /** Until nothing is held any more, and no longer than `graceMS`. */
  async #untilReleased(graceMS: number): Promise<void> {
    const lookUp = (): void => {
      if ([...this.#queues.values()].every(({ run }) => run === null)) this.#grace.end();
    };
    this.#onRest = lookUp;
    lookUp();
    await pause(this.#attempts, this.#grace, graceMS);
    this.#onRest = null;
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

  #forcerHost(): ConstructorParameters<typeof Forcer>[0] {
    const { store, options } = this.#settings;
    return {
      store,
      attempts: this.#attempts,
      runMaxCount: options.runMaxCount,
      onForced: (key, text, next) => {
        const note = parseForced(text);
        if (note !== null) this.#loseForced(key, note);
        if (next !== null) this.#receiveIfOurs(key, next);
      },
    };
  }

  #contentionHost(): ConstructorParameters<typeof Contention>[0] {
    const { store, options } = this.#settings;
    return {
      store,
      attempts: this.#attempts,
      patrolIntervalMS: options.patrolIntervalMS,
      queue: (key) => this.#queues.get(key),
      watchSoon: () => this.#watch.look(),
      onContended: ({ resource, id, fencingToken, session, request }) =>
        this.#emit('contended', { resource, id, fencingToken, session: session.id }, request),
    };
  }

  #watchHost(): ConstructorParameters<typeof QueueWatch>[0] {
    const { clock, feed, listens } = this.#settings;
    return {
      clock,
      feed,
      keys: () => [
        ...this.#contention.keys,
        ...(listens('position') ? this.#awaitingQueues().map(({ key }) => key) : []),
      ],
      onChanged: ({ key, arrivals, ...moved }) => {
        this.#queues.get(key)?.moved(moved);
        if (arrivals !== undefined) this.#contention.arrived([key]);
      },
      onOpened: (keys) => {
        for (const key of keys) if (this.#queues.get(key)?.awaiting === true) this.#patrol.soon(key);
        this.#contention.arrived(keys);
      },
      onClosing: (closing) => this.#awaitClosing(closing),
    };
  }

  #receiveIfOurs(key: string, grant: string): void {
    if (this.#session !== null && grant.startsWith(`${this.#session.id}/`)) this.#receive(key, grant, {});
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
