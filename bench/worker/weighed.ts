/**
 * One process that takes many locks, or waits many times, and weighs itself: heap after collection, processor time, and what its heartbeats send.
 * `questions/memory.ts` forks it with `--expose-gc`, and ends it.
 */
import { LockClient } from 'mongo-distributed-locks';
import { type CommandStartedEvent, MongoClient } from 'mongodb';
import { nowMS, pause } from '../clock.js';
import type { Weighed, WeighedSettings } from './orders-of-memory.js';

const HEARTBEAT_MS = 1_000;
const AT_ONCE = 100;

const settings: WeighedSettings = JSON.parse(process.env.BENCH_WEIGHED ?? '{}');
const mongo = await new MongoClient(settings.uri, { monitorCommands: true }).connect();
const locks = new LockClient({
  client: mongo,
  dbName: settings.dbName,
  leaseDurationMS: 30_000,
  heartbeatIntervalMS: HEARTBEAT_MS,
  idleMS: 60_000,
});
const counts = { heartbeats: 0, writes: 0, reads: 0 };
mongo.on('commandStarted', ({ commandName, command }: CommandStartedEvent) => {
  if (['findAndModify', 'update', 'delete', 'insert'].includes(commandName)) counts.writes += 1;
  if (commandName === 'aggregate' && command.pipeline?.[0]?.$changeStream === undefined) counts.reads += 1;
  if (commandName === 'findAndModify' && String(command.findAndModify).endsWith('.sessions')) counts.heartbeats += 1;
});

/** Kept, so that nothing of them is collected. */
const kept: unknown[] = [];

async function hold(): Promise<void> {
  for (let first = 0; first < settings.count; first += AT_ONCE) {
    const ids = Array.from({ length: Math.min(AT_ONCE, settings.count - first) }, (_, index) => first + index);
    kept.push(...(await Promise.all(ids.map((id) => locks.lock({ resource: settings.key, id })))));
  }
}

async function wait(): Promise<void> {
  for (let index = 0; index < settings.count; index += 1) {
    const waiting = locks.lock({ resource: 'bench', id: settings.key });
    waiting.catch(() => {});
    kept.push(waiting);
  }
  const tickets = mongo
    .db(settings.dbName)
    .collection('dlocks')
    .find({ key: `lock:bench/${settings.key}` });
  let arrivedCount = 0;
  while (arrivedCount < settings.count) {
    const stored = await tickets.clone().toArray();
    arrivedCount = stored.reduce((sum, { callers }) => sum + Number(callers), 0);
  }
}

function heap(): number {
  for (let time = 0; time < 3; time += 1) global.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

async function weigh(): Promise<Weighed> {
  await locks.connect();
  // Connections are made, and code is compiled, before the first weighing: neither belongs to a lock.
  for (let time = 0; time < 3; time += 1) {
    const ids = Array.from({ length: AT_ONCE }, (_, id) => id);
    const warm = await Promise.all(ids.map((id) => locks.lock({ resource: `${settings.key}/warm`, id })));
    await Promise.all(warm.map((lock) => lock.unlock()));
  }
  const before = { bytes: heap(), cpu: process.cpuUsage() };
  await (settings.what === 'waiters' ? wait() : hold());
  const cpu = process.cpuUsage(before.cpu);
  await pause(HEARTBEAT_MS);
  const bytes = heap();
  Object.assign(counts, { heartbeats: 0, writes: 0, reads: 0 });
  const watched = { at: nowMS(), cpu: process.cpuUsage() };
  await pause(settings.watchMS);
  const watchedMS = nowMS() - watched.at;
  const used = process.cpuUsage(watched.cpu);
  return {
    bytesEach: (bytes - before.bytes) / settings.count,
    cpuMicrosEach: (cpu.user + cpu.system) / settings.count,
    watchedMS,
    heartbeatsCount: counts.heartbeats,
    writesCount: counts.writes,
    readsCount: counts.reads,
    cpuMSPerSecond: (used.user + used.system) / watchedMS,
  };
}

process.on('disconnect', () => process.exit());
const weighed = await weigh();
process.send?.(weighed);
// What is kept must be kept until here.
if (kept.length === 0) throw new Error('Nothing was weighed');
