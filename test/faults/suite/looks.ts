/**
 * What the soak looks at between the legs of its run, when everything is whole again: in calm, while all work; at rest,
 * when every call has settled and nobody calls; and when all processes have closed. What should not be is waited for, with
 * a bound, because a server may be slow to notice; what is there past it is a finding. `soak.ts` makes one for each run.
 */
import { type Account, accountOf, type OpenCursor } from './account.js';
import type { Entry } from './facts.js';
import type { Rests } from './run.js';
import { IDLE_MS, LEASE_MS, PATROL_MS, SLACK_MS } from './settings.js';
import type { Stage } from './stage.js';
import { pass, until } from './waiting.js';

/** What is wrong, by its kind. */
export interface Leak {
  readonly kind: 'memory' | 'cursors' | 'connections' | 'handles' | 'left behind' | 'too short' | 'harness';
  readonly what: string;
}

/** One rest, for the record. */
export interface RestRecord {
  readonly name: string;
  /** Read while all worked, and at rest; left behind by faults, which a server ends with the driver session. */
  readonly readAtWorkCount: number;
  readonly readCount: number;
  readonly abandonedCount: number;
  /** Of the process that has most, to one member. */
  readonly connectionsCount: number;
  readonly allCursorsCount: number;
}

export interface LooksSettings {
  readonly legsCount: number;
  readonly resourcesEveryMS: number;
  /** Of the driver's pool in each process. */
  readonly maxPoolSize: number;
}

type Resources = Extract<Entry, { kind: 'resources' }>;

/** The shortest with which the driver still uses a session twice. */
const SESSION_TIMEOUT_MINUTES = 2;
/**
 * A stream that a fault took may leave its cursor where it cannot be reached; the server ends it with its driver session,
 * once nobody uses that any more: after the time above, and up to four rounds of the server's own.
 */
const ABANDONED_MAX_MS = 180_000;
/** A stream in a black hole gives up after 6 s. */
const SETTLE_MS = 7_000;
const CALM_LIMIT_MS = 20_000;
const REST_LIMIT_MS: number = IDLE_MS + LEASE_MS + PATROL_MS + 10 * SLACK_MS;
const GONE_LIMIT_MS = 10_000;
const LOOK_EVERY_MS = 500;
/** What the pool may have, and as many of the pool before it: a server is slow to notice which of them are gone. */
const OF_POOL_COUNT = 2;
/** The driver's own, that watch the members. */
const WATCHING_COUNT = 4;
/** Timers of the driver that watch the members come and go. */
const HANDLES_SLACK = 2;
/** Counted by the servers, who know to whom they go. */
const SOCKETS = 'TCPSocketWrap';

export class Looks implements Rests {
  readonly findings: Leak[] = [];
  readonly records: RestRecord[] = [];
  readonly legsCount: number;
  readonly resourcesEveryMS: number;
  readonly sessionTimeoutMinutes: number = SESSION_TIMEOUT_MINUTES;
  readonly #connectionsMax: number;
  /** What kept a process alive before it had done anything: the most of each name. */
  #baseline: Map<string, number> | null = null;
  /** Since when no fault excuses anything; wall clock, to be compared with the servers'. */
  #calmAt = Number.POSITIVE_INFINITY;
  #readAtWorkCount = 0;

  constructor({ legsCount, resourcesEveryMS, maxPoolSize }: LooksSettings) {
    this.legsCount = legsCount;
    this.resourcesEveryMS = resourcesEveryMS;
    this.#connectionsMax = OF_POOL_COUNT * maxPoolSize + WATCHING_COUNT;
  }

  readonly calm = async (stage: Stage): Promise<void> => {
    await pass(SETTLE_MS);
    const account = await this.#expect(stage, 'in calm', CALM_LIMIT_MS, (now) => this.#wrong(now, stage, 1));
    this.#readAtWorkCount = account?.cursors.filter(({ read }) => read).length ?? Number.NaN;
    this.#calmAt = Date.now();
  };

  readonly atRest = async (stage: Stage): Promise<void> => {
    const name = this.#baseline === null ? 'before' : `rest ${this.records.length}`;
    const account = await this.#expect(stage, `at ${name}`, REST_LIMIT_MS, async (now) => [
      ...this.#wrong(now, stage, 0),
      ...(await leftBehind(stage)),
    ]);
    await this.#compareHandles(stage, name);
    this.#record(name, account);
    this.#calmAt = Number.POSITIVE_INFINITY;
    this.#readAtWorkCount = 0;
  };

  readonly gone = async (stage: Stage): Promise<void> => {
    const account = await this.#expect(stage, 'when all had gone', GONE_LIMIT_MS, (now) => this.#wrong(now, stage, 0));
    this.#record('all gone', account);
  };

  /** Looks until nothing is wrong; what is wrong past the limit is found. Resolves with the last account. */
  async #expect(
    { scene, history }: Stage,
    when: string,
    limitMS: number,
    wrongIn: (account: Account) => Leak[] | Promise<Leak[]>,
  ): Promise<Account | null> {
    let account: Account | null = null;
    let wrong: Leak[] = [];
    const look = async (): Promise<boolean> => {
      try {
        account = await accountOf(scene.cluster, history);
        wrong = await wrongIn(account);
      } catch (error) {
        wrong = [{ kind: 'harness', what: String(error) }];
      }
      if (wrong.length > 0) await pass(LOOK_EVERY_MS);
      return wrong.length === 0;
    };
    await until(`nothing is wrong ${when}`, look, limitMS).catch(() => {});
    for (const { kind, what } of wrong) this.findings.push({ kind, what: `${when}: ${what}` });
    return account;
  }

  /** `each`: how many cursors a process that is alive may be reading. */
  #wrong(account: Account, { scene }: Stage, each: number): Leak[] {
    const alive = new Set(scene.processes.alive.map(({ name }) => name));
    return [...this.#wrongCursors(account, alive, each), ...this.#wrongConnections(account, alive)];
  }

  #wrongCursors({ cursors }: Account, alive: ReadonlySet<string>, each: number): Leak[] {
    const say = (what: string): Leak => ({ kind: 'cursors', what });
    const unread = cursors.filter(({ read }) => !read);
    const forgotten = unread.filter(({ usedAt }) => usedAt > this.#calmAt);
    const old = unread.filter(({ usedAt }) => Date.now() - usedAt > ABANDONED_MAX_MS);
    return [
      ...[...countsBy(cursors.filter(({ read }) => read))].flatMap(([owner, count]) => {
        const most = alive.has(owner) ? each : 0;
        return count <= most ? [] : [say(`${owner} reads ${count} cursors, and may read ${most}`)];
      }),
      ...[...countsBy(forgotten)].map(([owner, count]) => say(`${owner} left ${count} unread, and no fault was near`)),
      ...[...countsBy(old)].map(([owner, count]) =>
        say(`${count} of ${owner} unread for long, and the server keeps them`),
      ),
    ];
  }

  #wrongConnections({ connections }: Account, alive: ReadonlySet<string>): Leak[] {
    return [...connections].flatMap(([name, count]) => {
      const most = alive.has(name) ? this.#connectionsMax : 0;
      return count <= most
        ? []
        : [{ kind: 'connections', what: `${name} has ${count} to a member, and may have ${most}` }];
    });
  }

  /** Timers, pipes and whatever else keeps a process alive are what they were before it had done anything. */
  async #compareHandles(stage: Stage, name: string): Promise<void> {
    let wrong: Leak[] = [];
    const look = async (): Promise<boolean> => {
      const measured = await measure(stage);
      this.#baseline ??= mostOf(measured);
      const baseline = this.#baseline;
      wrong = measured.flatMap(({ process, handles }) => grownHandles(process, handles, baseline));
      if (wrong.length > 0) await pass(LOOK_EVERY_MS);
      return wrong.length === 0;
    };
    await until('handles are as before', look, REST_LIMIT_MS).catch((error: Error) => {
      if (wrong.length === 0) wrong = [{ kind: 'harness', what: error.message }];
    });
    for (const { kind, what } of wrong) this.findings.push({ kind, what: `at ${name}: ${what}` });
  }

  #record(name: string, account: Account | null): void {
    const { cursors = [], connections = new Map<string, number>(), allCursorsCount = Number.NaN } = account ?? {};
    this.records.push({
      name,
      readAtWorkCount: this.#readAtWorkCount,
      readCount: cursors.filter(({ read }) => read).length,
      abandonedCount: cursors.filter(({ read }) => !read).length,
      connectionsCount: Math.max(0, ...connections.values()),
      allCursorsCount,
    });
  }
}

async function leftBehind({ scene }: Stage): Promise<Leak[]> {
  return (await scene.observer.leftovers()).map((what) => ({ kind: 'left behind', what }));
}

/** Has each process tell what it takes now. */
async function measure({ scene, history }: Stage): Promise<Resources[]> {
  const { alive } = scene.processes;
  const from = history.entries.length;
  for (const each of alive) each.send({ kind: 'measure' });
  const told = (): Resources[] =>
    history.entries.slice(from).filter((entry): entry is Resources => entry.kind === 'resources' && entry.atRest);
  await until('every process has told what it takes', () => told().length >= alive.length);
  return told();
}

function mostOf(measured: readonly Resources[]): Map<string, number> {
  const most = new Map<string, number>();
  for (const [name, count] of measured.flatMap(({ handles }) => Object.entries(handles)))
    most.set(name, Math.max(count, most.get(name) ?? 0));
  return most;
}

function grownHandles(process: string, handles: Resources['handles'], baseline: ReadonlyMap<string, number>): Leak[] {
  return Object.entries(handles).flatMap(([name, count]) => {
    const before = baseline.get(name) ?? 0;
    if (name === SOCKETS || count <= before + HANDLES_SLACK) return [];
    return [{ kind: 'handles', what: `${process} has ${count} ${name}, and had ${before} before it did anything` }];
  });
}

function countsBy(cursors: readonly OpenCursor[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { owner } of cursors) counts.set(owner, (counts.get(owner) ?? 0) + 1);
  return counts;
}
