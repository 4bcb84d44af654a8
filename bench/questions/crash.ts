/** How long a lock stays with a process that was killed: `kill -9` of the holder, until the waiter has it. */
import { LockClient } from 'mongo-distributed-locks';
import { nowMS, pause } from '../clock.js';
import { percentile } from '../figures.js';
import { OURS } from '../peers/ours.js';
import type { Case, Question } from '../question.js';
import type { Stage } from '../stage.js';

const SETTINGS = { leaseDurationMS: 3_000, patrolIntervalMS: 1_000, idleMS: 60_000 };
const TIMES_COUNT = 4;

/** The bound of INV-05 where waiters saw the beats stand still for a lease. */
const BOUND_MS = SETTINGS.leaseDurationMS + 2 * SETTINGS.patrolIntervalMS;

async function gap(stage: Stage): Promise<number> {
  const key = stage.freshKey();
  const subject = { resource: 'bench', id: key };
  const holder = await stage.fleet.single();
  const waiter = new LockClient({ uri: stage.uri, dbName: stage.dbName, ...SETTINGS, logger: { error: () => {} } });
  try {
    const where = { address: stage.uri, mongodbUri: stage.uri, dbName: stage.dbName, key, options: SETTINGS };
    await holder.order({ kind: 'connect', settings: { ...where, peer: OURS.name } });
    await holder.order({ kind: 'contend', callers: [0], holdMS: 60_000 });
    while (!(await isHeld(stage, key))) await pause(5);
    const waiting = waiter.lock(subject);
    await new Promise((resolve) => waiter.once('stream:opened', resolve));
    // Anywhere between two heartbeats.
    await pause(Math.random() * SETTINGS.patrolIntervalMS);
    const killedAt = nowMS();
    holder.kill();
    const lock = await waiting;
    const tookMS = nowMS() - killedAt;
    await lock.unlock();
    return tookMS;
  } finally {
    holder.kill();
    await waiter.close();
  }
}

async function isHeld(stage: Stage, key: string): Promise<boolean> {
  const lock = await stage.db
    .collection<{ _id: string; grant?: unknown }>('dlocks')
    .findOne({ _id: `lock:bench/${key}` });
  return typeof lock?.grant === 'string';
}

const KILLED: Case = {
  name: 'holder killed, lease 3 s, patrol 1 s',
  async measure(stage) {
    const gaps: number[] = [];
    while (gaps.length < (stage.scale.tiny ? 1 : TIMES_COUNT)) gaps.push(await gap(stage));
    return { 'gap p50 ms': percentile(gaps, 0.5), 'gap longest ms': Math.max(...gaps), 'bound ms': BOUND_MS };
  },
};

export const CRASH: Question = {
  name: 'crash',
  title: 'how long a lock stays with a killed process',
  method:
    'A process takes the lock, another waits for it; the first is killed (`kill -9`) at a random moment between two heartbeats. The gap is the time from ' +
    'the kill to the waiter running. The bound is the lease and two patrols; it scales with `leaseDurationMS`.',
  cases: async () => [KILLED],
};
