/**
 * What lock and unlock cost where nobody else wants it: each beside a bare majority `findOneAndUpdate`, the three in turn on one connection pool of
 * one process, so that all meet the same server in the same moment. Commands are counted by the server.
 */
import { LockClient } from 'mongo-distributed-locks';
import { nowMS } from '../clock.js';
import { percentile } from '../figures.js';
import type { Case, Question } from '../question.js';
import { atScale } from '../scale.js';
import type { Stage } from '../stage.js';

const TIMES_COUNT = 200;
const DROPPED_COUNT = 20;

/** `idOf`: which lock, by the number of the call. */
function locking(name: string, idOf: (call: number) => string): Case {
  return {
    name,
    async measure(stage: Stage) {
      const resource = stage.freshKey();
      const locks = new LockClient({ client: stage.mongo, dbName: stage.dbName, idleMS: 60_000 });
      await locks.connect();
      const times = { lock: [] as number[], unlock: [] as number[], bare: [] as number[] };
      const count = atScale(stage.scale, TIMES_COUNT) + DROPPED_COUNT;
      const before = await stage.serverCommands();
      for (let call = 0; call < count; call += 1) {
        const id = idOf(call);
        const startedAt = nowMS();
        const lock = await locks.lock({ resource, id });
        const grantedAt = nowMS();
        await lock.unlock();
        const releasedAt = nowMS();
        await stage.bare.findOneAndUpdate({ _id: `${resource}/${id}` }, { $inc: { count: 1 } }, { upsert: true });
        times.lock.push(grantedAt - startedAt);
        times.unlock.push(releasedAt - grantedAt);
        times.bare.push(nowMS() - releasedAt);
      }
      const after = await stage.serverCommands();
      await locks.close();
      const commandsCount = after.writes - before.writes + after.reads - before.reads;
      const at = (of: keyof typeof times, share: number): number => percentile(times[of].slice(DROPPED_COUNT), share);
      return {
        'lock p50 ms': at('lock', 0.5),
        'unlock p50 ms': at('unlock', 0.5),
        'bare write p50 ms': at('bare', 0.5),
        'lock p50 over bare': at('lock', 0.5) / at('bare', 0.5),
        'unlock p50 over bare': at('unlock', 0.5) / at('bare', 0.5),
        'lock p99 ms': at('lock', 0.99),
        'unlock p99 ms': at('unlock', 0.99),
        'bare write p99 ms': at('bare', 0.99),
        'commands per lock and unlock': commandsCount / count - 1,
      };
    },
  };
}

export const UNCONTENDED: Question = {
  name: 'uncontended',
  title: 'lock and unlock where nobody else wants it',
  method:
    'One process takes and gives back a lock, then does a bare majority `findOneAndUpdate` (upsert, journalled) on another collection of the same ' +
    'server, over and over, on one connection pool; the first calls of each round are dropped. Commands are the difference of the server’s own ' +
    'counters, less the bare write; a renewal of the session may fall into it.',
  cases: async () => [
    locking('the same lock again', () => 'one'),
    locking('a new lock each time', (call) => `${call}`),
  ],
  plotted: ['lock p50 ms', 'unlock p50 ms', 'bare write p50 ms'],
};
