/**
 * The stage of a run: a replica set made with what its faults need, processes that are ready to work, and what watches
 * them. Set up in one call and taken down in one, whatever happened in between; no process, folder or address stays.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Chance } from '../../simulation/chance.js';
import { Cluster } from './cluster.js';
import { Disturbances } from './disturbances.js';
import type { VariantName, WorkloadSettings } from './facts.js';
import type { Environment, Need, Scene } from './faults/fault.js';
import { History } from './history.js';
import { Observer, Probe, StoredChanges } from './observer.js';
import { Processes } from './processes.js';
import { TRANSACTION_LIFETIME_S } from './settings.js';

export interface StageSettings {
  readonly binary: string;
  readonly environment: Environment;
  readonly needs: ReadonlySet<Need>;
  readonly workload: WorkloadSettings;
  readonly processesCount: number;
  readonly sparedCount?: number;
  readonly seed: number;
  readonly variant?: VariantName;
  readonly resourcesEveryMS?: number;
  readonly sessionTimeoutMinutes?: number;
}

export interface Stage {
  readonly scene: Scene;
  readonly history: History;
  readonly probe: Probe;
  readonly stored: StoredChanges;
}

export const DB_NAME = 'fault_suite';
const OPLOG_SMALL_MB = 1;
const RESOURCES_EVERY_MS = 5_000;

/** Has the stage for as long as the work lasts. */
export async function onStage<T>(settings: StageSettings, work: (stage: Stage) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'fault-suite-'));
  const undo: (() => Promise<unknown>)[] = [
    () => rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }),
  ];
  try {
    return await work(await setUp(settings, folder, undo));
  } finally {
    for (const step of undo.reverse()) await step();
  }
}

async function setUp(settings: StageSettings, folder: string, undo: (() => Promise<unknown>)[]): Promise<Stage> {
  const { workload, seed, variant = 'real', needs, processesCount, sparedCount = 0 } = settings;
  const { resourcesEveryMS = RESOURCES_EVERY_MS } = settings;
  const history = new History();
  const disturbances = new Disturbances();
  const cluster = await startCluster(settings, folder);
  undo.push(() => cluster.stop());
  const observer = new Observer({ uri: cluster.uri, dbName: DB_NAME, ids: workload.ids, history });
  undo.push(() => observer.close().catch(() => {}));
  await observer.prepare();
  const stored = new StoredChanges(observer.db, { clocks: needs.has('clocks') ? 'of their own' : 'of the machine' });
  undo.push(() => stored.stop());
  await stored.start();
  const probe = new Probe(observer.db, disturbances);
  undo.push(() => probe.stop());
  const bridged = needs.has('bridge');
  const common = { cluster, history, seed, variant, bridged, workload, resourcesEveryMS };
  const processes = new Processes({ ...common, dbName: DB_NAME });
  undo.push(() => processes.end());
  const started = await processes.start(processesCount);
  const spared = new Set(started.slice(0, sparedCount).map(({ name }) => name));
  probe.start();
  const scene = { cluster, processes, observer, disturbances, chance: Chance.named(seed, 'faults'), spared };
  return { scene, history, probe, stored };
}

function startCluster(
  { binary, environment, needs, workload, sessionTimeoutMinutes }: StageSettings,
  folder: string,
): Promise<Cluster> {
  const { clockLibrary: library } = environment;
  return Cluster.start({
    binary,
    folder,
    bridgedMembers: needs.has('bridged members'),
    ...(sessionTimeoutMinutes !== undefined && { sessionTimeoutMinutes }),
    ...(workload.guard === 'transaction' && { transactionLifetimeS: TRANSACTION_LIFETIME_S }),
    ...(needs.has('small oplog') && { oplogSizeMB: OPLOG_SMALL_MB }),
    ...(needs.has('clocks') && library !== null && { clocks: { library, offsetsMS: [0, 0, 0] as const } }),
  });
}
