/**
 * Whether this is a server, and these are collections, that the locks can live on. Each refusal says what to do about
 * it. Called once by `prepare.ts`; nothing here writes.
 */
import type { MongoClient } from 'mongodb';
import {
  type LockError,
  LockInvalidOptionError,
  LockUnavailableError,
  LockUnsupportedTopologyError,
} from '../errors.js';
import type { CollectionNames, Command } from './commands.js';
import { type Connection, cursorOf, type Reply } from './connection.js';
import { streamStages } from './stream-stages.js';

/** MongoDB 6.0. */
const MIN_WIRE_VERSION = 17;

const HOSTS_OF_LOOKALIKES = /\.(docdb(-elastic)?\.amazonaws\.com|cosmos\.azure\.com|documents\.azure\.com)(:\d+)?$/i;
/** How servers that are not MongoDB speak of themselves in the replies to `hello` and `buildInfo`. */
const MARKS_OF_LOOKALIKES = /"[^"]*(ferretdb|documentdb|cosmos)[^"]*":/i;

const MAKE_REPLICA_SET =
  'Make it a replica set, one member is enough: start it with "mongod --replSet rs0 …", ' +
  'then run once: mongosh --eval "rs.initiate()".';

/** Refuses what is no replica set (or sharded cluster) of MongoDB 6.0 or later, reached at its primary. */
export async function checkServer(connection: Connection): Promise<void> {
  const { client } = await connection.open();
  const hello = await connection.ask({ hello: 1 });
  const build = await connection.ask({ buildInfo: 1 }).catch(() => ({}));
  const problem = lookalikeProblem(client, { hello, build }) ?? topologyProblem(hello);
  if (problem !== null) throw new LockUnsupportedTopologyError(problem);
  if (hello.isWritablePrimary === true) return;
  if (client.options.directConnection) throw new LockInvalidOptionError([DIRECT_TO_SECONDARY]);
  throw new LockUnavailableError('The replica set has no primary at the moment.');
}

const DIRECT_TO_SECONDARY =
  'The connection is a direct one to a member that is not the primary. Leave out directConnection=true and name the replica set (replicaSet=…).';

function lookalikeProblem(client: MongoClient, { hello, build }: { hello: Reply; build: Reply }): string | null {
  const hosts = [...client.options.hosts.map(String), ...(Array.isArray(hello.hosts) ? hello.hosts : []), hello.me];
  const named = hosts.some((host) => HOSTS_OF_LOOKALIKES.test(String(host)));
  if (!named && !MARKS_OF_LOOKALIKES.test(JSON.stringify([hello, build]))) return null;
  return 'The server speaks the protocol of MongoDB but is another one (Amazon DocumentDB, Azure Cosmos DB, FerretDB): the locks need MongoDB 6.0 or later.';
}

function topologyProblem(hello: Reply): string | null {
  if (Number(hello.maxWireVersion) < MIN_WIRE_VERSION) return 'The server is older than MongoDB 6.0.';
  if (hello.msg === 'isdbgrid' || typeof hello.setName === 'string') return null;
  if (hello.isreplicaset === true) {
    return 'The replica set was never initiated. Run once: mongosh --eval "rs.initiate()".';
  }
  return `The server is a standalone one, which has no change streams. ${MAKE_REPLICA_SET}`;
}

/** Refuses views, capped and time-series collections, and those whose own collation makes different texts equal. */
export async function checkCollections(connection: Connection, names: CollectionNames): Promise<void> {
  const filter = { name: { $in: [names.locks, names.sessions] } };
  // Options are shown to those who may list collections; everybody may list the names and types of their own.
  const { documents } = await connection
    .ask({ listCollections: 1, filter })
    .catch(() => connection.ask({ listCollections: 1, filter, nameOnly: true, authorizedCollections: true }))
    .then(cursorOf);
  const problems = documents.flatMap(collectionProblems);
  for (const collection of [names.locks, names.sessions]) {
    if (!(await comparesBytes(connection, collection))) problems.push(collationProblem(collection));
  }
  if (problems.length > 0) throw new LockInvalidOptionError(problems);
}

function collectionProblems({ name, type, options }: Reply): string[] {
  const kind = kindOf(type, options as Reply | undefined);
  return kind === null
    ? []
    : [`"${name}" is a ${kind}: give "collectionName" that of an ordinary collection, or of none yet.`];
}

function kindOf(type: unknown, options: Reply | undefined): string | null {
  if (type === 'view') return 'view';
  if (type === 'timeseries') return 'time-series collection';
  return options?.capped === true ? 'capped collection' : null;
}

function collationProblem(name: string): string {
  return `"${name}" has a collation of its own, by which different keys could be equal: give "collectionName" that of another collection, or of none yet.`;
}

/** Texts are compared with the collection's collation where none is given; only the simple one puts B before a. */
async function comparesBytes(connection: Connection, aggregate: string): Promise<boolean> {
  const pipeline = [{ $facet: { any: [{ $limit: 1 }] } }, { $project: { simple: { $lt: ['B', 'a'] } } }];
  const { documents } = cursorOf(await connection.ask({ aggregate, pipeline, cursor: {} }));
  return documents[0]?.simple === true;
}

/** Refuses a server that cannot do, or a user who may not open, change streams: before the first caller waits for one. */
export async function checkChangeStreams(connection: Connection, names: CollectionNames): Promise<void> {
  const aggregate: Command = { aggregate: names.locks, pipeline: streamStages({ session: 'none' }), cursor: {} };
  try {
    await connection.ask({ explain: aggregate, verbosity: 'queryPlanner' });
  } catch (error) {
    const { retryable, code, message, cause } = error as LockError;
    if (retryable || code === 'LOCK_MISSING_PRIVILEGES') throw error;
    throw new LockUnsupportedTopologyError(`The server refuses change streams. ${message}`, { cause });
  }
}
