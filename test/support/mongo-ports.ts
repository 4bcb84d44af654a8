/**
 * The two ports over MongoDB, without an engine, in a database of a test file's own, with a raw client beside them that shows what is stored.
 * Called at the top of test files that try single commands or the stream.
 */
import { type Db, Long, MongoClient, type MongoClientOptions } from 'mongodb';
import { afterAll, beforeAll } from 'vitest';
import { systemClock } from '#core/base/clock.js';
import { createMongoPorts } from '#core/mongo/ports.js';
import type { LockSource } from '#core/options.js';
import type { ChangeFeed, LockStore } from '#core/ports.js';
import { databaseName, sharedUri } from './mongod.js';

/** The ports of one lock client. */
export interface Ports {
  readonly store: LockStore;
  readonly feed: ChangeFeed;
}

/** A document as it is stored: 64-bit integers stay what they are. */
export type Stored = Readonly<Record<string, unknown>>;

/** Where one test file works. */
export class PortsDatabase {
  readonly name: string;
  readonly client: MongoClient;
  readonly db: Db;
  readonly #uri: string;
  readonly #opened: { close(): Promise<void> }[] = [];
  #keysCount = 0;

  constructor(name: string, uri: string) {
    this.name = name;
    this.#uri = uri;
    this.client = new MongoClient(uri);
    this.db = this.client.db(name);
  }

  /** Ports of a client of their own; closed after the file. */
  ports({
    client = {},
    collectionName = 'dlocks',
  }: {
    client?: MongoClientOptions;
    collectionName?: string;
  } = {}): Ports {
    const mongo = new MongoClient(this.#uri, client);
    this.#opened.push(mongo);
    return this.portsOf({ kind: 'client', client: mongo, dbName: this.name }, collectionName);
  }

  /** Ports of a given source. */
  portsOf(source: LockSource, collectionName = 'dlocks', clock = systemClock): Ports {
    const ports = createMongoPorts({ source, options: { collectionName }, clock });
    this.#opened.unshift(ports.store);
    return ports;
  }

  /** A key no other test has. */
  key(): string {
    this.#keysCount += 1;
    return `lock:test/${this.#keysCount}`;
  }

  /** A document of the locks and tickets as it is stored. */
  async stored(id: string, collectionName = 'dlocks'): Promise<Stored | null> {
    return this.db.collection<{ _id: string }>(collectionName, { promoteLongs: false }).findOne({ _id: id });
  }

  async close(): Promise<void> {
    await this.db.dropDatabase();
    for (const each of this.#opened) await each.close();
    await this.client.close();
  }
}

/** Gives a test file its database, on the server that all share. */
export function usePortsDatabase(moduleUrl: string): PortsDatabase {
  const database = new PortsDatabase(databaseName(moduleUrl), sharedUri());
  beforeAll(async () => {
    await database.client.connect();
  });
  afterAll(async () => {
    await database.close();
  });
  return database;
}

/** Whether a stored value is a 64-bit integer. */
export function isLong(value: unknown): boolean {
  return Long.isLong(value);
}
