/** What a held lock and a waiter weigh in the process that has them, and what a heartbeat sends for ten thousand of them. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { LockClient } from 'mongo-distributed-locks';
import type { Case, Question } from '../question.js';
import { atScale } from '../scale.js';
import type { Stage } from '../stage.js';
import type { Weighed, WeighedSettings } from '../worker/orders-of-memory.js';

const PROGRAM = fileURLToPath(new URL('../worker/weighed.ts', import.meta.url));

function weighing(name: string, { what, count }: Pick<WeighedSettings, 'what' | 'count'>): Case {
  return {
    name,
    async measure(stage: Stage) {
      const key = stage.freshKey();
      const locks = new LockClient({ client: stage.mongo, dbName: stage.dbName, idleMS: 60_000 });
      if (what === 'waiters') await locks.lock({ resource: 'bench', id: key });
      const settings = { uri: stage.uri, dbName: stage.dbName, key, what, count: atScale(stage.scale, count) };
      const weighed = await weighedBy({ ...settings, watchMS: stage.scale.tiny ? 1_500 : 5_000 });
      await locks.close();
      // Killed while it held: nobody waits for what it left, and the next case must not inherit its reaping.
      await stage.db.collection('dlocks').deleteMany({});
      await stage.db.collection('dlocks.sessions').deleteMany({});
      return {
        'bytes each': weighed.bytesEach,
        'client CPU µs each': weighed.cpuMicrosEach,
        'client CPU ms per second, standing': weighed.cpuMSPerSecond,
        'writes per heartbeat': weighed.writesCount / weighed.heartbeatsCount,
        'reads per second, standing': (weighed.readsCount * 1_000) / weighed.watchedMS,
      };
    },
  };
}

async function weighedBy(settings: WeighedSettings): Promise<Weighed> {
  const child = fork(PROGRAM, [], {
    execArgv: ['--import', 'tsx', '--expose-gc', '--no-warnings'],
    env: { ...process.env, BENCH_WEIGHED: JSON.stringify(settings) },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  try {
    const ended = once(child, 'exit').then(() => {
      throw new Error('The process that was weighed ended');
    });
    const [weighed] = (await Promise.race([once(child, 'message'), ended])) as [Weighed];
    return weighed;
  } finally {
    child.kill('SIGKILL');
  }
}

export const HELD = '10,000 held locks';
export const WAITING = '10,000 waiters for one lock';

export const MEMORY: Question = {
  name: 'memory',
  title: 'what held locks and waiters weigh',
  method:
    'A process of its own takes so many locks, or calls `lock` so many times for one that another holds; its heap and external memory after collection, ' +
    'less what they were before, divided by their number: the `Lock` or the promise of the caller is in it. Then it is watched for five seconds with ' +
    'a heartbeat each second: its commands by the driver’s monitoring (with waiters the patrol’s reads are among them), and its processor time.',
  cases: async () => [
    weighing(HELD, { what: 'held locks', count: 10_000 }),
    weighing(WAITING, { what: 'waiters', count: 10_000 }),
    weighing('1,000 waiters for one lock', { what: 'waiters', count: 1_000 }),
  ],
};
