/** Throughput over many keys of one process, beside as many bare writes at once. */
import { LockClient } from 'mongo-distributed-locks';
import { nowMS } from '../clock.js';
import type { Case, Question } from '../question.js';
import { atScale, some } from '../scale.js';
import type { Stage } from '../stage.js';

const AT_ONCE = 50;
const GRANTS_COUNT = 4_000;
const KEYS = [1_000, 10_000, 100];

function spread(keysCount: number): Case {
  return {
    name: `${keysCount} keys, ${AT_ONCE} callers at once`,
    async measure(stage: Stage) {
      const resource = stage.freshKey();
      const locks = new LockClient({ client: stage.mongo, dbName: stage.dbName, idleMS: 60_000 });
      await locks.connect();
      const count = atScale(stage.scale, GRANTS_COUNT);
      const before = await stage.serverCommands();
      const lockedPerSecond = await rate(count, (call) => locks.exec({ resource, id: call % keysCount, fn: () => {} }));
      const after = await stage.serverCommands();
      const pairsPerSecond = await rate(count, async (call) => {
        for (let time = 0; time < 2; time += 1) await bareWrite(stage, `${resource}/${call % keysCount}`);
      });
      await locks.close();
      return {
        'grants per second': lockedPerSecond,
        'pairs of bare writes per second': pairsPerSecond,
        'grants over pairs': lockedPerSecond / pairsPerSecond,
        'commands per grant': (after.writes + after.reads - before.writes - before.reads) / count,
      };
    },
  };
}

async function bareWrite(stage: Stage, id: string): Promise<void> {
  await stage.bare.findOneAndUpdate({ _id: id }, { $inc: { count: 1 } }, { upsert: true });
}

/** So many calls, some at a time, each of them the next in turn. */
async function rate(count: number, call: (number: number) => Promise<unknown>): Promise<number> {
  const startedAt = nowMS();
  let started = 0;
  const worker = async (): Promise<void> => {
    while (started < count) {
      started += 1;
      await call(started);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return (count * 1_000) / (nowMS() - startedAt);
}

export const KEYS_QUESTION: Question = {
  name: 'keys',
  title: 'throughput over many keys',
  method:
    `One process, ${AT_ONCE} calls of \`exec\` at a time with an empty function, each for the next key in turn, so that nobody waits; beside it pairs of ` +
    'bare majority `findOneAndUpdate`s, as many at a time, on as many documents.',
  cases: async ({ scale }) => some(scale, KEYS).map(spread),
  plotted: ['grants per second', 'pairs of bare writes per second'],
};
