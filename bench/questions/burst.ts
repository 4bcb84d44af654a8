/** What many callers of one process cost that come at once: commands to arrive and until the last is served, counted by the driver's own monitoring. */
import { LockClient } from 'mongo-distributed-locks';
import { type CommandStartedEvent, MongoClient } from 'mongodb';
import { nowMS, pause } from '../clock.js';
import { lockId } from '../peers/ours.js';
import type { Case, Question } from '../question.js';
import { atScale } from '../scale.js';
import type { Stage } from '../stage.js';

const WRITES = new Set(['findAndModify', 'update', 'delete', 'insert']);
const READS = new Set(['find', 'aggregate']);

/** What one client sends; its change stream is not counted. */
class Counter {
  writesCount = 0;
  readsCount = 0;

  constructor(client: MongoClient) {
    client.on('commandStarted', ({ commandName, command }: CommandStartedEvent) => {
      if (WRITES.has(commandName)) this.writesCount += 1;
      if (READS.has(commandName) && command.pipeline?.[0]?.$changeStream === undefined) this.readsCount += 1;
    });
  }
}

function bursting(name: string, { callersCount, isHeld }: { callersCount: number; isHeld: boolean }): Case {
  return {
    name,
    async measure(stage: Stage) {
      const key = stage.freshKey();
      const subject = { resource: 'bench', id: key };
      const count = atScale(stage.scale, callersCount);
      const mongo = await new MongoClient(stage.uri, { monitorCommands: true }).connect();
      const settings = { dbName: stage.dbName, idleMS: 60_000, patrolIntervalMS: 30_000 };
      const locks = new LockClient({ client: mongo, ...settings });
      const holder = new LockClient({ client: stage.mongo, ...settings });
      await Promise.all([locks.connect(), holder.connect()]);
      const held = isHeld ? await holder.lock(subject) : null;
      const sent = new Counter(mongo);
      const startedAt = nowMS();
      let servedCount = 0;
      let servedAt = Number.NaN;
      let served = { writes: 0, reads: 0 };
      const fn = (): void => {
        servedCount += 1;
        if (servedCount < count) return;
        servedAt = nowMS();
        served = { writes: sent.writesCount, reads: sent.readsCount };
      };
      const calls = Array.from({ length: count }, () => locks.exec({ ...subject, fn }));
      if (isHeld) await untilArrived(stage, { key, count });
      const arrived = { writes: sent.writesCount, reads: sent.readsCount };
      const releasedAt = nowMS();
      await held?.unlock();
      await Promise.all(calls);
      // Before the clients close: what ends their sessions is no part of the burst.
      const released = { writes: sent.writesCount, reads: sent.readsCount };
      await Promise.all([locks.close(), holder.close()]);
      await mongo.close();
      return {
        'served after ms': servedAt - (isHeld ? releasedAt : startedAt),
        ...(isHeld ? { 'writes to arrive': arrived.writes, 'reads meanwhile': arrived.reads } : {}),
        'writes until all are served': served.writes,
        'reads until all are served': served.reads,
        'writes until the last has released': released.writes,
      };
    },
  };
}

/** Every caller has its place, and the patrol's first look is over. */
async function untilArrived(stage: Stage, { key, count }: { key: string; count: number }): Promise<void> {
  const end = nowMS() + 20_000;
  const tickets = stage.db.collection('dlocks').find({ key: lockId(key) });
  for (;;) {
    const stored = await tickets.clone().toArray();
    if (stored.reduce((sum, { callers }) => sum + Number(callers), 0) >= count) break;
    if (nowMS() > end) throw new Error('The callers did not arrive');
  }
  await pause(50);
}

export const THOUSAND_HELD = '1,000 callers, held by another process';
const THOUSAND_FREE = '1,000 callers, free';

export const BURST: Question = {
  name: 'burst',
  title: 'many callers of one process at once',
  method:
    'So many callers of `exec` with an empty function in one turn of the event loop, on a lock that is free, or that another client holds until all of ' +
    'them have their places. Commands are counted by the driver’s monitoring of the one client that bursts, its change stream left out; they are ' +
    'exact. Served is who runs; the last release is counted apart. Time runs from the call, or from the release.',
  cases: async () => [
    bursting(THOUSAND_HELD, { callersCount: 1_000, isHeld: true }),
    bursting(THOUSAND_FREE, { callersCount: 1_000, isHeld: false }),
    bursting('25 callers, held by another process', { callersCount: 25, isHeld: true }),
    bursting('25 callers, free', { callersCount: 25, isHeld: false }),
  ],
};
