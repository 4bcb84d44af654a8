/**
 * `ChangeFeed` over MongoDB: for each `open` one change stream, filtered on the server to the grants that name one
 * session, and for each `watch` one of some lock documents; read by `getMore`s of our own, and opened anew after whatever
 * breaks it. It knows no lock and decides nothing; the engine calls it by its port.
 *
 * The driver's own change stream is not used: before it reports a broken connection it closes its cursor, which takes
 * the whole server selection timeout while the old primary is down; and it resumes unseen. There are no resume tokens
 * here either: a stream that is opened again starts at the latest operation time this client has seen, and the listener
 * is told, so that it reads what came before.
 */
import type { ClientSession } from 'mongodb';
import type { Clock } from '../base/clock.js';
import { callSafely } from '../base/safely.js';
import { LockInvalidOptionError, LockUnavailableError } from '../errors.js';
import type { ChangeFeed, FeedHandle, FeedListener, StreamListener, WatchListener } from '../ports.js';
import { parseForced } from '../protocol/forced.js';
import { isCount } from '../protocol/grant.js';
import type { Command } from './commands.js';
import { type Connection, cursorOf, type Reply } from './connection.js';
import { codeOf, failureOf } from './failures.js';
import type { Preparation } from './prepare.js';
import type { ServerClock } from './server-clock.js';
import { streamStages, watchStages } from './stream-stages.js';

/** How long the server waits for an event before it answers a `getMore` with none: the pulse of the stream. */
const AWAIT_MS = 1_000;
/** Without an answer for so long the stream is given up: a socket may be dead without anybody having been told. */
const SILENCE_LIMIT_MS = 6_000;
/** The first and the longest pause before a broken stream is opened again; doubled each time. */
const PAUSE_MS = 50;
const PAUSE_MAX_MS = 5_000;
/** How long the server is given to end a cursor that is not needed any more. */
const KILL_LIMIT_MS = 2_000;
/** How long a watch that has told something does not ask for more: queues may move thousands of times a second. */
const WATCH_PAUSE_MS = 250;
/** A watch keeps a connection, and for a moment two: with fewer in the pool than this, renewals would wait for one. */
const WATCH_POOL_MIN = 4;
/** A stream is opened rarely: then it is worth a look whether the indexes are still there. */
const PREPARED_WITHIN_MS = 60_000;
/**
 * How often in a row a stream that was open before is refused until that counts: about three seconds. A refusal may pass, as
 * for a user who is made anew.
 */
const REFUSALS_MAX = 6;
/** The oplog does not reach back to the start, or the position in it is void: only "from now" is left. */
const POSITION_LOST_CODES: ReadonlySet<number> = new Set([136, 260, 280, 286]);

/** What every stream of a client is made of. */
export interface FeedOptions {
  readonly collection: string;
  readonly preparation: Preparation;
  readonly clock: Clock;
  readonly serverClock: ServerClock;
}

type StreamOptions = FeedOptions & {
  readonly listener: StreamListener;
  /** How long it does not ask for more after it was told something. */
  readonly restMS?: number;
  /** The pipeline, from an operation time on; null: from now. Throws where the stream cannot be had. */
  stages(startAt: unknown): Command[];
  /** Tells the listener of one document, by `tell`. */
  deliver(document: Reply, tell: Tell): void;
};

/** Calls a listener, unless the stream is closed by then; what it throws breaks nothing. */
type Tell = (call: () => void) => void;

/** The change stream of one collection. */
export class MongoChangeFeed implements ChangeFeed {
  readonly #connection: Connection;
  readonly #options: FeedOptions;

  constructor(connection: Connection, options: FeedOptions) {
    this.#connection = connection;
    this.#options = options;
  }

  open({ session, listener }: { readonly session: string; readonly listener: FeedListener }): FeedHandle {
    const { serverClock } = this.#options;
    return this.#start({
      listener,
      stages: (startAt) => streamStages({ session, startAt }),
      deliver: (document, tell) => {
        const lag = serverClock.lagOf(document.writtenAt);
        if (lag !== null) tell(() => listener.onLag?.(lag));
        deliverGrant({ session, listener }, document, tell);
      },
    });
  }

  watch({ keys, listener }: { readonly keys: readonly string[]; readonly listener: WatchListener }): FeedHandle {
    return this.#start({
      listener,
      restMS: WATCH_PAUSE_MS,
      stages: (startAt) => {
        this.#checkPool();
        return watchStages({ keys, startAt });
      },
      deliver: ({ key, fence, arrivals, born }, tell) => {
        if (typeof key !== 'string') return;
        // What another tool has written instead of a count tells nothing.
        const counts = Object.entries({ fence, arrivals, born }).filter(([, count]) => isCount(count));
        tell(() => listener.onChanged({ key, ...Object.fromEntries(counts) }));
      },
    });
  }

  #checkPool(): void {
    const { maxPoolSize } = this.#connection;
    if (maxPoolSize === 0 || maxPoolSize >= WATCH_POOL_MIN) return;
    throw new LockInvalidOptionError([
      `A pool of ${maxPoolSize} connections has none to spare for a second change stream.`,
    ]);
  }

  #start(options: Pick<StreamOptions, 'listener' | 'restMS' | 'stages' | 'deliver'>): FeedHandle {
    const stream = new Stream(this.#connection, { ...this.#options, ...options });
    stream.start();
    return stream;
  }
}

/** A cursor on the server, and the driver session all its commands must share. */
interface Cursor {
  readonly session: ClientSession;
  id: unknown;
  /** Whether the server said that it has ended it, once that was asked. */
  killed: Promise<boolean> | null;
}

/** One stream, from `open` to `close`: opening, open, pausing, and again. */
class Stream implements FeedHandle {
  readonly #connection: Connection;
  readonly #options: StreamOptions;
  #closed = false;
  #cursor: Cursor | null = null;
  #startAt: () => unknown;
  #pauseMS = PAUSE_MS;
  /** Whether the listener knows that the stream is not open. */
  #interrupted = false;
  /** How often it was refused since it was last open; null: it was never open. */
  #refusalsCount: number | null = null;
  #endPause: () => void = () => {};

  constructor(connection: Connection, options: StreamOptions) {
    this.#connection = connection;
    this.#options = options;
    const startAt = connection.operationTime;
    this.#startAt = () => startAt;
  }

  start(): void {
    void this.#run();
  }

  /**
   * Resolves when the server was told. A getMore that waits for an event ends with its pulse and an aggregate with its
   * answer, unheard: to break off their sockets would cost new connections, and leave a cursor behind.
   */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#endPause();
    if (this.#cursor !== null) await this.#kill(this.#cursor);
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      try {
        await this.#follow();
      } catch (error) {
        if (this.#closed) return;
        if (!this.#goOnAfter(error)) return;
        const delayMS = this.#pauseMS;
        this.#pauseMS = Math.min(2 * delayMS, PAUSE_MAX_MS);
        await this.#pause(delayMS);
      }
    }
  }

  /** Opens a cursor and reads it until the stream is closed; throws when it breaks or ends. */
  async #follow(): Promise<void> {
    await this.#options.preparation.ensureWithin(PREPARED_WITHIN_MS);
    if (this.#closed) return;
    const cursor: Cursor = { session: await this.#connection.startSession(), id: null, killed: null };
    let broken = true;
    try {
      await this.#openCursor(cursor);
      while (!this.#closed && cursor.id !== null) {
        const told = await this.#readMore(cursor);
        const { restMS } = this.#options;
        if (told && restMS !== undefined) await this.#pause(restMS);
      }
      broken = false;
    } finally {
      this.#cursor = null;
      // Nobody waits for it: the server may be out of reach.
      void this.#giveBack(cursor, broken).catch(() => {});
    }
    if (this.#closed) return;
    // Dropped or renamed: the indexes are gone as well.
    this.#options.preparation.forget();
    throw new LockUnavailableError('The server ended the change stream: the collection was dropped or renamed.');
  }

  async #openCursor(cursor: Cursor): Promise<void> {
    const { collection, listener } = this.#options;
    const pipeline = this.#options.stages(this.#startAt());
    const command = { aggregate: collection, pipeline, cursor: {}, readConcern: { level: 'majority' } };
    const { id, documents } = cursorOf(await this.#connection.ask(command, { session: cursor.session }));
    cursor.id = id;
    if (this.#closed) return;
    this.#cursor = cursor;
    this.#startAt = () => this.#connection.operationTime;
    this.#interrupted = false;
    this.#refusalsCount = 0;
    this.#tell(() => listener.onOpened());
    this.#deliver(documents);
  }

  /** Whether there was anything. */
  async #readMore(cursor: Cursor): Promise<boolean> {
    const command = { getMore: cursor.id, collection: this.#options.collection, maxTimeMS: AWAIT_MS };
    const { id, documents } = cursorOf(
      await this.#connection.ask(command, { session: cursor.session, limitMS: SILENCE_LIMIT_MS }),
    );
    cursor.id = id;
    this.#pauseMS = PAUSE_MS;
    this.#deliver(documents);
    return documents.length > 0;
  }

  #deliver(documents: readonly Reply[]): void {
    for (const document of documents) {
      // Before the listener acts on it: what it reads then must not be older than the event.
      this.#connection.noteTime(document);
      this.#options.deliver(document, (call) => this.#tell(call));
    }
  }

  /** Whether to open again; if not, the listener has been told why. */
  #goOnAfter(error: unknown): boolean {
    const { listener } = this.#options;
    const failure = failureOf(error, 'read');
    if (!failure.retryable && !this.#mayStillPass()) {
      this.#tell(() => listener.onRefused(failure));
      return false;
    }
    if (POSITION_LOST_CODES.has(codeOf(failure.cause) ?? 0)) this.#startAt = () => null;
    if (!this.#interrupted) this.#tell(() => listener.onInterrupted(failure));
    this.#interrupted = true;
    return true;
  }

  #mayStillPass(): boolean {
    if (this.#refusalsCount === null) return false;
    this.#refusalsCount += 1;
    return this.#refusalsCount < REFUSALS_MAX;
  }

  /** Ends early when the stream is closed. */
  #pause(delayMS: number): Promise<void> {
    if (this.#closed) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = this.#options.clock.setTimer(resolve, delayMS);
      this.#endPause = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  /**
   * Ends what is left of a cursor, and gives the driver its session back. Not so where something may be left: a member that is
   * not the primary any more keeps a cursor until its session was not used for half an hour, and no command of ours gets
   * there (`localLogicalSessionTimeoutMinutes` in the server's manual). So the driver must not use that session again.
   */
  async #giveBack(cursor: Cursor, broken: boolean): Promise<void> {
    const nothingLeft = cursor.id === null ? !broken : await this.#kill(cursor);
    if (!nothingLeft) cursor.session.serverSession.isDirty = true;
    await cursor.session.endSession();
  }

  /** Asks the primary, once, to end the cursor. */
  #kill(cursor: Cursor): Promise<boolean> {
    const { id } = cursor;
    const command = { killCursors: this.#options.collection, cursors: [id] };
    cursor.killed ??= this.#connection.ask(command, { limitMS: KILL_LIMIT_MS }).then(
      ({ cursorsKilled }) => Array.isArray(cursorsKilled) && cursorsKilled.length > 0,
      () => false,
    );
    return cursor.killed;
  }

  /** A listener that throws must not break the stream, and none is called after `close`. */
  #tell(call: () => void): void {
    if (!this.#closed) callSafely(call, () => {});
  }
}

function deliverGrant(
  { session, listener }: { readonly session: string; readonly listener: FeedListener },
  { key, grant, forced, trace }: Reply,
  tell: Tell,
): void {
  if (typeof key !== 'string') return;
  const note = parseForced(forced);
  if (note?.session === session) tell(() => listener.onForced?.({ key, note }));
  // What followed a run that was ended by hand is somebody else's.
  if (typeof grant !== 'string' || !grant.startsWith(`${session}/`)) return;
  const fact = { key, grant, ...(typeof trace === 'string' && { trace }) };
  tell(() => listener.onFact(fact));
}
