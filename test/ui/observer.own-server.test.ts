/**
 * The observer over elections: a primary that steps down, and one that is killed. What happened meanwhile is told all the same, for the stream goes on
 * where it was.
 */
import { LockClient } from 'mongo-distributed-locks';
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../support/eventually.js';
import { databaseName, type RunningServer, startReplicaSet } from '../support/mongod.js';
import { problemsOf, watch } from './watched.js';

const LIMIT_MS = 20_000;
const pair = { resource: 'elected', id: '1' };
let server: RunningServer;
let mongo: MongoClient;

beforeAll(async () => {
  server = await startReplicaSet({ members: 3 });
  mongo = new MongoClient(server.uri.replace('/?', `/${databaseName(import.meta.url)}?`));
  await mongo.connect();
}, 40_000);

afterAll(async () => {
  await mongo.close();
  await server.stop();
}, 20_000);

async function primaryPid(): Promise<number> {
  const { primary } = await mongo.db('admin').command({ hello: 1 });
  return Number(server.members.find(({ port }) => String(primary).endsWith(`:${port}`))?.pid);
}

test('misses nothing when the primary steps down, or is killed', async () => {
  const watched = await watch(mongo.db());
  const locks = new LockClient({ client: mongo, leaseDurationMS: 30_000, logger: { error: () => {} } });
  let count = 0;
  const grantedAfter = async (what: () => Promise<unknown>): Promise<void> => {
    count += 1;
    const lock = await locks.lock(pair);
    await what();
    await lock.unlock();
    await eventually(() => watched.told('released').length === count, LIMIT_MS);
    await eventually(() => watched.observer.status === 'live', LIMIT_MS);
  };
  await grantedAfter(async () => {});
  await grantedAfter(() =>
    mongo
      .db('admin')
      .command({ replSetStepDown: 20, force: true })
      .catch(() => {}),
  );
  const killed = await eventually(() => primaryPid(), LIMIT_MS);
  await grantedAfter(async () => process.kill(killed, 'SIGKILL'));
  await grantedAfter(async () => {});
  expect(watched.told('granted').length).toBe(4);
  expect(problemsOf(watched.facts, null)).toEqual([]);
  expect(watched.told('gap')).toEqual([]);
  expect(watched.statuses.filter((status) => status === 'interrupted').length).toBeGreaterThanOrEqual(2);
  await locks.close();
}, 60_000);
