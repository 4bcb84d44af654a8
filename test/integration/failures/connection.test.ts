/**
 * A MongoClient that is not there when it is needed: row P10 of the failure table. Its first connect fails, or its owner closes it under the locks and
 * connects it again; the lock client is never dead for good, and says meanwhile what to do.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { MongoClient } from 'mongodb';
import { afterEach, describe, expect, it } from 'vitest';
import { itLeavesNothingBehind, TestClient, useDatabase } from '../../support/database.js';
import { eventually, rejection } from '../../support/eventually.js';
import { endOrphanedCursors } from '../../support/leaks.js';

const database = useDatabase(import.meta.url);
const PAIR = { resource: 'account', id: 7 };
const QUICK = { leaseDurationMS: 1_500, patrolIntervalMS: 300, clockSkewMS: 300, idleMS: 60_000 };

/** A port behind which the server appears only when `start` is called. */
class LateServer {
  readonly #server: Server = createServer((near) => this.#join(near));
  readonly #sockets = new Set<Socket>();
  port = 0;

  /** Finds a port on which nothing listens. */
  async reserve(): Promise<void> {
    await this.#listen();
    await this.stop();
  }

  async start(): Promise<void> {
    await this.#listen();
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve));
  }

  async #listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(this.port, '127.0.0.1', resolve));
    this.port = (this.#server.address() as { port: number }).port;
  }

  #join(near: Socket): void {
    const { hostname, port } = new URL(database.uri.split(',')[0] ?? '');
    const far = connect(Number(port), hostname);
    for (const socket of [near, far]) {
      this.#sockets.add(socket);
      socket.on('error', () => {}).on('close', () => this.#sockets.delete(socket));
    }
    near.pipe(far).pipe(near);
  }
}

let late: LateServer | undefined;
let client: TestClient | undefined;

afterEach(async () => {
  await endOrphanedCursors(database.observer, database.name);
  await client?.close();
  await late?.stop();
  late = undefined;
  client = undefined;
});

/** A client of a server that is not there yet. */
async function clientOfLateServer(): Promise<{ client: TestClient; late: LateServer }> {
  late = new LateServer();
  await late.reserve();
  const uri = `mongodb://127.0.0.1:${late.port}/${database.name}?directConnection=true&serverSelectionTimeoutMS=300`;
  client = new TestClient(new MongoClient(uri, { monitorCommands: true }), QUICK, {});
  return { client, late };
}

describe('P10: a first connect that fails', () => {
  it('rejects every call with LOCK_UNAVAILABLE, and the next call connects when the server is there', async () => {
    const { client, late } = await clientOfLateServer();
    for (const call of [
      () => client.locks.connect(),
      () => client.locks.lock(PAIR),
      () => client.locks.tryLock(PAIR),
    ]) {
      const error = await rejection(call());
      expect(error).toMatchObject({ code: 'LOCK_UNAVAILABLE', retryable: true });
      expect(String(error)).not.toContain('mongodb://');
    }
    await late.start();
    const lock = await client.locks.lock(PAIR);
    expect(lock.held).toBe(true);
    expect(await lock.unlock()).toBe(true);
  });

  it('leaves callers that wait for others able to wait: streams are opened when the server is there', async () => {
    const { client, late } = await clientOfLateServer();
    await rejection(client.locks.lock(PAIR));
    await late.start();
    const holder = await (await database.connected(QUICK)).locks.lock(PAIR);
    const waiting = client.locks.lock(PAIR);
    await database.untilWaiting(PAIR, 1);
    await holder.unlock();
    expect(await (await waiting).unlock()).toBe(true);
  });
});

describe('P10: a MongoClient that its owner closes', () => {
  it('loses the hold by its deadline, refuses new calls with what to do, and serves who waited once it is connected again', async () => {
    const holder = await (await database.connected(QUICK)).locks.lock(PAIR);
    const client = await database.connected(QUICK);
    client.expectsErrors = true;
    const lost = await client.locks.lock({ ...PAIR, id: 'lost' });
    const waiting = client.locks.lock(PAIR);
    await database.untilWaiting(PAIR, 1);
    await client.mongo.close();
    await eventually(() => lost.signal.aborted);
    expect(lost.held).toBe(false);
    const error = await rejection(client.locks.lock({ ...PAIR, id: 'new' }));
    expect(error).toMatchObject({ code: 'LOCK_UNAVAILABLE', retryable: true });
    expect(String(error)).toContain('client.connect()');
    await client.mongo.connect();
    await eventually(async () => (await database.waitersCount(PAIR)) > 0 && client.seen('session:opened').length > 1);
    await holder.unlock();
    const lock = await waiting;
    expect(lock.fencingToken).toBeGreaterThan(holder.fencingToken);
    await lock.unlock();
    const again = await client.locks.lock({ ...PAIR, id: 'lost' });
    expect(again.fencingToken).toBeGreaterThan(lost.fencingToken);
    await again.unlock();
  });

  it('for less than its lease loses nothing', async () => {
    const client = await database.connected({ ...QUICK, leaseDurationMS: 6_000 });
    const holder = await (await database.connected(QUICK)).locks.lock(PAIR);
    const held = await client.locks.lock({ ...PAIR, id: 'held' });
    const waiting = client.locks.lock(PAIR);
    await database.untilWaiting(PAIR, 1);
    await client.mongo.close();
    await eventually(() => client.seen('stream:interrupted').length > 0);
    await client.mongo.connect();
    await holder.unlock();
    await (await waiting).unlock();
    expect(held.held).toBe(true);
    expect(await held.unlock()).toBe(true);
    expect(client.seen('session:lost')).toEqual([]);
    // A patrol may have come round in between, and have had to say so.
    client.expectsErrors = client.logged.length > 0;
  });
});

itLeavesNothingBehind(database);
