/** How long the first lock of a process takes: a connection, topology, indexes and session before it; and the same after `connect`. */
import { LockClient } from 'mongo-distributed-locks';
import { MongoClient } from 'mongodb';
import { nowMS } from '../clock.js';
import { median } from '../figures.js';
import type { Case, Question } from '../question.js';
import type { Stage } from '../stage.js';

const TIMES_COUNT = 10;

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = nowMS();
  await work();
  return nowMS() - startedAt;
}

async function bareStart(stage: Stage): Promise<number> {
  const mongo = new MongoClient(stage.uri);
  const collection = mongo.db(stage.dbName).collection<{ _id: string }>('bare', {
    writeConcern: { w: 'majority', journal: true },
  });
  const tookMS = await timed(() =>
    collection.findOneAndUpdate({ _id: 'first' }, { $inc: { count: 1 } }, { upsert: true }),
  );
  await mongo.close();
  return tookMS;
}

async function lockStart(stage: Stage): Promise<number> {
  const locks = new LockClient({ uri: stage.uri, dbName: stage.dbName });
  const id = stage.freshKey();
  const tookMS = await timed(() => locks.lock({ resource: 'first', id }));
  await locks.close();
  return tookMS;
}

const FIRST: Case = {
  name: 'a new client',
  async measure(stage) {
    const times = { lock: [] as number[], bare: [] as number[] };
    for (let time = 0; time < (stage.scale.tiny ? 2 : TIMES_COUNT); time += 1) {
      times.lock.push(await lockStart(stage));
      times.bare.push(await bareStart(stage));
    }
    return {
      'first lock p50 ms': median(times.lock),
      'first bare write p50 ms': median(times.bare),
      'first lock over first write': median(times.lock) / median(times.bare),
    };
  },
};

export const FIRST_LOCK: Question = {
  name: 'first-lock',
  title: 'the first lock after the start',
  method:
    'A new `LockClient` of a connection string, and the time of its first `lock`; beside it a new `MongoClient` and its first bare majority write, in ' +
    'turn, in one process whose code is compiled already. The collections and indexes exist.',
  cases: async () => [FIRST],
};
