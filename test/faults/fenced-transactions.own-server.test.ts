/**
 * A holder that is really stopped (SIGSTOP) while its fenced transaction is open on the server: having written the lock
 * document, or what that guards. A take-over meets an open transaction then. It waits until that is committed, or until
 * the server ends it, which it does after `transactionLifetimeLimitSeconds`: the server is this file's own.
 */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { Contender } from '../support/child-process.js';
import { TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { type RunningServer, startReplicaSet } from '../support/mongod.js';
import { StoppedWriters, type Writer } from './stopped-writers.js';

let server: RunningServer;
let database: TestDatabase;
let child: Contender;
let writers: StoppedWriters;

beforeAll(async () => {
  const [started, processes] = await Promise.all([startReplicaSet(), Contender.start(1)]);
  server = started;
  child = processes[0] as Contender;
  database = new TestDatabase(import.meta.url, server.uri);
  await database.observer.connect();
  await database.db.createCollection('pages');
  writers = new StoppedWriters({ child, database });
});

afterEach(async () => {
  await writers.close();
  const left = await database.settle();
  await database.empty();
  expect(left).toEqual([]);
});

afterAll(async () => {
  await child?.kill();
  await database?.observer.close();
  await server?.stop();
});

async function endTransactionsAfter(seconds: number): Promise<void> {
  await database.observer.db('admin').command({ setParameter: 1, transactionLifetimeLimitSeconds: seconds });
}

/** How many writes of lock documents meet a transaction, and are tried again by the server. */
async function blockedCount(): Promise<number> {
  const blocked = { ns: `${database.name}.dlocks`, active: true, writeConflicts: { $gt: 0 } };
  const found = database.observer.db('admin').aggregate([{ $currentOp: {} }, { $match: blocked }]);
  return (await found.toArray()).length;
}

it('P4: a transaction that is open when its holder is stopped holds up a take-over until the server ends it, and is never committed', async () => {
  await endTransactionsAfter(3);
  const how = 'transaction';
  const gates = ['after the write', 'before the commit'] as const;
  const knowing: Writer[] = gates.map((gate) => ({ how, gate }));
  const believing: Writer[] = gates.map((gate) => ({ how, gate, believes: true }));
  await writers.arrange([...knowing, ...believing]);
  writers.suspend();
  const takenOver = writers.takeOver();
  await eventually(async () => (await blockedCount()) > 0);
  await takenOver;
  await writers.goOn();
  const lost = { outcome: 'LOCK_LOST', by: ['next'], triesCount: 1 };
  expect(await writers.endings()).toEqual([
    { ...lost, held: false },
    { ...lost, held: false },
    { ...lost, held: true },
    { ...lost, held: true },
  ]);
});

it('P4: a transaction that is committed when a take-over already waits for it comes whole before the next holder', async () => {
  await endTransactionsAfter(60);
  await writers.arrange([{ how: 'transaction', gate: 'before the commit' }]);
  writers.suspend();
  const takenOver = writers.takeOver();
  await eventually(async () => (await blockedCount()) > 0);
  await writers.goOn();
  await takenOver;
  expect(await writers.endings()).toEqual([{ outcome: 'written', held: false, triesCount: 1, by: ['late', 'next'] }]);
});
