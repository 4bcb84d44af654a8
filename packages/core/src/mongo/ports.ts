/**
 * Puts the two ports together over one connection, and what is beside them: looking, and fenced transactions. The api
 * calls it with what `options.ts` has resolved; nothing is sent before `store.prepare()` or `feed.open()`.
 */
import type { Clock } from '../base/clock.js';
import { type Random, systemRandom } from '../base/random.js';
import type { LockSource, ResolvedOptions } from '../options.js';
import type { ChangeFeed, LockStore } from '../ports.js';
import { databaseSource } from './connect.js';
import { Connection } from './connection.js';
import { MongoChangeFeed } from './feed.js';
import { FencedTransactions } from './fenced-transactions.js';
import { Inspector } from './inspector.js';
import { Preparation } from './prepare.js';
import { ServerClock } from './server-clock.js';
import { MongoLockStore } from './store.js';

/** What the ports are made of. */
export interface MongoPortsOptions {
  readonly source: LockSource;
  readonly options: Pick<ResolvedOptions, 'collectionName'>;
  readonly clock: Clock;
  readonly random?: Random;
}

/** Makes the store and the feed of one lock client, and what its engine does not know of. */
export function createMongoPorts({ source, options, clock, random = systemRandom }: MongoPortsOptions): {
  readonly store: LockStore;
  readonly feed: ChangeFeed;
  readonly inspector: Inspector;
  readonly transactions: FencedTransactions;
} {
  const connection = new Connection(databaseSource(source), clock);
  const names = { locks: options.collectionName, sessions: `${options.collectionName}.sessions` };
  const preparation = new Preparation(connection, { names, clock });
  const serverClock = new ServerClock(clock);
  return {
    store: new MongoLockStore(connection, { names, preparation, serverClock }),
    feed: new MongoChangeFeed(connection, { collection: names.locks, preparation, clock, serverClock }),
    inspector: new Inspector(connection, names),
    transactions: new FencedTransactions(connection, names.locks, { clock, random }),
  };
}
