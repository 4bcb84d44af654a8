/**
 * Puts the two ports together over one connection. The api calls it with what `options.ts` has resolved; nothing is
 * sent before `store.prepare()` or `feed.open()`.
 */
import type { Clock } from '../base/clock.js';
import type { LockSource, ResolvedOptions } from '../options.js';
import type { ChangeFeed, LockStore } from '../ports.js';
import { databaseSource } from './connect.js';
import { Connection } from './connection.js';
import { MongoChangeFeed } from './feed.js';
import { Preparation } from './prepare.js';
import { MongoLockStore } from './store.js';

/** What the ports are made of. */
export interface MongoPortsOptions {
  readonly source: LockSource;
  readonly options: Pick<ResolvedOptions, 'collectionName'>;
  readonly clock: Clock;
}

/** Makes the store and the feed of one lock client. */
export function createMongoPorts({ source, options, clock }: MongoPortsOptions): {
  readonly store: LockStore;
  readonly feed: ChangeFeed;
} {
  const connection = new Connection(databaseSource(source), clock);
  const names = { locks: options.collectionName, sessions: `${options.collectionName}.sessions` };
  const preparation = new Preparation(connection, { names, clock });
  return {
    store: new MongoLockStore(connection, { names, preparation }),
    feed: new MongoChangeFeed(connection, { collection: names.locks, preparation, clock }),
  };
}
