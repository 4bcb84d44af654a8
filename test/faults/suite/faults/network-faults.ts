/**
 * Faults of the network: between a process and the members, and between the members themselves. What is held back is
 * delivered when the link is open again, so that late requests arrive late, not never.
 */
import { HELD, type LinkState, memberParty, OPEN } from '../bridge.js';
import type { ContendingProcess } from '../processes.js';
import { pass } from '../waiting.js';
import {
  anyProcess,
  aroundALease,
  inRole,
  type NeedyFault,
  ON_LINUX,
  primaryOf,
  type Role,
  type Scene,
} from './fault.js';

const MUTE: LinkState = { ...OPEN, held: ['to'] };
const DEAF: LinkState = { ...OPEN, held: ['from'] };
const CUT: LinkState = { ...OPEN, cut: true };
const SLOW: LinkState = { ...OPEN, delayMS: [20, 200] };
const FLAKY_EVERY_MS = 300;

/** Whom a fault of a process's links is done to: whoever has that role, or anyone where nobody has. */
async function victimsOf(role: Role | 'anyone', scene: Scene): Promise<ContendingProcess[]> {
  const found = role === 'anyone' ? [] : await inRole(role, scene);
  return found.length > 0 ? found : anyProcess(scene);
}

interface LinkFault {
  readonly name: string;
  readonly role: Role | 'anyone';
  readonly state: LinkState;
  /** Whether only the link to the primary is concerned. */
  readonly primaryOnly?: boolean;
}

/** The links of a process to all members, or to the primary, in a state for a while. */
function links({ name, role, state, primaryOnly = false }: LinkFault): NeedyFault {
  const inject = async (scene: Scene, signal: AbortSignal): Promise<void> => {
    const { cluster, disturbances } = scene;
    const victims = await victimsOf(role, scene);
    const members = primaryOnly ? [await primaryOf(scene)] : cluster.members;
    const set = (to: LinkState): void => {
      for (const { name: source } of victims) for (const { index } of members) cluster.bridge.set(source, index, to);
    };
    await disturbances.during({ fault: name, processes: victims.map((victim) => victim.name) }, async () => {
      set(state);
      await pass(aroundALease(scene), signal);
      set(OPEN);
    });
  };
  return { name, needs: ['bridge'], available: ON_LINUX, inject };
}

const flaky: NeedyFault = {
  name: 'connections of a process reset again and again',
  needs: ['bridge'],
  available: ON_LINUX,
  inject: async (scene, signal) => {
    const { cluster, disturbances } = scene;
    const victims = anyProcess(scene);
    await disturbances.during({ fault: flaky.name, processes: victims.map((victim) => victim.name) }, async () => {
      const endAt = performance.now() + aroundALease(scene);
      while (performance.now() < endAt && !signal.aborted) {
        for (const { name } of victims) for (const { index } of cluster.members) cluster.bridge.reset(name, index);
        await pass(FLAKY_EVERY_MS, signal);
      }
    });
  },
};

const resetOnce: NeedyFault = {
  name: 'connections of all processes reset once',
  needs: ['bridge'],
  available: ON_LINUX,
  inject: async ({ cluster, processes, disturbances }) => {
    await disturbances.during({ fault: resetOnce.name }, async () => {
      for (const { name } of processes.all) for (const { index } of cluster.members) cluster.bridge.reset(name, index);
    });
  },
};

/** The primary is parted from the other members; the processes reach all of them. */
function partition({ name, state, withHolder }: { name: string; state: LinkState; withHolder: boolean }): NeedyFault {
  const inject = async (scene: Scene, signal: AbortSignal): Promise<void> => {
    const { cluster, disturbances, chance } = scene;
    const lone = await primaryOf(scene);
    const others = cluster.members.filter((member) => member !== lone);
    const behind = withHolder ? await inRole('holder', scene) : [];
    const set = (to: LinkState): void => {
      for (const { index } of others) {
        cluster.bridge.set(memberParty(lone.index), index, to);
        cluster.bridge.set(memberParty(index), lone.index, to);
        for (const { name: source } of behind) cluster.bridge.set(source, index, to);
      }
    };
    await disturbances.during({ fault: name, processes: behind.map((each) => each.name) }, async () => {
      set(state);
      await pass(chance.between(2_000, 6_000), signal);
      set(OPEN);
    });
  };
  return { name, needs: ['bridge', 'bridged members'], available: ON_LINUX, inject };
}

export const NETWORK: readonly NeedyFault[] = [
  links({ name: 'holder cut off', role: 'holder', state: CUT }),
  links({ name: 'holder in a black hole', role: 'holder', state: HELD }),
  links({ name: 'head waiter in a black hole', role: 'head', state: HELD }),
  links({ name: 'black hole to the primary only', role: 'anyone', state: HELD, primaryOnly: true }),
  links({ name: 'requests of a process held back', role: 'anyone', state: MUTE }),
  links({ name: 'answers to the holder held back', role: 'holder', state: DEAF }),
  links({ name: 'answers to a process held back', role: 'anyone', state: DEAF }),
  links({ name: 'network of a process slow', role: 'anyone', state: SLOW }),
  flaky,
  resetOnce,
];
export const PARTITIONS: readonly NeedyFault[] = [
  partition({ name: 'primary parted from the other members', state: HELD, withHolder: false }),
  partition({ name: 'primary and the holder parted from the other members', state: HELD, withHolder: true }),
  partition({ name: 'connections between the primary and the other members cut', state: CUT, withHolder: false }),
];
