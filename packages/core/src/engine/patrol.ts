/**
 * The patrol: the slow check of a process in which somebody waits. Whatever can be lost (an event, a reply, a process)
 * is found here: it delivers what the stream did not, has the dead reaped, rescues a vacant lock, and sends waiters back
 * whose place is gone. It reads and decides; the queues and the reaper act.
 */
import type { Timer } from '../base/clock.js';
import { LockNewerVersionError } from '../errors.js';
import type { AwaitedLock, AwaitedView } from '../ports.js';
import { DOCUMENT_VERSION, type SessionState } from '../protocol/documents.js';
import { parseGrant, ticketId } from '../protocol/grant.js';
import { type BeatSighting, judgeSession, sight } from '../protocol/lease.js';
import { chunk, HEAD_LIMIT } from '../protocol/transitions.js';
import { type AttemptContext, type Lifetime, SessionGone, untilAcknowledged } from './attempt.js';
import type { Reaper, ReaperHost } from './reaper.js';
import type { ResourceQueue } from './resource-queue.js';
import type { Session } from './session.js';
import type { Ticket } from './ticket.js';

export interface PatrolHost extends Pick<ReaperHost, 'store'> {
  readonly attempts: AttemptContext;
  readonly clockSkewMS: number;
  readonly leaseDurationMS: number;
  readonly patrolIntervalMS: number;
  readonly session: Session | null;
  /** The queues in which somebody waits for others. */
  awaitingQueues(): ResourceQueue[];
  queue(key: string): ResourceQueue | undefined;
  nextOrder(): number;
  onFailure(error: unknown): void;
}

/** How many keys one read of the patrol asks for. */
const KEYS_MAX = 200;
/** How soon it may run again when a lease is about to lapse: instants of the server are known to the millisecond. */
const SOONEST_MS = 5;
/** How often in a row it goes round again because it has buried somebody: the rest waits for the next. */
const ROUNDS_MAX = 16;

/** One queue and what was read of it. */
interface Review {
  readonly queue: ResourceQueue;
  readonly view: AwaitedView;
  readonly missing: readonly Ticket[];
  readonly readOrder: number;
}

export class Patrol {
  readonly #host: PatrolHost;
  readonly #reaper: Reaper;
  readonly #sightings = new Map<string, BeatSighting>();
  /** Sessions as last read, for the facts of errors. */
  readonly #known = new Map<string, SessionState>();
  /** Whom the present look at everything has met. */
  readonly #seen = new Set<string>();
  /** When it last looked at keys that callers only tried. */
  #triedLookAt = Number.NEGATIVE_INFINITY;
  #timer: Timer | null = null;
  #dueAt = Number.POSITIVE_INFINITY;
  #soonKeys = new Set<string>();
  #soonAll = false;
  #running = false;
  #stopped = false;

  constructor(host: PatrolHost, reaper: Reaper) {
    this.#host = host;
    this.#reaper = reaper;
  }

  /** What was last read of a session. */
  known(session: string): SessionState | undefined {
    return this.#known.get(session);
  }

  /**
   * Looks at one key at once, together with others asked for meanwhile. Where nobody waits, and callers only try, at most
   * once in a patrol's interval.
   */
  soon(key: string): void {
    this.#soonKeys.add(key);
    this.#start();
  }

  /** Looks at everything awaited at once: events may have been missed. */
  all(): void {
    this.#soonAll = true;
    this.#start();
  }

  /** Somebody waits: from now on there is a next patrol. */
  watch(): void {
    this.#scheduleIn(this.#host.patrolIntervalMS);
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  #cancel(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#dueAt = Number.POSITIVE_INFINITY;
  }

  #scheduleIn(delayMS: number): void {
    const dueAt = this.#host.attempts.clock.nowMS() + delayMS;
    if (this.#stopped || dueAt >= this.#dueAt) return;
    this.#cancel();
    this.#dueAt = dueAt;
    this.#timer = this.#host.attempts.clock.setTimer(() => {
      this.#cancel();
      if (this.#host.awaitingQueues().length > 0) this.all();
    }, delayMS);
  }

  #start(): void {
    if (this.#running || this.#stopped) return;
    this.#running = true;
    // What else is asked for in this turn goes along.
    void Promise.resolve().then(() => this.#run());
  }

  async #run(): Promise<void> {
    while (!this.#stopped && (this.#soonAll || this.#soonKeys.size > 0)) {
      const everything = this.#soonAll;
      const keys = this.#takeAsked();
      const session = this.#host.session;
      if (session === null) continue;
      if (everything) this.#seen.clear();
      try {
        for (const some of chunk(keys, KEYS_MAX)) await this.#patrol(some, session);
        if (everything) this.#forgetUnseen();
      } catch (error) {
        if (!(error instanceof SessionGone)) this.#host.onFailure(error);
      }
    }
    this.#running = false;
    if (this.#host.awaitingQueues().length > 0) this.#scheduleIn(this.#host.patrolIntervalMS);
    else this.#forget();
  }

  #takeAsked(): string[] {
    const awaited = this.#soonAll ? this.#host.awaitingQueues().map(({ key }) => key) : [];
    const keys = [...new Set([...awaited, ...this.#askedKeys()])];
    this.#soonAll = false;
    this.#soonKeys = new Set();
    return keys;
  }

  #askedKeys(): string[] {
    const nowMS = this.#host.attempts.clock.nowMS();
    const looked = nowMS - this.#triedLookAt < this.#host.patrolIntervalMS;
    const tried = [...this.#soonKeys].filter((key) => this.#host.queue(key)?.awaiting !== true);
    if (tried.length > 0 && !looked) this.#triedLookAt = nowMS;
    return [...this.#soonKeys].filter((key) => !looked || !tried.includes(key));
  }

  #forget(): void {
    this.#seen.clear();
    this.#forgetUnseen();
  }

  /** Whoever a look at everything did not meet is nobody's concern here any more. */
  #forgetUnseen(): void {
    for (const id of [...this.#sightings.keys()].filter((id) => !this.#seen.has(id))) {
      this.#sightings.delete(id);
      this.#known.delete(id);
    }
  }

  /** Goes round until nobody had to be buried: the next holder may be as dead as the one before it (A10). */
  async #patrol(keys: readonly string[], session: Lifetime & { readonly id: string }): Promise<void> {
    for (let round = 1; round <= ROUNDS_MAX; round += 1) {
      const view = await this.#read(keys, session);
      const checkInMS = await this.#judge(view, session);
      if (checkInMS > 0) return this.#scheduleIn(Math.max(checkInMS, SOONEST_MS));
    }
    this.#scheduleIn(SOONEST_MS);
  }

  /** Reads the awaited documents and has each queue look at its own. */
  async #read(keys: readonly string[], session: Lifetime & { readonly id: string }): Promise<AwaitedView> {
    const readOrder = this.#host.nextOrder();
    const queues = keys.flatMap((key) => this.#host.queue(key) ?? []);
    const tickets = new Map<ResourceQueue, Ticket[]>(queues.map((queue) => [queue, queue.arrivedTickets()]));
    const ticketIds = [...tickets.values()].flat().map(({ n }) => ticketId(session.id, n));
    const request = { keys, ticketIds, headLimit: HEAD_LIMIT };
    const view = await untilAcknowledged(this.#host.attempts, session, () => this.#host.store.readAwaited(request));
    for (const [queue, asked] of tickets) {
      // It may have been retired and made anew since the read was sent: then it knows of no grant that was served here.
      if (this.#host.queue(queue.key) !== queue) continue;
      const missing = asked.filter(({ n }) => !view.tickets.has(ticketId(session.id, n)));
      await this.#review({ queue, view, missing, readOrder }, session).catch((error) => this.#goOnAfter(error));
    }
    return view;
  }

  async #review({ queue, view, missing, readOrder }: Review, session: Lifetime): Promise<void> {
    const seen = view.locks.get(queue.key) ?? null;
    if (view.unreadable.includes(queue.key) || isUnreadable(seen)) return queue.refuseAll(unreadable(queue.key));
    queue.review(seen, missing, readOrder);
    const vacant = seen === null || seen.lock.grant === null;
    if (vacant && queue.awaiting && queue.run === null) await this.#reaper.rescue(queue.key, session);
  }

  /** Reaps whoever may be reaped among holders and first waiters. 0: somebody was buried; else when to look again. */
  async #judge(view: AwaitedView, own: Lifetime & { readonly id: string }): Promise<number> {
    const ids = sessionsIn(view, own.id);
    if (ids.length === 0) return this.#host.patrolIntervalMS;
    const read = await untilAcknowledged(this.#host.attempts, own, () =>
      this.#host.store.readSessions({ sessions: ids }),
    );
    const states = new Map(read.map((state) => [state.session, state]));
    let buried = false;
    let checkInMS = this.#host.patrolIntervalMS;
    for (const id of ids) {
      const waitMS = await this.#judgeOne(id, states.get(id), own).catch((error) => this.#goOnAfter(error));
      if (waitMS === 0) buried = true;
      else checkInMS = Math.min(checkInMS, waitMS);
    }
    return buried ? 0 : checkInMS;
  }

  /** What one key or session fails with, such as a document that another tool has spoilt, keeps nobody from the others. */
  #goOnAfter(error: unknown): number {
    if (error instanceof SessionGone) throw error;
    this.#host.onFailure(error);
    return this.#host.patrolIntervalMS;
  }

  async #judgeOne(id: string, state: SessionState | undefined, own: Lifetime): Promise<number> {
    if (state === undefined) {
      const knownLeaseMS = this.#known.get(id)?.leaseMS;
      return this.#reaper.reap({ session: id, ...(knownLeaseMS !== undefined && { knownLeaseMS }) }, own);
    }
    if (state.version > DOCUMENT_VERSION) return this.#host.patrolIntervalMS;
    const nowMS = this.#host.attempts.clock.nowMS();
    const sighting = sight(state, this.#sightings.get(id), nowMS);
    this.#seen.add(id);
    this.#sightings.set(id, sighting);
    this.#known.set(id, state);
    const verdict = judgeSession(state, sighting, nowMS, this.#host.clockSkewMS);
    if (verdict.kind === 'wait') return Math.max(verdict.checkInMS, 1);
    const { unchangedBeats } = verdict;
    return this.#reaper.reap({ session: id, ...(unchangedBeats !== undefined && { unchangedBeats }) }, own);
  }
}

/** Whoever holds or waits among the first, ourselves excepted. */
function sessionsIn(view: AwaitedView, own: string): string[] {
  const ids = new Set<string>();
  for (const { lock, head } of view.locks.values()) {
    const holder = parseGrant(lock.grant)?.session;
    if (holder !== undefined) ids.add(holder);
    for (const { session } of head) ids.add(session);
  }
  ids.delete(own);
  return [...ids];
}

function isUnreadable(seen: AwaitedLock | null): boolean {
  if (seen === null) return false;
  return seen.lock.version > DOCUMENT_VERSION || (seen.lock.grant !== null && parseGrant(seen.lock.grant) === null);
}

function unreadable(key: string): LockNewerVersionError {
  return new LockNewerVersionError(
    `The lock document ${JSON.stringify(key)} cannot be read by this version: it was written by a newer version or another tool. Upgrade this process, or delete the document while nothing is held.`,
  );
}
