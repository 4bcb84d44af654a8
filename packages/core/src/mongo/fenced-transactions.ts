/**
 * The fenced transaction: the caller's writes and one conditional write of the lock document in one transaction of the
 * server, so that they are committed only if the grant still stands. The client calls it, with the hold as its gate.
 *
 * The lock document is written last, so that arrivals, which write it too, hardly wait. But a transaction sees the data
 * as of its start, and an arrival since then makes that write conflict: whatever is tried again after a conflict writes
 * it first, so that it is the arrivals that wait, and no crowd of them can keep a transaction from ending.
 */
import type { ClientSession } from 'mongodb';
import { LockInvalidArgumentError, LockOutcomeUnknownError, LockUnavailableError } from '../errors.js';
import { type Command, VERSION_MATCHES } from './commands.js';
import type { Connection } from './connection.js';

/** The driver's session that a transaction runs in. */
export type TransactionSession = ClientSession;

/** What of a transaction may be chosen. */
export interface TransactionSettings {
  readonly readConcernLevel: 'local' | 'majority' | 'snapshot';
  readonly maxCommitTimeMS?: number;
}

/** What a transaction needs of the hold that it belongs to. */
export interface GatingHold {
  /** The stored grant. Throws `LockLostError` where the lock is not held. */
  readonly grant: string;
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

const UNKNOWN_COMMIT = 'UnknownTransactionCommitResult';
const COMMITS_FIELD = 'commits';

/** Transactions over one connection. */
export class FencedTransactions {
  readonly #connection: Connection;
  readonly #collection: string;

  constructor(connection: Connection, collection: string) {
    this.#connection = connection;
    this.#collection = collection;
  }

  /** Runs `body`, again where the server asks for it, and commits. Rejects with what `body` threw, as it is. */
  async run<T>(
    gate: TransactionGate,
    settings: TransactionSettings,
    body: (session: ClientSession) => Promise<T>,
  ): Promise<T> {
    const { client } = await this.#connection.open();
    const session = client.startSession();
    const { operationTime } = this.#connection;
    // What this client was told of its grant is in what the transaction sees, also where another primary was elected.
    if (operationTime !== null) session.advanceOperationTime(operationTime);
    const attempt = new Attempt(gate.hold, () => this.#write(gate, session));
    try {
      const result = await session.withTransaction(() => attempt.run(session, body), optionsOf(settings));
      if (attempt.endedInside) throw endedInside();
      return result;
    } catch (error) {
      throw outcomeOf(error);
    } finally {
      attempt.end();
      await session.endSession();
    }
  }

  /** FENCE: false: the grant stands no more. Errors are the driver's, which knows by them whether to try again. */
  async #write({ key, hold }: TransactionGate, session: ClientSession): Promise<boolean> {
    const { db } = await this.#connection.open();
    const reply = await db.command(fenceCommand(this.#collection, key, hold.grant), { session });
    return reply.n === 1;
  }
}

/** FENCE: changes the lock document, for a write that changes nothing would conflict with nothing. */
export function fenceCommand(collection: string, key: string, grant: string): Command {
  const q = { _id: key, grant, v: VERSION_MATCHES };
  return { update: collection, updates: [{ q, u: { $inc: { [COMMITS_FIELD]: 1n } } }] };
}

/** The tries of one transaction. */
class Attempt {
  readonly #hold: GatingHold;
  readonly #write: () => Promise<boolean>;
  #triesCount = 0;
  #endCommit: (() => void) | null = null;
  /** The body has committed or aborted by itself. */
  endedInside = false;

  constructor(hold: GatingHold, write: () => Promise<boolean>) {
    this.#hold = hold;
    this.#write = write;
  }

  async run<T>(session: ClientSession, body: (session: ClientSession) => Promise<T>): Promise<T> {
    this.end();
    this.#triesCount += 1;
    const isFirst = this.#triesCount === 1;
    // Throws where the lock is not held any more.
    void this.#hold.grant;
    if (!isFirst) await this.#fence();
    const result = await body(session);
    if (!session.inTransaction()) {
      // The driver would abort what is aborted already.
      this.endedInside = true;
      return result;
    }
    this.#endCommit = this.#hold.beginCommit();
    if (isFirst) await this.#fence();
    return result;
  }

  /** Nothing of it is being committed any more. */
  end(): void {
    this.#endCommit?.();
    this.#endCommit = null;
  }

  async #fence(): Promise<void> {
    if (!(await this.#write())) throw this.#hold.doubt();
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

/** Whether it was committed is known in all cases but one. */
function outcomeOf(error: unknown): unknown {
  const labelled = error as { hasErrorLabel?: (label: string) => boolean; name?: unknown } | null;
  if (typeof labelled !== 'object' || labelled === null) return error;
  if (labelled.hasErrorLabel?.(UNKNOWN_COMMIT) === true) {
    return new LockOutcomeUnknownError('It is not known whether the transaction was committed.', { cause: error });
  }
  if (labelled.name !== 'MongoServerSelectionError') return error;
  return new LockUnavailableError('The database could not be reached for the transaction.', { cause: error });
}
