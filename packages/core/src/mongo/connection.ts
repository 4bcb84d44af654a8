/**
 * Sending commands: with our own read preference, read concern and BSON options whatever the connection's defaults are,
 * with a limit, and with every failure turned into a public error. It knows no lock; `store.ts` and `feed.ts` call it.
 *
 * It keeps the latest operation time that this client has seen: in replies, and in the events of its change streams.
 * Every read waits for it (`afterClusterTime`). A majority read alone may answer from an earlier state after an election,
 * because the commit point of a new primary is behind until it has committed an entry of its own term.
 */
import type { ClientSession, Timestamp } from 'mongodb';
import type { Clock } from '../base/clock.js';
import { LockClosedError, type LockError, LockUnavailableError } from '../errors.js';
import type { Command } from './commands.js';
import { type DatabaseSource, maxPoolSizeOf, type OpenDatabase } from './connect.js';
import { CommandLimitError } from './driver-errors.js';
import { codeOf, DUPLICATE_KEY, failureOf, type Intent } from './failures.js';

/** A document of a reply. */
export type Reply = Readonly<Record<string, unknown>>;

/** The answer to a read, as far as one batch goes. */
export interface Batch {
  readonly documents: readonly Reply[];
  /** Whether more would have followed; that cursor is gone. */
  readonly more: boolean;
}

/** What may be said about sending one command, beside the command. */
export interface SendOptions {
  /** Commands on one cursor must share one. */
  readonly session?: ClientSession;
  /** What it may take in all; the default leaves the driver its time to find a primary. */
  readonly limitMS?: number;
}

/** `db.command` inherits none of the connection's; these are its own defaults, said aloud. */
const BSON_OPTIONS = {
  raw: false,
  useBigInt64: false,
  promoteLongs: true,
  promoteValues: true,
  promoteBuffers: false,
} as const;

/** What a command may take beyond the driver's own limit for finding a primary; then its socket is given up. */
const LIMIT_BEYOND_SELECTION_MS = 10_000;
const DRIVER_SELECTION_MS = 30_000;
/** How often a write that lost a race is sent; each time somebody else's document has come into being. */
const DUPLICATE_ATTEMPTS = 10;

/** One way to the database. */
export class Connection {
  readonly #source: DatabaseSource;
  readonly #clock: Clock;
  #current: OpenDatabase | null = null;
  /** Counts every `close`: a command that began before one must not connect again after it. */
  #closesCount = 0;
  #closed = false;
  #operationTime: Timestamp | null = null;

  constructor(source: DatabaseSource, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
  }

  /** The latest operation time of a reply or an event, always one that a majority has. */
  get operationTime(): Timestamp | null {
    return this.#operationTime;
  }

  /** How many connections the pool has at most, as far as the client says so; 0: no limit. */
  get maxPoolSize(): number {
    return maxPoolSizeOf(this.#current?.client);
  }

  /** Lets commands through again after `close`. */
  reopen(): void {
    this.#closed = false;
  }

  /** Connects if need be. Refuses after `close`, so that nothing left over opens what was closed. */
  async open(): Promise<OpenDatabase> {
    const before = this.#closesCount;
    if (this.#closed) throw closedError();
    const opened = await this.#source.open().catch((error: unknown) => {
      throw failureOf(error, 'read');
    });
    if (before !== this.#closesCount) throw closedError();
    // A Timestamp of another client is another BSON class, perhaps of another deployment.
    if (this.#current !== null && this.#current.client !== opened.client) this.#operationTime = null;
    this.#current = opened;
    return opened;
  }

  /**
   * Sends a write. Two upserts of one absent document may race, and the loser gets a duplicate key: it is sent again,
   * unseen, a limited number of times.
   */
  async write(command: Command): Promise<Reply> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#writeOnce(command);
      } catch (error) {
        if (codeOf(error) !== DUPLICATE_KEY || attempt >= DUPLICATE_ATTEMPTS) throw this.#failure(error, 'write');
      }
    }
  }

  /** Sends a write that inserts one document; false when it was there already. */
  async insert(command: Command): Promise<boolean> {
    try {
      await this.#writeOnce(command);
      return true;
    } catch (error) {
      if (codeOf(error) === DUPLICATE_KEY) return false;
      throw this.#failure(error, 'write');
    }
  }

  /** Sends a read, which sees all our own writes. Only one batch is asked for: whoever needs more asks for less at a time. */
  async read(command: Command, level: 'majority' | 'linearizable' = 'majority'): Promise<Batch> {
    await this.open(); // which forgets the time where the client is another one
    const after = level === 'majority' ? this.#operationTime : null;
    const readConcern = { level, ...(after !== null && { afterClusterTime: after }) };
    const reply = await this.ask({ ...command, readConcern });
    this.noteTime(reply);
    const { documents, id } = cursorOf(reply);
    if (id === null) return { documents, more: false };
    // The cursor would go by itself some minutes later.
    await this.ask({ killCursors: command.aggregate, cursors: [id] }).catch(() => {});
    return { documents, more: true };
  }

  /** Sends a command that changes nothing we would have to know of, as it is. */
  async ask(command: Command, options: SendOptions = {}): Promise<Reply> {
    try {
      return await this.#send(command, options);
    } catch (error) {
      throw this.#failure(error, 'read');
    }
  }

  /**
   * Later reads see at least what this reply or event has told. Only for what a majority has: a read that waits for more
   * would wait for as long as the majority lags.
   */
  noteTime({ operationTime: time }: Reply): void {
    if (!isTimestamp(time)) return;
    if (this.#operationTime === null || time.greaterThan(this.#operationTime)) this.#operationTime = time;
  }

  /** A driver session for commands that must share one; whoever asks ends it. */
  async startSession(): Promise<ClientSession> {
    const { client } = await this.open();
    return client.startSession({ causalConsistency: false });
  }

  /** Closes the client if it is ours. */
  async close(): Promise<void> {
    this.#closesCount += 1;
    this.#closed = true;
    await this.#source.close();
  }

  #failure(error: unknown, intent: Intent): LockError {
    return failureOf(error, intent, this.#current?.client);
  }

  async #writeOnce(command: Command): Promise<Reply> {
    const reply = await this.#send(command, {});
    const failure = writeErrorOf(reply);
    if (failure !== null) throw failure;
    this.noteTime(reply);
    return reply;
  }

  /** Fails with what the driver throws. */
  async #send(command: Command, { session, limitMS }: SendOptions): Promise<Reply> {
    const { db, client } = await this.open();
    const selectionMS = client.options.serverSelectionTimeoutMS ?? DRIVER_SELECTION_MS;
    const limit = this.#startLimit(limitMS ?? selectionMS + LIMIT_BEYOND_SELECTION_MS);
    try {
      const options = {
        ...BSON_OPTIONS,
        readPreference: 'primary',
        signal: limit.signal,
        ...(session && { session }),
      } as const;
      return await db.command(command, options);
    } finally {
      limit.end();
    }
  }

  #startLimit(limitMS: number): { signal: AbortSignal; end: () => void } {
    const controller = new AbortController();
    const abort = (): void => controller.abort(new CommandLimitError(`No answer within ${limitMS} ms`));
    const timer = this.#clock.setTimer(abort, limitMS);
    return { signal: controller.signal, end: () => timer.cancel() };
  }
}

function closedError(): LockClosedError {
  return new LockClosedError('The client was closed.');
}

/** `db.command` throws write concern errors, but leaves write errors in the reply: the first one, like a driver's error. */
function writeErrorOf(reply: Reply): Error | null {
  const first = Array.isArray(reply.writeErrors)
    ? (reply.writeErrors[0] as { code?: unknown; errmsg?: unknown })
    : undefined;
  if (first === undefined) return null;
  return Object.assign(new Error(String(first.errmsg)), { name: 'MongoServerError', code: Number(first.code) });
}

/** What a reply says of a cursor: a batch, and the server's id for more, null at the end. */
export function cursorOf(reply: Reply): { readonly documents: readonly Reply[]; readonly id: unknown } {
  const { id, firstBatch, nextBatch } = (reply.cursor ?? {}) as Reply;
  const documents = firstBatch ?? nextBatch;
  if (!Array.isArray(documents)) throw new LockUnavailableError('The server answered without a batch of documents.');
  // The driver gives a number where it is small enough, which the server would take for a double, else its own Long.
  return { documents, id: String(id) === '0' ? null : typeof id === 'number' ? BigInt(id) : id };
}

function isTimestamp(value: unknown): value is Timestamp {
  return typeof value === 'object' && value !== null && (value as { _bsontype?: unknown })._bsontype === 'Timestamp';
}
