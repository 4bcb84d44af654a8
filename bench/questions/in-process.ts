/** What it costs inside one process, where nobody else wants the lock: runs in memory, the same without runs, and a mutex that knows one process only. */
import { LockClient, type LockSettings } from 'mongo-distributed-locks';
import { nowMS } from '../clock.js';
import { percentile } from '../figures.js';
import { packageOfPeer } from '../peers/package-of-peer.js';
import type { Case, Question } from '../question.js';
import { atScale } from '../scale.js';
import type { Stage } from '../stage.js';

const CALLERS_COUNT = 50;

type Exec = (fn: () => void) => Promise<unknown>;

interface MutexPackage {
  readonly Mutex: new () => { runExclusive(fn: () => void): Promise<void> };
}

interface InProcess {
  readonly grantsPerSecond: number;
  readonly handoffsMS: readonly number[];
}

/** Everybody comes again as soon as served, until so many were. */
async function contend(exec: Exec, grantsCount: number): Promise<InProcess> {
  const handoffsMS: number[] = [];
  let left = grantsCount;
  let releasedAt = Number.NaN;
  const fn = (): void => {
    const at = performance.now();
    if (!Number.isNaN(releasedAt)) handoffsMS.push(at - releasedAt);
    left -= 1;
    releasedAt = performance.now();
  };
  const caller = async (): Promise<void> => {
    while (left > 0) await exec(fn);
  };
  const startedAt = nowMS();
  await Promise.all(Array.from({ length: CALLERS_COUNT }, caller));
  const tookMS = nowMS() - startedAt;
  return { grantsPerSecond: (handoffsMS.length * 1_000) / tookMS, handoffsMS };
}

function ours(name: string, { grantsCount, settings }: { grantsCount: number; settings: LockSettings }): Case {
  return {
    name,
    async measure(stage: Stage) {
      const locks = new LockClient({ client: stage.mongo, dbName: stage.dbName, idleMS: 60_000, ...settings });
      const subject = { resource: 'in-process', id: stage.freshKey() };
      await locks.connect();
      await contend((fn) => locks.exec({ ...subject, fn }), atScale(stage.scale, grantsCount) / 4);
      const before = await stage.serverCommands();
      const { grantsPerSecond, handoffsMS } = await contend(
        (fn) => locks.exec({ ...subject, fn }),
        atScale(stage.scale, grantsCount),
      );
      const after = await stage.serverCommands();
      await locks.close();
      const commandsCount = after.writes + after.reads - before.writes - before.reads;
      return { ...figuresOf(grantsPerSecond, handoffsMS), 'commands per grant': commandsCount / handoffsMS.length };
    },
  };
}

function figuresOf(grantsPerSecond: number, handoffsMS: readonly number[]): Record<string, number> {
  return {
    'grants per second': grantsPerSecond,
    'handoff p50 µs': percentile(handoffsMS, 0.5) * 1_000,
    'handoff p99 µs': percentile(handoffsMS, 0.99) * 1_000,
  };
}

function mutex(): Case {
  const { Mutex } = packageOfPeer<MutexPackage>('async-mutex');
  return {
    name: 'async-mutex 0.5.0',
    async measure({ scale }) {
      const lock = new Mutex();
      const { grantsPerSecond, handoffsMS } = await contend((fn) => lock.runExclusive(fn), atScale(scale, 20_000));
      return figuresOf(grantsPerSecond, handoffsMS);
    },
  };
}

export const IN_RUNS = 'runs in memory';
export const WITHOUT_RUNS = 'runMaxCount 1';

export const IN_PROCESS: Question = {
  name: 'in-process',
  title: 'many callers of one process, and nobody else',
  method:
    `${CALLERS_COUNT} callers of \`exec\` with an empty function, each coming again as soon as it was served, until so many were served; a quarter as ` +
    'many go before, and are dropped. A handoff is the time from the end of one function to the begin of the next, the writes between two runs ' +
    'included. Commands are the server’s own count.',
  async cases(stage) {
    const cases = [
      ours(IN_RUNS, { grantsCount: 20_000, settings: {} }),
      ours(WITHOUT_RUNS, { grantsCount: 600, settings: { runMaxCount: 1 } }),
    ];
    try {
      return [...cases, mutex()];
    } catch (error) {
      stage.leaveOut('async-mutex', error);
      return cases;
    }
  },
  plotted: ['grants per second'],
};
