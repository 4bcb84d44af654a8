/**
 * The fenced transaction: the caller's writes and one conditional write of the lock document in one transaction of the
 * server, so that they are committed only if the grant still stands. The client calls it, with the hold as its gate.
 *
 * The lock document is written last, so that arrivals, which write it too, hardly wait. But a transaction sees the data
 * as of its start, and an arrival since then makes that write conflict: whatever is tried again after a conflict writes
 * it first, so that it is the arrivals that wait, and no crowd of them can keep a transaction from ending.
 */
import type { ClientSession } from 'mongodb';
import type { Clock } from '../base/clock.js';
import type { Random } from '../base/random.js';
import { LockError, LockInvalidArgumentError, LockOutcomeUnknownError, LockUnavailableError } from '../errors.js';
import { type Command, MAJORITY, VERSION_MATCHES } from './commands.js';
import type { Connection } from './connection.js';
import { describedCause } from './driver-errors.js';
import { failureOf } from './failures.js';
import { isDocument } from './stored.js';

/** The driver's session that a transaction runs in. */
export type TransactionSession = ClientSession;

/** What of a transaction may be chosen. */
export interface TransactionSettings {
  readonly readConcernLevel: 'local' | 'majority' | 'snapshot';
  readonly maxCommitTimeMS?: number;
}

/** What a transaction needs of the hold that it belongs to. */
export interface GatingHold {
  /** Whether it is neither lost nor passed on, also while its release waits for a commit. */
  readonly stands: boolean;
  /** The stored grant. Throws `LockLostError` where the lock is not held. */
  readonly grant: string;
  /** One at a time; the result ends it. Throws where another one runs. */
  beginTransaction(): () => void;
  /** From here on nobody else is served before the result is called. Throws as `grant`. */
  beginCommit(): () => void;
  /** The server does not name this hold any more: the error that says so. */
  doubt(): Error;
}

/** The hold, and which lock it is of. */
export interface TransactionGate {
  readonly key: string;
  readonly hold: GatingHold;
}

/** What time and chance come from. */
export interface TransactionSurroundings {
  readonly clock: Clock;
  readonly random: Random;
}

const TRANSIENT = 'TransientTransactionError';
/** Before the server is asked again what became of a commit. */
const SETTLE_PAUSE_MS = 200;

/** Transactions over one connection. */
export class FencedTransactions {
  readonly #connection: Connection;
  readonly #collection: string;
  readonly #surroundings: TransactionSurroundings;

  constructor(connection: Connection, collection: string, surroundings: TransactionSurroundings) {
    this.#connection = connection;
    this.#collection = collection;
    this.#surroundings = surroundings;
  }

  /** Runs `body`, again where the server asks for it, and commits. Rejects with what `body` threw, as it is. */
  async run<T>(
    gate: TransactionGate,
    settings: TransactionSettings,
    body: (session: ClientSession) => Promise<T>,
  ): Promise<T> {
    const { grant } = gate.hold;
    const endTransaction = gate.hold.beginTransaction();
    const { client } = await this.#connection.open().catch((error: unknown) => {
      endTransaction();
      throw error;
    });
    const session = client.startSession();
    const { operationTime } = this.#connection;
    // What this client was told of its grant is in what the transaction sees, also where another primary was elected.
    if (operationTime !== null) session.advanceOperationTime(operationTime);
    const attempt = new Attempt<T>(gate.hold, () => this.#fence({ key: gate.key, grant, session }));
    try {
      const result = await session.withTransaction(() => attempt.run(session, body), optionsOf(settings));
      if (attempt.stage === 'ended by fn') throw endedInside();
      return result;
    } catch (error) {
      if (attempt.stage !== 'committing' || hasLabel(error, TRANSIENT)) throw error;
      return await this.#settled({ ...gate, grant, attempt, error });
    } finally {
      attempt.end();
      endTransaction();
      await session.endSession();
    }
  }

  /** FENCE. Gives what marks it; null: the grant stands no more. */
  async #fence({ key, grant, session }: Fenced & { readonly session: ClientSession }): Promise<string | null> {
    const mark = this.#surroundings.random.id();
    try {
      const { db } = await this.#connection.open();
      const reply = await db.command(fenceCommand(this.#collection, { key, grant }, mark), { session });
      return reply.nModified === 1 ? mark : null;
    } catch (error) {
      // By such an error the driver knows to try again.
      throw hasLabel(error, TRANSIENT) ? error : failureOf(error, 'read');
    }
  }

  /**
   * A commit of which no answer came: a write of the same document waits for its end, and tells by what it finds there.
   * Nobody else is served meanwhile, who would be under the same grant.
   */
  async #settled<T>({ key, hold, grant, attempt, error }: Unsettled<T>): Promise<T> {
    const cause = error instanceof LockError ? error : describedCause(error);
    while (hold.stands) {
      const found = await this.#settle({ key, grant }).catch(() => undefined);
      if (found === null) break;
      if (found !== undefined && found === attempt.mark) return attempt.result as T;
      if (found !== undefined) throw new LockUnavailableError('The transaction was not committed.', { cause });
      await this.#pause();
    }
    throw new LockOutcomeUnknownError('It is not known whether the transaction was committed.', { cause });
  }

  /** The mark of the last transaction that was committed; null: the grant stands no more, so that others may follow. */
  async #settle({ key, grant }: Fenced): Promise<unknown> {
    const command = settleCommand(this.#collection, { key, grant }, this.#surroundings.random.id());
    const { value } = await this.#connection.write(command);
    return isDocument(value) ? (value.commit ?? 'none') : null;
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => void this.#surroundings.clock.setTimer(resolve, SETTLE_PAUSE_MS));
  }
}

/** Which lock, and what must stand. */
interface Fenced {
  readonly key: string;
  readonly grant: string;
}

interface Unsettled<T> extends TransactionGate {
  readonly grant: string;
  readonly attempt: Attempt<T>;
  readonly error: unknown;
}

/** FENCE: a mark of its own changes the document whatever is in it; a write that changes nothing would conflict with nothing. */
function fenceCommand(collection: string, { key, grant }: Fenced, mark: string): Command {
  const q = { _id: key, grant, v: VERSION_MATCHES };
  return { update: collection, updates: [{ q, u: { $set: { commit: mark } } }] };
}

function settleCommand(collection: string, { key, grant }: Fenced, mark: string): Command {
  return {
    findAndModify: collection,
    query: { _id: key, grant, v: VERSION_MATCHES },
    update: { $set: { settled: mark } },
    new: true,
    maxTimeMS: SETTLE_LIMIT_MS,
    writeConcern: MAJORITY,
  };
}

/** How long the server lets that write wait for an open transaction, before it is asked again. */
const SETTLE_LIMIT_MS = 10_000;

/** The tries of one transaction. */
class Attempt<T> {
  /** Where the last try is, or has ended. */
  stage: 'fn' | 'committing' | 'ended by fn' = 'fn';
  /** What the last try has written to the lock document. */
  mark: string | null = null;
  /** What `fn` returned. */
  result: T | undefined;
  readonly #hold: GatingHold;
  readonly #fence: () => Promise<string | null>;
  #triesCount = 0;
  #endCommit: (() => void) | null = null;

  constructor(hold: GatingHold, fence: () => Promise<string | null>) {
    this.#hold = hold;
    this.#fence = fence;
  }

  async run(session: ClientSession, body: (session: ClientSession) => Promise<T>): Promise<T> {
    this.end();
    this.stage = 'fn';
    this.#triesCount += 1;
    const isFirst = this.#triesCount === 1;
    // Throws where the lock is not held any more.
    void this.#hold.grant;
    if (!isFirst) await this.#write();
    const result = await body(session);
    this.result = result;
    if (!session.inTransaction()) {
      // The driver would abort what is aborted already.
      this.stage = 'ended by fn';
      return result;
    }
    this.#endCommit = this.#hold.beginCommit();
    if (isFirst) await this.#write();
    this.stage = 'committing';
    return result;
  }

  /** Nothing of it is being committed any more. */
  end(): void {
    this.#endCommit?.();
    this.#endCommit = null;
  }

  async #write(): Promise<void> {
    this.mark = await this.#fence();
    if (this.mark === null) throw this.#hold.doubt();
  }
}

function endedInside(): LockInvalidArgumentError {
  const message = '"fn" must not commit or abort the transaction: throw to roll back, return to commit.';
  return new LockInvalidArgumentError(message, { argument: 'fn' });
}

function optionsOf({
  readConcernLevel,
  maxCommitTimeMS,
}: TransactionSettings): Parameters<ClientSession['withTransaction']>[1] {
  return {
    readConcern: { level: readConcernLevel },
    writeConcern: { w: 'majority', journal: true },
    readPreference: 'primary',
    ...(maxCommitTimeMS !== undefined && { maxCommitTimeMS }),
  };
}

function hasLabel(error: unknown, label: string): boolean {
  if (typeof error !== 'object' || error === null) return false;
  const { hasErrorLabel } = error as { hasErrorLabel?: (label: string) => boolean };
  return typeof hasErrorLabel === 'function' && hasErrorLabel.call(error, label);
}
