/**
 * One change stream over a database, read by `getMore`s of its own: it is opened again after whatever breaks it, where it
 * left off, and says so. It ends, by throwing, only where it cannot go on from there. `observer.ts` runs it.
 *
 * Not the driver's own stream: that one says nothing of a server that fell silent, and nothing of its resuming.
 */
import type { ClientSession, Db } from 'mongodb';
import { OwnError } from '../exit-codes.js';
import { type CollectionNames, type Raw, streamStages } from './changes.js';
import { type Reply, send } from './send.js';

/** How long the server waits for an event before it answers with none. */
const AWAIT_MS = 1_000;
/** Without an answer for so long the stream is opened anew. */
const SILENCE_LIMIT_MS = 6_000;
/** Opening may have to pass over much of the oplog. */
const OPEN_LIMIT_MS = 30_000;
/** The first and the longest pause before a broken stream is opened again; doubled each time. */
const PAUSE_MS = 100;
const PAUSE_MAX_MS = 5_000;
/** The server does not know the position any more, or not yet: the oplog was cut or rolled back. */
const POSITION_LOST_CODES: ReadonlySet<unknown> = new Set([136, 260, 280, 286]);
const KILL_LIMIT_MS = 2_000;

/** Thrown where what comes next can only be known by reading everything. */
export class PositionLostError extends OwnError {
  override readonly name = 'PositionLostError';
}

export interface StreamOptions {
  readonly db: Db;
  readonly names: CollectionNames;
  readonly startAt: unknown;
  readonly signal: AbortSignal;
  readonly onOpened: () => void;
  readonly onEvent: (event: Raw) => void;
  /** It is being opened again. */
  readonly onInterrupted: (error: Error) => void;
}

/** The stream, until `signal` aborts. */
export class ChangeStream {
  readonly #options: StreamOptions;
  #position: Raw;
  #pauseMS = PAUSE_MS;

  constructor(options: StreamOptions) {
    this.#options = options;
    this.#position = { startAtOperationTime: options.startAt };
  }

  /** Resolves when `signal` has aborted; rejects with `PositionLostError`, or where the very first opening fails. */
  async run(): Promise<void> {
    const { signal, onInterrupted } = this.#options;
    while (!signal.aborted) {
      try {
        await this.#follow();
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof PositionLostError) throw error;
        if (POSITION_LOST_CODES.has((error as { code?: unknown }).code)) {
          throw new PositionLostError('The server no longer has the changes that follow.', { cause: error });
        }
        onInterrupted(error as Error);
        await this.#pause();
      }
    }
  }

  async #follow(): Promise<void> {
    const { db, names, signal, onOpened } = this.#options;
    const session = db.client.startSession({ causalConsistency: false });
    let id: unknown = null;
    try {
      const pipeline = streamStages(names, this.#position);
      const command = { aggregate: 1, pipeline, cursor: {}, readConcern: { level: 'majority' } };
      id = this.#take(await send(db, command, { session, limitMS: OPEN_LIMIT_MS, signal }));
      onOpened();
      while (!signal.aborted && id !== null) id = await this.#readMore(session, id);
      if (!signal.aborted) throw new PositionLostError('The server ended the change stream.');
    } finally {
      await this.#giveBack(session, id);
    }
  }

  async #readMore(session: ClientSession, id: unknown): Promise<unknown> {
    const command = { getMore: id, collection: '$cmd.aggregate', maxTimeMS: AWAIT_MS };
    const { db, signal } = this.#options;
    const next = this.#take(await send(db, command, { session, limitMS: SILENCE_LIMIT_MS, signal }));
    this.#pauseMS = PAUSE_MS;
    return next;
  }

  /** Hands up the events of a batch, notes where they end, and returns the id of the cursor. */
  #take(reply: Reply): unknown {
    const { id, firstBatch, nextBatch, postBatchResumeToken } = reply.cursor as Raw;
    for (const event of (firstBatch ?? nextBatch ?? []) as Raw[]) {
      if (this.#options.signal.aborted) break;
      this.#options.onEvent(event);
    }
    if (postBatchResumeToken !== undefined) this.#position = { resumeAfter: postBatchResumeToken };
    if (String(id) === '0') return null;
    // As a plain number it would be sent as a double.
    return typeof id === 'number' ? BigInt(id) : id;
  }

  /** A server keeps a cursor that could not be ended until its session was not used for long: the driver must not use it again. */
  async #giveBack(session: ClientSession, id: unknown): Promise<void> {
    if (id !== null) {
      const command = { killCursors: '$cmd.aggregate', cursors: [id] };
      await send(this.#options.db, command, { session, limitMS: KILL_LIMIT_MS }).catch(() => {
        session.serverSession.isDirty = true;
      });
    }
    await session.endSession().catch(() => {});
  }

  #pause(): Promise<void> {
    const { signal } = this.#options;
    const delayMS = this.#pauseMS;
    this.#pauseMS = Math.min(2 * delayMS, PAUSE_MAX_MS);
    return new Promise((resolve) => {
      const timer = setTimeout(end, delayMS);
      signal.addEventListener('abort', end, { once: true });
      function end(): void {
        clearTimeout(timer);
        signal.removeEventListener('abort', end);
        resolve();
      }
    });
  }
}
