/**
 * The connection that every command makes: its options, what they default to, the MongoClient and the LockClient over it, and their end. It sends
 * nothing until a command does. `ui` and `watch` take the same, with the database for a change stream of their own.
 */
import type { Command } from 'commander';
import { LockClient, type LockSettings, type Logger } from 'mongo-distributed-locks';
import { connectionStringProblems, describeFailure } from 'mongo-distributed-locks/safe-messages';
import { type Db, MongoClient } from 'mongodb';
import { parseDuration } from './duration.js';
import { CommandFailure, EXIT, usage } from './exit-codes.js';
import { messageOf } from './failures.js';
import { notice, type Terminal } from './terminal.js';

/** The options as commander gives them, before they are checked. */
export interface ConnectionFlags {
  readonly uri?: string;
  readonly db?: string;
  readonly collection?: string;
  readonly lease?: string;
  readonly clockSkew?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** What a command works with. */
export interface Connection {
  readonly db: Db;
  /** The collection of locks and tickets; that of sessions is `<collectionName>.sessions`. */
  readonly collectionName: string;
  readonly locks: LockClient;
  /** Connects the MongoClient, for what is not done by `locks`. Rejects with a `CommandFailure`. */
  connect(): Promise<void>;
  /** Ends the lock client, releasing what it holds and leaving the queue, then the connection. Never rejects. */
  close(): Promise<void>;
}

/** What the library takes unless it is told otherwise. */
export const LEASE_MS = 30_000;
const SELECTION_LIMIT_MS = 10_000;
const COLLECTION = 'dlocks';

/** Gives a command the options of the connection. */
export function addConnectionOptions(command: Command): Command {
  return command
    .option('--uri <uri>', 'connection string; default: $DLOCKS_URI, else $MONGODB_URI')
    .option('--db <name>', 'database; default: the one of the connection string')
    .option('--collection <name>', `collection of the locks; default: ${COLLECTION}`)
    .option('--lease <duration>', 'how long a process that fell silent keeps its locks; default: 30s')
    .option('--clock-skew <duration>', 'how far server clocks may differ, the same for all clients; default: 10s')
    .option('--json', 'JSON for programs, one document a line');
}

/** Opens what the options say. Throws a usage failure where nothing says which database; what the library refuses it says itself. */
export function openConnection(flags: ConnectionFlags, terminal: Terminal, own: LockSettings = {}): Connection {
  const mongo = mongoClient(flags);
  const collectionName = flags.collection ?? COLLECTION;
  const locks = new LockClient({
    client: mongo,
    ...(flags.db !== undefined && { dbName: flags.db }),
    ...settings(flags),
    ...own,
    collectionName,
    logger: loggerOf(flags, terminal),
  });
  const close = async (): Promise<void> => {
    await locks.close();
    await mongo.close().catch(() => {});
  };
  const connect = async (): Promise<void> => {
    await mongo.connect().catch((error: unknown) => {
      const message = `The database could not be reached: ${describeFailure(error, mongo)}`;
      throw new CommandFailure(message, { exitCode: EXIT.UNAVAILABLE, code: 'UNAVAILABLE', cause: error });
    });
  };
  return { db: mongo.db(flags.db), collectionName, locks, connect, close };
}

function mongoClient({ uri, db }: ConnectionFlags): MongoClient {
  const { DLOCKS_URI, MONGODB_URI } = process.env;
  const chosen = uri ?? (DLOCKS_URI || MONGODB_URI);
  if (!chosen) throw usage('which database? Give --uri, or set DLOCKS_URI or MONGODB_URI (better for passwords).');
  // The driver's own message would quote the string.
  const problems = connectionStringProblems(chosen, db);
  if (problems.length > 0) throw usage(`the connection string is not valid: ${problems.join(' ')}`);
  const saysItself = /[?&]serverSelectionTimeoutMS=/i.test(chosen);
  return new MongoClient(chosen, {
    appName: 'dlocks',
    ...(!saysItself && { serverSelectionTimeoutMS: SELECTION_LIMIT_MS }),
  });
}

function settings({ lease, clockSkew }: ConnectionFlags): LockSettings {
  return {
    ...(lease !== undefined && { leaseDurationMS: parseDuration('--lease', lease) }),
    ...(clockSkew !== undefined && { clockSkewMS: parseDuration('--clock-skew', clockSkew) }),
  };
}

/** Errors only: what a command must know of losses and waits it is told by events. */
function loggerOf({ json, quiet }: ConnectionFlags, terminal: Terminal): Logger {
  return {
    error: (message, ...details) => {
      const causes = details.flatMap((detail) => (detail instanceof Error ? [messageOf(detail)] : []));
      if (!quiet) notice(terminal, [message, ...causes].join(' '), { json, event: 'log' });
    },
  };
}
