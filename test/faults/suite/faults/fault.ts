/**
 * What a fault is: a name, whether it can be tried on this machine, and how it is done to a running scene. Each fault is
 * whole: it does its harm, lets it last, and takes it back; told to end early it takes it back at once. It notes what it
 * does for as long as it does it, because the checker must know.
 */
import type { Chance } from '../../../simulation/chance.js';
import type { Cluster, Member } from '../cluster.js';
import type { Disturbances } from '../disturbances.js';
import type { Observer } from '../observer.js';
import type { ContendingProcess, Processes } from '../processes.js';
import { LEASE_MS } from '../settings.js';
import { until } from '../waiting.js';

/** What a fault is done to. */
export interface Scene {
  readonly cluster: Cluster;
  readonly processes: Processes;
  readonly observer: Observer;
  readonly disturbances: Disturbances;
  readonly chance: Chance;
  /** Names of processes that are never killed. */
  readonly spared: ReadonlySet<string>;
}

/** What a machine has. */
export interface Environment {
  readonly platform: NodeJS.Platform;
  /** The library that gives a server a clock of its own; null: it is not installed. */
  readonly clockLibrary: string | null;
}

export interface Fault {
  readonly name: string;
  /** true, or what is missing. */
  available(environment: Environment): true | string;
  /** Resolves when it is over, and at once where there is nothing to do it to. */
  inject(scene: Scene, signal: AbortSignal): Promise<void>;
}

/** What a fault needs besides the set and the processes, so that a run is made with it. */
export type Need = 'bridge' | 'bridged members' | 'clocks' | 'small oplog' | 'small pool';

export type NeedyFault = Fault & { readonly needs: readonly Need[] };

export const ANYWHERE = (): true => true;
export const ON_LINUX = ({ platform }: Environment): true | string =>
  platform === 'linux' || 'only on Linux every address that begins with 127 is this machine';

/** From well below a lease to well above it. */
export function aroundALease({ chance }: Scene): number {
  return chance.between(0.2, 2) * LEASE_MS;
}

/** Which processes at a lock: the holder, anyone who waits, the first who wait. */
export type Role = 'holder' | 'waiter' | 'head' | 'heads';

const HEADS_COUNT = 3;

/** The processes in that role at one of the locks now; none where nobody is. */
export async function inRole(role: Role, { observer, processes, chance }: Scene): Promise<ContendingProcess[]> {
  const view = await observer.queue(chance.pick(observer.keys as [string, ...string[]])).catch(() => null);
  if (view === null) return [];
  const { holder, waiting } = view;
  const names = {
    holder: holder === null ? [] : [holder],
    waiter: waiting.length === 0 ? [] : [chance.pick(waiting as [string, ...string[]])],
    head: waiting.slice(0, 1),
    heads: waiting.slice(0, HEADS_COUNT),
  }[role];
  return names.flatMap((name) => processes.named(name) ?? []).filter(({ alive }) => alive);
}

/** Any process that runs. */
export function anyProcess({ processes, chance }: Scene): ContendingProcess[] {
  const { alive } = processes;
  return alive.length === 0 ? [] : [chance.pick(alive as [ContendingProcess, ...ContendingProcess[]])];
}

/** The primary, once there is one. */
export function primaryOf({ cluster }: Scene): Promise<Member> {
  return until('there is a primary', () => cluster.primary());
}
