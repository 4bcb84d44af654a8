/**
 * A new primary whose majority reads answer from before a grant that was already delivered: its commit point is behind until it has committed an
 * entry of its own term (row S15 of the failure table). The server's fail point `disableSnapshotting` keeps it there for as long as a test needs.
 */
import { MongoClient } from 'mongodb';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type TestClient, TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { type RunningServer, startReplicaSet } from '../support/mongod.js';

const PAIR = { resource: 'account', id: 7 };
/** Heartbeats as short as they can be: the grant check is sent with each. */
const SETTINGS = { leaseDurationMS: 9_000, heartbeatIntervalMS: 100, patrolIntervalMS: 1_000 };
const ELECTION_LIMIT_MS = 15_000;
const TEST_LIMIT_MS = 60_000;

interface Member {
  readonly pid: number;
  readonly mongo: MongoClient;
}

let server: RunningServer;
let members: Member[];
let database: TestDatabase;

beforeEach(async () => {
  server = await startReplicaSet({ members: 3 });
  members = server.members.map(({ pid, uri }) => ({
    pid,
    mongo: new MongoClient(uri, { serverSelectionTimeoutMS: 1_000 }),
  }));
  await Promise.all(members.map(({ mongo }) => mongo.connect()));
  database = new TestDatabase(import.meta.url, server.uri);
  await database.observer.connect();
});

afterEach(async () => {
  const left = await database.settle();
  await database.observer.close();
  await Promise.all(members.map(({ mongo }) => mongo.close()));
  await server.stop();
  expect(left).toEqual([]);
});

async function primary(among: readonly Member[]): Promise<Member> {
  return eventually(async () => {
    for (const member of among) {
      const hello = await member.mongo.db('admin').command({ hello: 1 });
      if (hello.isWritablePrimary === true) return member;
    }
    return undefined;
  }, ELECTION_LIMIT_MS);
}

/** From the result on, majority reads of these members answer as of now; it ends that. */
async function freeze(those: readonly Member[]): Promise<() => Promise<void>> {
  const set = async (mode: 'alwaysOn' | 'off'): Promise<void> => {
    const command = { configureFailPoint: 'disableSnapshotting', mode };
    await Promise.all(those.map(({ mongo }) => mongo.db('admin').command(command)));
  };
  await set('alwaysOn');
  return () => set('off');
}

/** Whether that member holds back a read that begins so, because it waits until it can answer from late enough. */
async function holdsBack({ mongo }: Member, match: Record<string, unknown>): Promise<boolean> {
  const stages = [{ $currentOp: { allUsers: true } }, { $match: { ns: `${database.name}.dlocks`, ...match } }];
  return (await mongo.db('admin').aggregate(stages).toArray()).length > 0;
}

const GRANT_CHECK = { 'command.pipeline.0.$match.grant': { $exists: true } };
const LINEARIZABLE = { 'command.readConcern.level': 'linearizable' };

function losses(client: TestClient): string[] {
  return client.seen('lost').map(({ error }) => String(error));
}

/** A release whose grant was delivered to the next, and then at once the death of the primary, before anyone else has seen it. */
async function handedOver() {
  const before = await primary(members);
  const others = members.filter((member) => member !== before);
  const [holder, next, last] = [
    await database.connected(SETTINGS),
    await database.connected(SETTINGS),
    await database.connected(SETTINGS),
  ];
  const held = await holder.locks.lock(PAIR);
  const second = next.locks.lock(PAIR);
  await database.untilWaiting(PAIR, 1);
  const third = last.locks.lock(PAIR);
  await database.untilWaiting(PAIR, 2);
  const thaw = await freeze(others);
  next.locks.once('granted', () => process.kill(before.pid, 'SIGKILL'));
  const released = held.unlock();
  const lock = await second;
  const after = await primary(others);
  const settled = (): void => {
    for (const client of [holder, next, last]) client.expectsErrors = client.logged.length > 0;
  };
  return { after, thaw, released, lock, third, next, settled };
}

describe('S15: a new primary that answers majority reads from before a grant', () => {
  it(
    'INV-05 ends no hold, and the next waiter is served after it',
    async () => {
      const { after, thaw, released, lock, third, next, settled } = await handedOver();
      // It answers from before the grant, or waits until it need not.
      await eventually(async () => losses(next).length > 0 || (await holdsBack(after, GRANT_CHECK)), ELECTION_LIMIT_MS);
      await thaw();
      expect(await released).toBe(true);
      expect(losses(next)).toEqual([]);
      expect(lock.held).toBe(true);
      expect(await lock.unlock()).toBe(true);
      const follower = await third;
      expect(follower.fencingToken).toBeGreaterThan(lock.fencingToken);
      expect(await follower.unlock()).toBe(true);
      settled();
    },
    TEST_LIMIT_MS,
  );

  it(
    'INV-09 does not deny a forced release of that grant to a client that has seen nothing of it',
    async () => {
      const operator = await database.connected({ ...SETTINGS, heartbeatIntervalMS: 3_000 });
      const { after, thaw, released, lock, third, settled } = await handedOver();
      const { fencingToken } = lock;
      let answer: boolean | undefined;
      const forced = operator.locks.forceRelease({ ...PAIR, fencingToken, reason: 'a test' }).then((said) => {
        answer = said;
      });
      await eventually(async () => answer !== undefined || (await holdsBack(after, LINEARIZABLE)), ELECTION_LIMIT_MS);
      await thaw();
      await forced;
      expect(answer).toBe(true);
      expect(await released).toBe(true);
      await eventually(() => lock.signal.aborted);
      const follower = await third;
      expect(follower.fencingToken).toBeGreaterThan(fencingToken);
      expect(await follower.unlock()).toBe(true);
      operator.expectsErrors = operator.logged.length > 0;
      settled();
    },
    TEST_LIMIT_MS,
  );
});
