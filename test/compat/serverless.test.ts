/**
 * A serverless function's process, frozen for real between its calls (SIGSTOP), and thawed (SIGCONT): what a handler that closes leaves behind, which is
 * nothing, and what becomes of one that does not. Other processes are the test's own clients.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { given, itLeavesNothingBehind, useDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { endOrphanedCursors, openCursors, storedLeftovers } from '../support/leaks.js';

const PROGRAM = fileURLToPath(new URL('./children/function.mjs', import.meta.url));
const LOCK = { resource: 'order', id: 42 };
const SETTINGS = { leaseDurationMS: 1_000, clockSkewMS: 100 };
const database = useDatabase(import.meta.url);

interface Answer {
  readonly fencingToken: number;
  readonly events: readonly string[];
}

let instance: ChildProcess;
const answers: unknown[] = [];

/** Thaws the process, runs a handler to its answer, and freezes it at once, as a platform does. */
async function call<T = Answer>(handler: string): Promise<T> {
  instance.kill('SIGCONT');
  instance.send(handler);
  return frozenAnswer();
}

async function frozenAnswer<T = Answer>(): Promise<T> {
  await eventually(() => answers.length === 1, 10_000);
  instance.kill('SIGSTOP');
  return answers.pop() as T;
}

/** Sessions whose lease has not lapsed on the server. */
async function liveSessions(): Promise<number> {
  return database.db
    .collection('dlocks.sessions')
    .countDocuments({ state: 'alive', $expr: { $gt: ['$until', '$$NOW'] } });
}

describe('a function whose process is frozen between its calls', () => {
  beforeEach(async () => {
    instance = fork(PROGRAM, [database.uri], { execArgv: [] });
    instance.on('message', (message) => answers.push(message));
    await eventually(() => answers.length === 1, 15_000);
    answers.length = 0;
  });

  afterEach(async () => {
    const exit = instance.exitCode === null && instance.signalCode === null ? once(instance, 'exit') : undefined;
    instance.kill('SIGKILL');
    await exit;
    await database.db.collection('dlocks.sessions').deleteMany({ pid: instance.pid });
  });

  // What a process that is killed was asking for may still be under way on the server.
  afterAll(async () => {
    await eventually(async () => {
      await endOrphanedCursors(database.observer, database.name);
      return (await openCursors(database.observer, database.name)).length === 0;
    });
  });

  describe('a handler that closes before it answers', () => {
    it('leaves no lock, ticket or session in the frozen process, and nobody waits for it', async () => {
      const first = await call('closes');
      expect(await storedLeftovers(database.db)).toEqual([]);
      const { locks } = database.client(SETTINGS);
      const token = await locks.exec({ ...LOCK, timeoutMS: 5_000, fn: ({ fencingToken }) => fencingToken });
      expect(token).toBeGreaterThan(first.fencingToken);
      expect((await call('closes')).fencingToken).toBeGreaterThan(token);
      expect(await storedLeftovers(database.db)).toEqual([
        // The test's own client, which is still open.
        expect.stringMatching(/^session /),
      ]);
    });

    it('leaves no change stream either, where it had to wait for the lock', async () => {
      const client = database.client(SETTINGS);
      const lock = await client.locks.lock(LOCK);
      instance.send('closes');
      await database.untilWaiting(LOCK, 1);
      expect(await lock.unlock()).toBe(true);
      await frozenAnswer();
      await eventually(async () => (await openCursors(database.observer, database.name)).length === 0);
      expect(await storedLeftovers(database.db)).toEqual([`session ${client.session}`]);
    });
  });

  describe('a handler that leaves its client open', () => {
    it('leaves a session until its lease has lapsed, and delays nobody: the lock itself was given back', async () => {
      await call('keepsOpen');
      expect(await storedLeftovers(database.db)).toEqual([expect.stringMatching(/^session /)]);
      const { locks } = database.client(SETTINGS);
      const lock = given(await locks.tryLock(LOCK));
      expect(await lock.unlock()).toBe(true);
    });

    it('finds its session lost when it is thawed after its lease, and locks again under a new one', async () => {
      const first = await call('keepsOpen');
      await eventually(async () => (await liveSessions()) === 0, 10_000);
      const second = await call('keepsOpen');
      expect(second.fencingToken).toBeGreaterThan(first.fencingToken);
      expect(second.events).toContain('session:lost');
    });
  });

  describe('a handler that answers while it holds', () => {
    it('is taken over when its lease has lapsed, and knows its lock for lost when it is thawed', async () => {
      const first = await call('keepsLock');
      const { locks } = database.client(SETTINGS);
      const next = await locks.lock({ ...LOCK, timeoutMS: 15_000 });
      expect(next.fencingToken).toBeGreaterThan(first.fencingToken);
      expect(await call<object>('looksAtLock')).toEqual({
        held: false,
        reason: 'LOCK_LOST',
        released: false,
      });
      await next.unlock();
    });
  });
});

itLeavesNothingBehind(database);
