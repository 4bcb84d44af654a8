/**
 * One run of the table: processes work, faults come one after the other, then quiet, and the verdict on what was
 * recorded. `main.ts` and the short test call it with a row.
 */
import { LockClient } from 'mongo-distributed-locks';
import { nowMS } from '../../../packages/examples/src/demo/clock.js';
import type { Chance } from '../../simulation/chance.js';
import { type Finding, judge, type Run, type Verdict } from './checker.js';
import { type Excerpt, shortestExcerpt } from './excerpt.js';
import { RESOURCE, type VariantName } from './facts.js';
import type { Environment } from './faults/fault.js';
import type { History } from './history.js';
import { CLOCK_SKEW_MS, LEASE_MS, PATROL_MS, RECOVERY_BOUND_MS, SLACK_MS, TRANSACTION_EXCESS_MS } from './settings.js';
import { DB_NAME, onStage, type Stage } from './stage.js';
import type { Row } from './table.js';
import { during, pass, until } from './waiting.js';

export interface RunSettings {
  readonly row: Row;
  readonly seed: number;
  readonly binary: string;
  readonly environment: Environment;
  readonly variant?: VariantName;
  /** Told of each step, as it is taken. */
  readonly say?: (line: string) => void;
  readonly rests?: Rests;
}

/** A run in legs: what is looked at between them. None of it may throw. */
export interface Rests {
  readonly legsCount: number;
  readonly resourcesEveryMS: number;
  readonly sessionTimeoutMinutes: number;
  /** Everything is whole again, and everybody works. */
  readonly calm: (stage: Stage) => Promise<void>;
  /** Nobody has called yet, or every call has settled. */
  readonly atRest: (stage: Stage) => Promise<void>;
  /** Every process has closed. */
  readonly gone: (stage: Stage) => Promise<void>;
}

export interface RunResult {
  readonly row: Row;
  readonly seed: number;
  readonly verdict: Verdict;
  readonly excerpt: Excerpt | null;
  /** How often each fault happened. */
  readonly faults: ReadonlyMap<string, number>;
  /** How long majority writes took meanwhile. */
  readonly writesMS: readonly number[];
  readonly tookMS: number;
  readonly history: History;
}

/** Why a row cannot be tried here: one line for each of its faults that cannot. */
export function missing(row: Row, environment: Environment): string[] {
  return row.faults.flatMap((fault) => {
    const answer = fault.available(environment);
    return answer === true ? [] : [`${fault.name}: ${answer}`];
  });
}

function possible({ faults }: Row, environment: Environment): Row['faults'] {
  return faults.filter((fault) => fault.available(environment) === true);
}

/** Runs a row with those of its faults that can be tried here. */
export async function run(settings: RunSettings): Promise<RunResult> {
  const { row, seed, binary, environment, variant = 'real', rests } = settings;
  const startedAt = nowMS();
  const needs = new Set(possible(row, environment).flatMap((fault) => fault.needs));
  const { workload, processesCount, sparedCount } = row;
  const about = { binary, environment, needs, workload, processesCount, sparedCount, seed, variant };
  const looks = rests && {
    resourcesEveryMS: rests.resourcesEveryMS,
    sessionTimeoutMinutes: rests.sessionTimeoutMinutes,
  };
  return onStage({ ...about, ...looks }, async (stage) => {
    const play = new Play(settings, stage);
    const recorded = await play.perform();
    const verdict = withDud(judge(recorded), recorded, settings);
    const { disturbances } = stage.scene;
    const excerpt = shortestExcerpt(verdict.findings, recorded.entries, disturbances.all);
    const faults = disturbances.counts();
    const { history, probe } = stage;
    return { row, seed, verdict, excerpt, faults, history, writesMS: probe.tookMS, tookMS: nowMS() - startedAt };
  });
}

/** A run in which none of its faults happened has tried nothing. */
function withDud(verdict: Verdict, { disturbances }: Run, { row, environment }: RunSettings): Verdict {
  const names = new Set(possible(row, environment).map(({ name }) => name));
  if (row.faults.length === 0 || disturbances.some(({ fault }) => names.has(fault))) return verdict;
  const what = 'none of the faults of this run happened';
  const dud: Finding = { kind: 'trouble', what, callers: [], from: 0, to: 0 };
  return { ...verdict, findings: [...verdict.findings, dud] };
}

/** For what takes a few leases at most when nothing is wrong. */
const QUIET_LIMIT_MS = 30_000;

class Play {
  readonly #settings: RunSettings;
  readonly #stage: Stage;
  /** The faults whose turn is still to come. */
  #turn: Row['faults'] = [];

  constructor(settings: RunSettings, stage: Stage) {
    this.#settings = settings;
    this.#stage = stage;
  }

  /** The time in which things happen, then quiet: everything healed, every call settled, every process gone. */
  async perform(): Promise<Run> {
    const { row } = this.#settings;
    const { scene, probe, stored, history } = this.#stage;
    await this.#work();
    if (row.each && this.#untried().length > 0)
      await during(row.durationMS, (time) => this.#disturb(time, () => this.#untried().length === 0));
    this.#say('healing');
    await scene.cluster.heal();
    this.#say('finishing');
    await this.#quieten();
    await this.#settings.rests?.gone(this.#stage);
    await probe.stop();
    this.#say('looking for what is left');
    const leftovers = await this.#leftovers();
    await stored.catchUp(QUIET_LIMIT_MS);
    return {
      entries: history.entries,
      disturbances: scene.disturbances.all,
      stored: stored.all,
      storedComplete: stored.complete,
      guarded: await scene.observer.readGuarded(),
      keepsElements: row.workload.keepsElements,
      leftovers,
      clockExcessMS: row.clockExcessMS,
      transactionExcessMS: transactionExcessMS(row),
    };
  }

  async #work(): Promise<void> {
    const { row, rests } = this.#settings;
    await rests?.atRest(this.#stage);
    await this.#leg(row.durationMS / (rests?.legsCount ?? 1));
    for (let leg = 2; rests !== undefined && leg <= rests.legsCount; leg += 1) {
      await this.#rest(rests);
      await this.#leg(row.durationMS / rests.legsCount);
    }
    if (rests !== undefined) await this.#rest(rests);
  }

  async #leg(durationMS: number): Promise<void> {
    this.#stage.scene.processes.order({ kind: 'start' });
    await during(durationMS, async (time) => {
      await this.#disturb(time);
      await pass(durationMS, time);
    });
  }

  async #rest({ calm, atRest }: Rests): Promise<void> {
    const { cluster, processes } = this.#stage.scene;
    this.#say('resting');
    await cluster.heal();
    await calm(this.#stage);
    await processes.finish(QUIET_LIMIT_MS).catch((error: Error) => this.#trouble(error.message));
    // What the dead hold is found by who comes.
    await this.#examine();
    await atRest(this.#stage);
  }

  /** Faults for which there was no occasion yet. */
  #untried(): Row['faults'] {
    const { row, environment } = this.#settings;
    const counts = this.#stage.scene.disturbances.counts();
    return possible(row, environment).filter(({ name }) => !counts.has(name));
  }

  async #disturb(time: AbortSignal, enough: () => boolean = () => false): Promise<void> {
    const { row, environment } = this.#settings;
    const { scene } = this.#stage;
    const faults = possible(row, environment);
    if (faults.length === 0) return;
    // Round and round in an order of their own, so that each has its turn.
    while (!time.aborted && !enough()) {
      await pass(scene.chance.between(...row.calmMS), time);
      if (this.#turn.length === 0) this.#turn = shuffled(faults, scene.chance);
      const fault = this.#turn.at(-1);
      if (time.aborted || fault === undefined) break;
      this.#turn = this.#turn.slice(0, -1);
      this.#say(fault.name);
      await fault.inject(scene, time).catch((error: Error) => this.#trouble(`${fault.name}: ${error.message}`));
    }
  }

  async #quieten(): Promise<void> {
    const { processes } = this.#stage.scene;
    try {
      await processes.finish(QUIET_LIMIT_MS);
      await this.#examine();
      await processes.close(QUIET_LIMIT_MS);
    } catch (error) {
      this.#trouble((error as Error).message);
    }
  }

  /** Somebody who comes when all have gone gets every lock, within the bound: what the dead hold is found by a wait. */
  async #examine(): Promise<void> {
    const { row } = this.#settings;
    const { client } = this.#stage.scene.observer;
    const options = { leaseDurationMS: LEASE_MS, clockSkewMS: CLOCK_SKEW_MS, logger: { error: () => {} } };
    const locks = new LockClient({ client, dbName: DB_NAME, ...options });
    const limitMS = RECOVERY_BOUND_MS + SLACK_MS + row.clockExcessMS + transactionExcessMS(row);
    try {
      for (const id of row.workload.ids) {
        const lock = await locks.lock({ resource: RESOURCE, id, timeoutMS: limitMS });
        await lock.unlock();
      }
    } catch (error) {
      this.#trouble(`who came last was not granted within ${limitMS} ms: ${String(error)}`);
    } finally {
      await locks.close();
    }
  }

  /** What is there one lease after all have gone. */
  async #leftovers(): Promise<string[]> {
    const { observer } = this.#stage.scene;
    let left: string[] = [];
    const nothing = async (): Promise<boolean> => {
      left = await observer.leftovers();
      return left.length === 0;
    };
    // What a lease is left to a session that ended without a word is counted by the servers' clocks.
    const { row } = this.#settings;
    const limitMS = LEASE_MS + PATROL_MS + SLACK_MS + row.clockExcessMS + transactionExcessMS(row);
    await until('nothing is left', nothing, limitMS).catch(() => {});
    return left;
  }

  #say(line: string): void {
    this.#settings.say?.(line);
  }

  #trouble(message: string): void {
    this.#say(message);
    this.#stage.history.add('harness', { kind: 'trouble', message, at: nowMS() });
  }
}

function transactionExcessMS({ workload }: Row): number {
  return workload.guard === 'transaction' ? TRANSACTION_EXCESS_MS : 0;
}

function shuffled<T>(items: readonly T[], chance: Chance): T[] {
  const rest = [...items];
  const result: T[] = [];
  while (rest.length > 0) result.push(...rest.splice(chance.whole(0, rest.length - 1), 1));
  return result;
}
