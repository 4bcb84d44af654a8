/**
 * What it costs at a size that no test machine has: many real engines over one simulated store, undisturbed, and every command they send counted by
 * its name. Time is simulated, so only counts mean anything. Called by `scale.test.ts`.
 */
import type { Engine, EngineOptions } from '#core/engine/engine.js';
import type { AcquireRequest } from '#core/engine/request.js';
import { Chance } from './chance.js';
import { Commands } from './commands.js';
import { realEngine } from './engine-module.js';
import { type Command, Link, type LinkSettings } from './link.js';
import { ReplicaSet } from './replica-set.js';
import { type FeedSettings, SimFeed } from './sim-feed.js';
import { SimProcess } from './sim-process.js';
import { SimStore } from './sim-store.js';
import { World } from './world.js';

export interface ScaleSettings {
  readonly processesCount: number;
  /** Callers of each process, which all want the one contended lock, and come again as soon as served. */
  readonly callersEach?: number;
  /** Locks of its own that each process holds throughout. */
  readonly heldEach?: number;
  readonly holdMS?: number;
  readonly runMaxCount?: number;
  /** How long is counted, when all wait. */
  readonly windowMS: number;
}

export interface ScaleCounts {
  readonly grantsCount: number;
  /** By the names of the protocol page. */
  readonly commands: Readonly<Record<string, number>>;
  readonly streamsCount: number;
  /** Writes to the two collections: each open stream is shown every one of them by the server. */
  readonly writesCount: number;
}

/** As by default. */
const OPTIONS = {
  leaseDurationMS: 30_000,
  heartbeatIntervalMS: 10_000,
  deadlineMarginMS: 3_000,
  patrolIntervalMS: 5_000,
  clockSkewMS: 10_000,
  idleMS: 10_000,
  runMaxCount: 1_024,
  waitersMaxCount: 100_000,
  releaseLostLocks: 'at-once',
} as const;
const LINK: LinkSettings = {
  delayMS: [0.1, 0.3],
  slowRate: 0,
  slowMS: [0, 0],
  loseRequestRate: 0,
  loseReplyRate: 0,
  silentRate: 0,
  errorMS: [0, 0],
  copyRate: 0,
  copyMS: [0, 0],
};
const FEED: FeedSettings = {
  delayMS: [0.1, 0.3],
  openMS: [1, 5],
  loseRate: 0,
  repeatRate: 0,
  repeatMS: [0, 0],
  overtakeRate: 0,
  overtakeMS: [0, 0],
  replaceRate: 0,
  freshRate: 0,
};
/** Long enough for everybody to arrive, one after the other, and for the first patrols. */
const SETTLING_MS = 25_000;
const CONTENDED = 'lock:contended/1';

/** A link that counts what it carries. */
class CountingLink extends Link {
  readonly #counts: Map<string, number>;

  constructor(given: ConstructorParameters<typeof Link>[0], counts: Map<string, number>) {
    super(given);
    this.#counts = counts;
  }

  override send<T>(command: Command<T>): Promise<T> {
    this.#counts.set(command.name, (this.#counts.get(command.name) ?? 0) + 1);
    return super.send(command);
  }
}

interface Member {
  readonly engine: Engine;
  readonly process: SimProcess;
  readonly feed: SimFeed;
}

export async function countAtScale(settings: ScaleSettings): Promise<ScaleCounts> {
  const { processesCount, callersEach = 0, heldEach = 0, holdMS = 5, windowMS } = settings;
  const world = new World();
  const set = new ReplicaSet(world, Chance.named(1, 'replica set'), { commitMS: [0.5, 1.5], stepMS: [0, 0.1] });
  const counts = new Map<string, number>();
  const options = { ...OPTIONS, ...(settings.runMaxCount !== undefined && { runMaxCount: settings.runMaxCount }) };
  const members = Array.from({ length: processesCount }, (_, index) =>
    makeMember({ index, world, set, counts, options }),
  );
  let grantsCount = 0;
  let writesCount = 0;
  const onApplied = (): void => {
    writesCount += 1;
  };
  set.listen({ onApplied, onCommitted: () => {} });
  const again = async ({ engine, process }: Member): Promise<never> => {
    for (;;) {
      const hold = await engine.acquire(requestOf(CONTENDED));
      grantsCount += 1;
      await new Promise<void>((resolve) => process.clock.setTimer(resolve, holdMS));
      await hold.release();
    }
  };
  members.forEach((member, index) => {
    world.at(index, () =>
      member.process.deliver('calls', () => {
        for (let count = 0; count < heldEach; count += 1)
          void member.engine.acquire(requestOf(`lock:${index}/${count}`));
        for (let count = 0; count < callersEach; count += 1) void again(member);
      }),
    );
  });
  await world.runUntil(SETTLING_MS, () => true);
  counts.clear();
  grantsCount = 0;
  writesCount = 0;
  await world.runUntil(SETTLING_MS + windowMS, () => true);
  const streamsCount = members.reduce((sum, { feed }) => sum + feed.streamsCount, 0);
  return { grantsCount, commands: Object.fromEntries(counts), streamsCount, writesCount };
}

function requestOf(key: string): AcquireRequest {
  return { key, resource: key, id: 1, timeoutMS: Number.POSITIVE_INFINITY };
}

function makeMember({
  index,
  world,
  set,
  counts,
  options,
}: {
  readonly index: number;
  readonly world: World;
  readonly set: ReplicaSet;
  readonly counts: Map<string, number>;
  readonly options: EngineOptions;
}): Member {
  const name = `P${index}`;
  const chance = Chance.named(index, name);
  const process = new SimProcess({ name, world, chance, rate: 1, timerLateMS: 0, traceLines: null });
  const { errors } = realEngine;
  const shared = { world, chance, set, process };
  const link = new CountingLink({ ...shared, settings: LINK, outages: [], errors, disturb: () => {} }, counts);
  const feed = new SimFeed({ ...shared, link, settings: FEED, gaps: [] });
  const engine = new realEngine.Engine({
    options,
    store: new SimStore(link, new Commands(set, name, new Set())),
    feed,
    clock: process.clock,
    random: { id: () => `${name}s1`, fraction: () => chance.fraction() },
    host: name,
    pid: 1,
    listens: () => false,
    emit: () => {},
  });
  return { engine, process, feed };
}
