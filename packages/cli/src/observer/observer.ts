/**
 * An observer of all locks of one database: one change stream, however many look on. It reads the two collections once, in
 * pages of one snapshot, follows every write from that very moment on, and tells what they mean. It writes nothing and
 * takes part in no queue. `dlocks watch` and the live page stand on it; what writes mean is `tracker.ts`.
 */
import type { Db } from 'mongodb';
import { type CollectionNames, type Raw, readChange } from './changes.js';
import type { Fact } from './facts.js';
import { readSnapshot } from './snapshot.js';
import { ChangeStream, PositionLostError } from './stream.js';
import { type TrackedLock, type TrackedSession, Tracker } from './tracker.js';

const COLLECTION_DEFAULT = 'dlocks';
/** The pause before everything is read again after that failed. */
const READ_PAUSE_MS = 1_000;

/** `live`: what is known is what the server has, but for the stream's delay. */
export type ObserverStatus = 'reading' | 'live' | 'interrupted' | 'closed';

/** Who is told, one call after the other, in the server's order. None must throw. */
export interface ObserverListener {
  readonly onFact?: (fact: Fact) => void;
  /** `error`: what broke the stream. Each time it is `live` again, `locks` and `sessions` may be other maps. */
  readonly onStatus?: (status: ObserverStatus, error?: Error) => void;
}

export interface ObserverOptions {
  /** A database of a connected client; the role needs `find` on both collections and `changeStream` on the database. */
  readonly db: Db;
  /** That of locks and tickets, as the clients have it; default `dlocks`. */
  readonly collectionName?: string | undefined;
  readonly listener: ObserverListener;
}

/** See above. */
export class Observer {
  readonly #db: Db;
  readonly #names: CollectionNames;
  readonly #listener: ObserverListener;
  readonly #closing = new AbortController();
  #tracker = new Tracker();
  #clockOffsetMS = Date.now() - performance.now();
  #status: ObserverStatus = 'reading';
  #running: Promise<void> = Promise.resolve();

  constructor({ db, collectionName = COLLECTION_DEFAULT, listener }: ObserverOptions) {
    this.#db = db;
    this.#names = { locks: collectionName, sessions: `${collectionName}.sessions` };
    this.#listener = listener;
  }

  get status(): ObserverStatus {
    return this.#status;
  }

  /** What is held or awaited now, by the key of its document. */
  get locks(): ReadonlyMap<string, TrackedLock> {
    return this.#tracker.locks;
  }

  /** Sessions whose documents exist, by their ids. */
  get sessions(): ReadonlyMap<string, TrackedSession> {
    return this.#tracker.sessions;
  }

  /** How many documents did not fit the limits of `tracker.ts`; 0: all is known. */
  get omittedCount(): number {
    return this.#tracker.omittedCount;
  }

  /** The server's clock now, in milliseconds since 1970, as well as a round trip tells it. */
  get serverNowMS(): number {
    return this.#clockOffsetMS + performance.now();
  }

  /**
   * Reads everything and follows what comes. Resolves when it is live; rejects with what the driver throws where the first
   * read or the first opening of the stream fails, and is closed then. Later failures it works through: see `onStatus`.
   */
  async open(): Promise<void> {
    const startAt = await this.#read();
    await new Promise<void>((resolve, reject) => {
      this.#running = this.#run(startAt, { resolve, reject });
    });
  }

  /** Ends the stream. Never rejects. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
    this.#say('closed');
  }

  async #run(startAt: unknown, first: { resolve: () => void; reject: (error: Error) => void }): Promise<void> {
    const { signal } = this.#closing;
    let isFirst = true;
    for (let from = startAt; !signal.aborted; ) {
      try {
        await this.#follow(from, {
          onOpened: () => {
            isFirst = false;
            first.resolve();
          },
          onInterrupted: (error) => {
            if (isFirst) this.#closing.abort();
            first.reject(error);
          },
        });
      } catch (error) {
        this.#say('interrupted', error as Error);
        from = await this.#readAgain();
      }
    }
    first.resolve();
  }

  #follow(startAt: unknown, told: { onOpened: () => void; onInterrupted: (error: Error) => void }): Promise<void> {
    const stream = new ChangeStream({
      db: this.#db,
      names: this.#names,
      startAt,
      signal: this.#closing.signal,
      onOpened: () => {
        this.#say('live');
        told.onOpened();
      },
      onInterrupted: (error) => {
        told.onInterrupted(error);
        this.#say('interrupted', error);
      },
      onEvent: (event) => this.#hear(event, startAt),
    });
    return stream.run();
  }

  #hear(event: Raw, startAt: unknown): void {
    // The stream begins with what the snapshot has already.
    if (isWithin(event.clusterTime, startAt)) return;
    const change = readChange(event, this.#names);
    if (change === null) return;
    if (change.kind === 'dropped') throw new PositionLostError('A collection was dropped or renamed.');
    const at = event.wallTime instanceof Date ? event.wallTime : new Date(this.serverNowMS);
    for (const fact of this.#tracker.apply(change, at)) this.#listener.onFact?.(fact);
  }

  async #readAgain(): Promise<unknown> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        const startAt = await this.#read();
        this.#listener.onFact?.({ kind: 'gap', at: new Date(this.serverNowMS) });
        return startAt;
      } catch (error) {
        this.#say('interrupted', error as Error);
        await new Promise((resolve) => setTimeout(resolve, READ_PAUSE_MS));
      }
    }
    return null;
  }

  async #read(): Promise<unknown> {
    this.#say('reading');
    const { tracker, time, clockOffsetMS } = await readSnapshot(this.#db, this.#names);
    this.#tracker = tracker;
    this.#clockOffsetMS = clockOffsetMS;
    return time;
  }

  #say(status: ObserverStatus, error?: Error): void {
    if (this.#status === 'closed') return;
    if (this.#status === status && error === undefined) return;
    this.#status = status;
    this.#listener.onStatus?.(status, error);
  }
}

interface Comparable {
  lessThanOrEqual(other: unknown): boolean;
}

function isWithin(time: unknown, snapshot: unknown): boolean {
  const isTimestamp = typeof time === 'object' && time !== null && 'lessThanOrEqual' in time;
  return isTimestamp && (time as Comparable).lessThanOrEqual(snapshot);
}
