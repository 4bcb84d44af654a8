/** Many at once in one process: 1,000 waiters on one key and 1,000 keys, with one stream and no more connections than for one (S12). */
import { describe, expect, it } from 'vitest';
import { itLeavesNothingBehind, type TestClient, useDatabase } from '../../support/database.js';
import { eventually } from '../../support/eventually.js';
import { openCursors } from '../../support/leaks.js';

const database = useDatabase(import.meta.url);
const pair = { resource: 'account', id: 7 };
const COUNT = 1_000;
/** Nothing here is decided by a lease. */
const LASTING = { leaseDurationMS: 60_000, idleMS: 60_000 };
const POOL = 10;
/** Some 7,000 commands: seconds on a machine of its own, several times that on a busy one. */
const LIMIT_MS = 60_000;

/** A client with a small pool, and how many connections that has by the driver's own account: those that only monitor the server are not of it. */
async function pooled(): Promise<{ client: TestClient; connections: () => number }> {
  const client = database.client(LASTING, {}, { maxPoolSize: POOL });
  let count = 0;
  client.mongo.on('connectionCreated', () => {
    count += 1;
  });
  client.mongo.on('connectionClosed', () => {
    count -= 1;
  });
  await client.locks.connect();
  return { client, connections: () => count };
}

describe('1,000 callers of one process', () => {
  it('wait for one lock by one stream and few connections, and are served in their order, each with its own token', async () => {
    const holder = await database.connected(LASTING);
    const { client, connections } = await pooled();
    const lock = await holder.locks.lock(pair);
    const order: number[] = [];
    const tokens: number[] = [];
    const calls = Array.from({ length: COUNT }, (_, index) => {
      const fn = ({ fencingToken }: { fencingToken: number }): void => {
        order.push(index);
        tokens.push(fencingToken);
      };
      return client.locks.exec({ ...pair, fn });
    });
    // Where the test fails, once is enough.
    for (const call of calls) call.catch(() => {});
    await database.untilWaiting(pair, COUNT);
    expect(client.ports.streamsCount).toBe(1);
    await eventually(async () => (await openCursors(database.observer, database.name)).length === 1);
    // The stream has one to itself, the rest is a handful that commands took turns on.
    expect(connections()).toBeLessThanOrEqual(4);
    await lock.unlock();
    await Promise.all(calls);
    expect(order).toEqual(Array.from({ length: COUNT }, (_, index) => index));
    expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => a - b));
  });

  it(
    'wait for 1,000 locks by one stream, within the connections the pool has',
    async () => {
      const holder = await database.connected(LASTING);
      const { client, connections } = await pooled();
      const pairs = Array.from({ length: COUNT }, (_, id) => ({ resource: 'many', id }));
      const held = await Promise.all(pairs.map((one) => holder.locks.lock(one)));
      let servedCount = 0;
      const calls = pairs.map((one) => client.locks.exec({ ...one, fn: () => (servedCount += 1) }));
      for (const call of calls) call.catch(() => {});
      const tickets = database.db.collection('dlocks');
      await eventually(async () => (await tickets.countDocuments({ key: { $exists: true } })) === COUNT, LIMIT_MS);
      expect(client.seen('waiting')).toHaveLength(COUNT);
      expect(client.ports.streamsCount).toBe(1);
      expect(client.seen('stream:opened')).toHaveLength(1);
      await eventually(async () => (await openCursors(database.observer, database.name)).length === 1);
      expect(connections()).toBeLessThanOrEqual(POOL);
      await Promise.all(held.map((lock) => lock.unlock()));
      await Promise.all(calls);
      expect(servedCount).toBe(COUNT);
    },
    LIMIT_MS,
  );
});

itLeavesNothingBehind(database);
