/**
 * What the live page shows, whoever looks: the one observer, the figures, the timelines of locks and the incidents, all of
 * them within named limits. It knows no browser; `frames.ts` asks it for what one browser is to see.
 */
import type { Db } from 'mongodb';
import { messageOf } from '../failures.js';
import type { Fact, LockFact } from '../observer/facts.js';
import { Observer, type ObserverStatus } from '../observer/observer.js';
import type { TrackedHold, TrackedLock, TrackedTicket } from '../observer/tracker.js';
import { FigureCounter, isLoss } from './figures.js';
import type { Figures, HoldView, LockView, TicketView, WireFact } from './wire.js';

/** Facts that are kept of one lock. */
const TIMELINE_MAX = 100;
/** Locks of which facts are kept: those that something happened to last. */
const TIMELINES_MAX = 1_000;
/** Incidents that are kept. */
const INCIDENTS_MAX = 100;

export interface BoardOptions {
  readonly db: Db;
  readonly collectionName: string;
}

/** Who is told that something changed: the lock, or null where any may have. */
export type BoardListener = (lock: string | null) => void;

/** See above. */
export class Board {
  readonly #observer: Observer;
  readonly #figures = new FigureCounter();
  readonly #timelines = new Map<string, WireFact[]>();
  readonly #incidents: WireFact[] = [];
  readonly #listeners = new Set<BoardListener>();
  #problem: string | undefined;
  #factsCount = 0;

  constructor({ db, collectionName }: BoardOptions) {
    const listener = {
      onFact: (fact: Fact) => this.#hear(fact),
      onStatus: (status: ObserverStatus, error?: Error) => this.#note(status, error),
    };
    this.#observer = new Observer({ db, collectionName, listener });
  }

  /** Rejects with what the driver throws where the first read fails. */
  open(): Promise<void> {
    return this.#observer.open();
  }

  close(): Promise<void> {
    return this.#observer.close();
  }

  get status(): ObserverStatus {
    return this.#observer.status;
  }

  /** What broke the stream, while it is interrupted. */
  get problem(): string | undefined {
    return this.#problem;
  }

  get nowMS(): number {
    return this.#observer.serverNowMS;
  }

  /** How many facts there were: the `number` of the last one. */
  get factsCount(): number {
    return this.#factsCount;
  }

  get locks(): ReadonlyMap<string, TrackedLock> {
    return this.#observer.locks;
  }

  /** Calls `listener` for every change, until what this returns is called. */
  listen(listener: BoardListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Incidents with higher numbers. */
  incidentsAfter(number: number): WireFact[] {
    return this.#incidents.filter((fact) => fact.number > number);
  }

  /** What is kept of one lock, with higher numbers. */
  timelineAfter(lock: string, number: number): WireFact[] {
    return (this.#timelines.get(lock) ?? []).filter((fact) => fact.number > number);
  }

  /** A lock with at most so many of its queue. */
  view(lock: TrackedLock, queueMax: number): LockView {
    const { key, resource, id, hold, queue, waitersCount } = lock;
    const head = queue.slice(0, queueMax).map((ticket) => this.#ticketView(ticket));
    return {
      key,
      resource,
      id,
      hold: hold && this.#holdView(hold),
      waitersCount,
      ticketsCount: queue.length,
      queue: head,
    };
  }

  figures(): Figures {
    const { locks, sessions, omittedCount } = this.#observer;
    const nowMS = this.nowMS;
    const all = [...locks.values()];
    const firsts = all.flatMap(({ queue }) => (queue[0] === undefined ? [] : [queue[0].since.getTime()]));
    const first = firsts.reduce((least, since) => Math.min(least, since), Number.POSITIVE_INFINITY);
    return {
      ...this.#figures.read(nowMS),
      heldCount: all.filter(({ hold }) => hold !== null).length,
      waitersCount: all.reduce((sum, { waitersCount }) => sum + waitersCount, 0),
      longestWaitMS: firsts.length === 0 ? null : Math.max(0, nowMS - first),
      sessionsCount: sessions.size,
      deadSessionsCount: [...sessions.values()].filter(({ state }) => state === 'dead').length,
      omittedCount,
    };
  }

  #hear(fact: Fact): void {
    this.#factsCount += 1;
    this.#figures.count(fact);
    const wired = wire(fact, this.#factsCount);
    if (isIncident(fact)) {
      this.#incidents.push(wired);
      if (this.#incidents.length > INCIDENTS_MAX) this.#incidents.shift();
    }
    const lock = isLockFact(fact) ? lockName(fact) : null;
    if (lock !== null) this.#keep(lock, wired);
    this.#tell(lock);
  }

  /** The lock that something happened to last is the last to be forgotten. */
  #keep(lock: string, fact: WireFact): void {
    const facts = this.#timelines.get(lock) ?? [];
    this.#timelines.delete(lock);
    facts.push(fact);
    if (facts.length > TIMELINE_MAX) facts.shift();
    this.#timelines.set(lock, facts);
    if (this.#timelines.size <= TIMELINES_MAX) return;
    const [oldest] = this.#timelines.keys();
    if (oldest !== undefined) this.#timelines.delete(oldest);
  }

  #note(status: ObserverStatus, error?: Error): void {
    if (status === 'live') this.#problem = undefined;
    else if (error !== undefined) this.#problem = messageOf(error);
    this.#tell(null);
  }

  #tell(lock: string | null): void {
    for (const listener of this.#listeners) listener(lock);
  }

  #holdView({ holder, firstToken, lastToken, callersCount, since }: TrackedHold): HoldView {
    const session = this.#observer.sessions.get(holder.session);
    return {
      holder: session?.party ?? holder,
      state: session?.state ?? 'unknown',
      leaseEndMS: session?.until?.getTime() ?? null,
      firstToken,
      lastToken,
      callersCount,
      sinceMS: since?.getTime() ?? null,
    };
  }

  #ticketView({ id, waiter, callersCount, labels, since }: TrackedTicket): TicketView {
    const session = this.#observer.sessions.get(waiter.session);
    const state = session?.state ?? 'unknown';
    return { id, waiter: session?.party ?? waiter, state, callersCount, labels, sinceMS: since.getTime() };
  }
}

/** How the board calls a lock: unlike a document's key it can be asked for by a browser, in two texts. */
export function lockName({ resource, id }: { readonly resource: string; readonly id: string }): string {
  return JSON.stringify([resource, id]);
}

function isLockFact(fact: Fact): fact is LockFact {
  return 'resource' in fact;
}

function isIncident(fact: Fact): boolean {
  return isLoss(fact) || fact.kind === 'session:dead' || fact.kind === 'gap';
}

function wire(fact: Fact, number: number): WireFact {
  const { at, ...rest } = fact;
  const sent = { ...rest, atMS: at.getTime(), number };
  if ('waits' in sent) delete (sent as { waits?: unknown }).waits;
  return sent as WireFact;
}
