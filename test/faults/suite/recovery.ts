/**
 * How long faults cost, measured: from the fault to the moment at which the next caller has the lock, beside what is
 * promised. Real processes on a real replica set; each figure is of so many repeats. Prints a table in Markdown. Called by
 * `main.ts`.
 */
import { nowMS } from '../../../packages/examples/src/demo/clock.js';
import type { Environment, Need, Scene } from './faults/fault.js';
import { fold } from './history.js';
import type { ContendingProcess } from './processes.js';
import { percentile, table } from './report.js';
import { LEASE_MS, PATROL_MS, RECOVERY_BOUND_MS } from './settings.js';
import { onStage, type Stage } from './stage.js';
import { until } from './waiting.js';
import { WORKLOADS } from './workloads.js';

export interface RecoverySettings {
  readonly repeatsCount: number;
  /** Words of which a measurement's name must have one; all where there is none. */
  readonly only: readonly string[];
  readonly seed: number;
  readonly binary: string;
  readonly environment: Environment;
  readonly say: (line: string) => void;
}

/** One measurement: what it is, what is promised, and one repeat of it in milliseconds. */
interface Measurement {
  readonly what: string;
  readonly promised: string;
  readonly boundMS: number;
  once(bench: Bench): Promise<number>;
}

const ID = 'a';
const PROCESSES_COUNT = 3;
const DEAD_COUNT = 5;

/** What a measurement works with: calls that are told when to begin and to end. */
class Bench {
  readonly #stage: Stage;
  #callsCount = 0;

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  get scene(): Scene {
    return this.#stage.scene;
  }

  /** So many processes that run; killed ones are replaced first. */
  async processes(count: number): Promise<ContendingProcess[]> {
    const { processes } = this.scene;
    const short = count - processes.alive.length;
    if (short > 0) await processes.start(short);
    return processes.alive.slice(0, count);
  }

  /** Has a process call; resolves with the caller's name when it holds, or has arrived in the queue. */
  async call(by: ContendingProcess, state: 'holds' | 'waits', holdMS?: number): Promise<string> {
    this.#callsCount += 1;
    const caller = `${by.name}.${this.#callsCount}`;
    by.send({ kind: 'call', caller, id: ID, ...(holdMS !== undefined && { holdMS }) });
    const wanted = state === 'holds' ? 'granted' : 'arrived';
    await until(`${caller} ${state}`, () => this.#instant(caller, wanted));
    return caller;
  }

  release(by: ContendingProcess, caller: string): void {
    by.send({ kind: 'release', caller });
  }

  async granted(caller: string): Promise<number> {
    return until(`${caller} holds`, () => this.#instant(caller, 'granted'));
  }

  /** Resolves when the caller has given the lock back. */
  async released(caller: string): Promise<void> {
    await until(`${caller} has released`, () => this.#instant(caller, 'released'));
  }

  instantOf(caller: string, kind: 'releasing'): number {
    return this.#instant(caller, kind) ?? Number.NaN;
  }

  /** All grants until now. */
  grants(): number[] {
    return fold(this.#stage.history.entries).calls.flatMap(({ grantedAt }) => grantedAt ?? []);
  }

  #instant(caller: string, kind: 'granted' | 'arrived' | 'releasing' | 'released'): number | null {
    const { entries } = this.#stage.history;
    const entry = entries.findLast((each) => each.kind === kind && 'caller' in each && each.caller === caller);
    return entry?.at ?? null;
  }
}

const holderKilled: Measurement = {
  what: '`kill -9` of the holder, others wait',
  promised: 'what is left of the lease + 2 patrols (others saw its beats stand still), else + `clockSkewMS` + 1 patrol',
  boundMS: RECOVERY_BOUND_MS,
  once: async (bench) => {
    const [holder, next] = (await bench.processes(2)) as [ContendingProcess, ContendingProcess];
    await bench.call(holder, 'holds');
    const waiting = await bench.call(next, 'waits', 0);
    const at = nowMS();
    await holder.kill();
    const tookMS = (await bench.granted(waiting)) - at;
    await bench.released(waiting);
    return tookMS;
  },
};

function headsKilled(count: number): Measurement {
  return {
    what: `${count} dead waiter${count === 1 ? '' : 's'} at the head, killed at once; from the release on`,
    promised: 'as for one',
    boundMS: RECOVERY_BOUND_MS,
    once: async (bench) => {
      const all = await bench.processes(count + 2);
      const [holder, last, ...heads] = all as [ContendingProcess, ContendingProcess, ...ContendingProcess[]];
      const held = await bench.call(holder, 'holds');
      for (const head of heads) await bench.call(head, 'waits', 0);
      const waiting = await bench.call(last, 'waits', 0);
      await Promise.all(heads.map((head) => head.kill()));
      bench.release(holder, held);
      const grantedAt = await bench.granted(waiting);
      await bench.released(waiting);
      return grantedAt - bench.instantOf(held, 'releasing');
    },
  };
}

/** The longest time without a grant around something that is done while the lock goes round. */
function around(what: string, promised: string, act: (scene: Scene) => Promise<void>): Measurement {
  const once = async (bench: Bench): Promise<number> => {
    const all = await bench.processes(PROCESSES_COUNT);
    let over = false;
    const goRound = async (by: ContendingProcess): Promise<void> => {
      while (!over) await bench.released(await bench.call(by, 'holds', 1));
    };
    const rounds = all.map(goRound);
    const from = nowMS();
    await until('the lock goes round', () => bench.grants().filter((at) => at > from).length > 20);
    const at = nowMS();
    await act(bench.scene);
    await until('it goes round again', () => bench.grants().filter((grant) => grant > at).length > 20);
    over = true;
    await Promise.all(rounds);
    return longestGap(bench.grants().filter((grant) => grant > from));
  };
  return { what, promised, boundMS: Number.POSITIVE_INFINITY, once };
}

function longestGap(instants: readonly number[]): number {
  const sorted = [...instants].sort((a, b) => a - b);
  return Math.max(...sorted.slice(1).map((at, index) => at - (sorted[index] ?? at)));
}

const ELECTION = 'as long as no member is primary, and a retry';

const MEASUREMENTS: readonly Measurement[] = [
  holderKilled,
  headsKilled(1),
  headsKilled(DEAD_COUNT),
  around('primary killed', ELECTION, async ({ cluster }) => {
    const primary = await until('there is a primary', () => cluster.primary());
    await primary.kill();
    await until('there is another', () => cluster.primary());
    await primary.start();
  }),
  around('stepdown of the primary', ELECTION, async ({ cluster }) => {
    const primary = await until('there is a primary', () => cluster.primary());
    await primary.command({ replSetStepDown: 3, secondaryCatchUpPeriodSecs: 2 }).catch(() => {});
    await until('there is another', () => cluster.primary());
  }),
  around('connections of all processes reset', 'a reconnect; 1 patrol where a grant was not told', async (scene) => {
    const { cluster, processes } = scene;
    for (const { name } of processes.alive) for (const { index } of cluster.members) cluster.bridge.reset(name, index);
  }),
  around('cursors of all streams killed', '1 patrol where a grant was not told', async ({ observer }) => {
    await observer.killCursors((await observer.streams()).map(({ cursor }) => cursor));
  }),
];

/** Whether everything stayed in its bound. */
export async function measureRecovery(settings: RecoverySettings): Promise<boolean> {
  const { repeatsCount, only, seed, binary, environment, say } = settings;
  const needs = new Set<Need>(environment.platform === 'linux' ? ['bridge'] : []);
  const about = { binary, environment, seed, needs, workload: WORKLOADS.told, processesCount: PROCESSES_COUNT };
  const chosen = MEASUREMENTS.filter(({ what }) => only.length === 0 || only.some((word) => what.includes(word)));
  const rows: string[][] = [];
  let kept = true;
  for (const { what, promised, boundMS, once } of chosen) {
    const tookMS = await onStage(about, async (stage) => {
      const bench = new Bench(stage);
      const figures: number[] = [];
      for (let time = 0; time < repeatsCount; time += 1) {
        figures.push(await once(bench));
        say(`${what}: ${Math.round(figures.at(-1) ?? Number.NaN)} ms`);
      }
      return figures;
    });
    const worst = Math.max(...tookMS);
    kept &&= worst <= boundMS;
    const bound = Number.isFinite(boundMS) ? `${Math.round(boundMS)} ms` : '–';
    rows.push([what, ms(percentile(tookMS, 0.5)), ms(worst), bound, promised]);
  }
  console.log(`Lease ${LEASE_MS} ms, patrol ${Math.round(PATROL_MS)} ms, ${repeatsCount} repeats each.\n`);
  console.log(table(['what', 'p50', 'worst', 'bound', 'promised'], rows));
  return kept;
}

function ms(value: number): string {
  return `${Math.round(value)} ms`;
}
