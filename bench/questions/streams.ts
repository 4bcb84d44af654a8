/** What open change streams cost the server beside the writes of others: processor time of the primary, by streams and writes per second. */
import { readFile } from 'node:fs/promises';
import { LockClient } from 'mongo-distributed-locks';
import { MongoClient } from 'mongodb';
import { nowMS, pause } from '../clock.js';
import { sum } from '../figures.js';
import type { Case, Question } from '../question.js';
import type { Stage } from '../stage.js';

const STREAMS = [0, 10, 50];
const WRITES_PER_SECOND = [0, 100, 1_000];
/** Ticks of the system's clock, as the kernel reports them to programs. */
const TICK_MS = 10;
const WINDOWS_COUNT = 2;

/** User and system time of these processes, in milliseconds. */
async function cpuOf(pids: readonly number[]): Promise<number> {
  const stats = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/stat`, 'utf8')));
  const ticks = stats.map((stat) => {
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return Number(fields[11]) + Number(fields[12]);
  });
  return sum(ticks) * TICK_MS;
}

/** Clients that wait, each with its own stream, for one lock that nobody gives back. */
async function openStreams(stage: Stage, count: number): Promise<() => Promise<void>> {
  const subject = { resource: 'bench', id: stage.freshKey() };
  const settings = { dbName: stage.dbName, idleMS: 60_000, leaseDurationMS: 60_000, patrolIntervalMS: 60_000 };
  const clients = Array.from({ length: count }, () => new MongoClient(stage.uri));
  const waiters = clients.map((client) => new LockClient({ client, ...settings }));
  const holder = new LockClient({ client: stage.mongo, ...settings });
  await holder.lock(subject);
  const opened = waiters.map((locks) => new Promise((resolve) => locks.once('stream:opened', resolve)));
  for (const locks of waiters) locks.lock(subject).catch(() => {});
  await Promise.all(opened);
  return async () => {
    await Promise.all([...waiters, holder].map((locks) => locks.close()));
    await Promise.all(clients.map((client) => client.close()));
  };
}

/** At that pace, however long one takes; resolves with how many were acknowledged. */
async function writeFor(
  stage: Stage,
  { perSecond, durationMS }: { perSecond: number; durationMS: number },
): Promise<number> {
  const foreign = stage.db.collection<{ _id: number }>('foreign', { writeConcern: { w: 1 } });
  const startedAt = nowMS();
  const writes: Promise<unknown>[] = [];
  while (nowMS() - startedAt < durationMS) {
    const due = Math.floor(((nowMS() - startedAt) * perSecond) / 1_000);
    while (writes.length < due) {
      writes.push(foreign.updateOne({ _id: writes.length % 100 }, { $inc: { count: 1 } }, { upsert: true }));
    }
    await pause(5);
  }
  await Promise.all(writes);
  return writes.length;
}

function streaming(streamsCount: number, perSecond: number): Case {
  return {
    name: `${streamsCount} streams, ${perSecond} foreign writes/s`,
    async measure(stage) {
      const close = await openStreams(stage, streamsCount);
      await pause(stage.scale.settleMS);
      const before = { cpu: await cpuOf(stage.serverPids), at: nowMS() };
      const writesCount = await writeFor(stage, { perSecond, durationMS: stage.scale.windowMS * WINDOWS_COUNT });
      const tookMS = nowMS() - before.at;
      const cpuMS = (await cpuOf(stage.serverPids)) - before.cpu;
      await close();
      return {
        'server CPU ms per second': (cpuMS * 1_000) / tookMS,
        'foreign writes per second': (writesCount * 1_000) / tookMS,
      };
    },
  };
}

export const STREAMS_QUESTION: Question = {
  name: 'streams',
  title: 'what open streams cost the server beside the writes of others',
  method:
    'So many clients, each with a change stream of its own, wait for one lock that is not given back, while another collection is written at so many ' +
    'writes a second (w: 1). Processor time of all servers of the set, as the system accounts it (in steps of 10 ms). What a stream costs for each ' +
    'write is the difference between the rows, divided by both.',
  async cases(stage) {
    if (stage.serverPids.length === 0) {
      stage.leaveOut('streams', 'the server was not started here: its processor time is not to be had');
      return [];
    }
    const all = STREAMS.flatMap((streams) => WRITES_PER_SECOND.map((perSecond) => streaming(streams, perSecond)));
    return stage.scale.tiny ? all.slice(4, 5) : all;
  },
};
