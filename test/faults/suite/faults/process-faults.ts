/** Faults of the contending processes: killed, and replaced; suspended, and resumed; their connections all in use. */
import type { ContendingProcess } from '../processes.js';
import { LEASE_MS } from '../settings.js';
import { pass } from '../waiting.js';
import { ANYWHERE, anyProcess, aroundALease, inRole, type NeedyFault, type Role, type Scene } from './fault.js';

const ROLE_NAMES: Readonly<Record<Role, string>> = {
  holder: 'the holder',
  waiter: 'a waiter',
  head: 'the head waiter',
  heads: 'the first three waiters',
};

function kill(role: Role): NeedyFault {
  const name = `kill -9 of ${ROLE_NAMES[role]}`;
  const inject = async (scene: Scene): Promise<void> => {
    const { processes, disturbances, spared } = scene;
    const victims = (await inRole(role, scene)).filter((victim) => !spared.has(victim.name));
    if (victims.length === 0) return;
    await disturbances.during({ fault: name, processes: names(victims) }, () => each(victims, (one) => one.kill()));
    await each(victims, () => processes.replace());
  };
  return { name, needs: [], available: ANYWHERE, inject };
}

function pause(role: Role, lastsMS: (scene: Scene) => number = aroundALease): NeedyFault {
  const name = `SIGSTOP of ${ROLE_NAMES[role]}`;
  const inject = async (scene: Scene, signal: AbortSignal): Promise<void> => {
    const victims = await inRole(role, scene);
    if (victims.length === 0) return;
    await scene.disturbances.during({ fault: name, processes: names(victims) }, async () => {
      for (const one of victims) one.pause();
      await pass(lastsMS(scene), signal);
      for (const one of victims) one.resume();
    });
  };
  return { name, needs: [], available: ANYWHERE, inject };
}

const exhaustPool: NeedyFault = {
  name: 'pool exhausted by slow queries',
  needs: ['small pool'],
  available: ANYWHERE,
  inject: async (scene, signal) => {
    const victims = anyProcess(scene);
    const durationMS = scene.chance.between(0.3, 1.5) * LEASE_MS;
    await scene.disturbances.during({ fault: exhaustPool.name, processes: names(victims) }, async () => {
      for (const one of victims) one.send({ kind: 'hog', durationMS, queriesCount: HOG_QUERIES_COUNT });
      await pass(HOG_ROUNDS_COUNT * durationMS, signal);
    });
  },
};

/** As many as go round a pool of `SMALL_POOL_SIZE` so often. */
const HOG_ROUNDS_COUNT = 2;
export const SMALL_POOL_SIZE = 4;
const HOG_QUERIES_COUNT = HOG_ROUNDS_COUNT * SMALL_POOL_SIZE;

function names(of: readonly ContendingProcess[]): string[] {
  return of.map(({ name }) => name);
}

async function each<T>(items: readonly T[], act: (item: T) => Promise<void>): Promise<void> {
  await Promise.all(items.map(act));
}

export const KILLS: readonly NeedyFault[] = [kill('holder'), kill('waiter'), kill('head'), kill('heads')];
export const PAUSES: readonly NeedyFault[] = [pause('holder'), pause('waiter'), pause('head'), pause('heads')];
/** So that the next has taken over, and written, when the holder goes on. */
export const LONG_PAUSE: NeedyFault = pause('holder', ({ chance }) => chance.between(1.5, 2.5) * LEASE_MS);
export const POOL: readonly NeedyFault[] = [exhaustPool];
