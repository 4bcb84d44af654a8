/**
 * One run: the real engines of a scenario's processes, their callers and the faults, from the first call until
 * everything has come to rest. The same scenario always runs the same way. Called by the tests, the shrinker and the
 * replay command.
 */
import type { Engine } from '#core/engine/engine.js';
import { callersCount, parseGrant } from '#core/protocol/grant.js';
import { Chance } from './chance.js';
import { Commands, type Condition, sessionId } from './commands.js';
import { type EngineModule, realEngine } from './engine-module.js';
import { Link, SILENT_PEER_MS } from './link.js';
import { LostLocks } from './lost-locks.js';
import { type CallRecord, type HoldRecord, Observer, type Times, type Violation } from './observer.js';
import { type LockDoc, ReplicaSet } from './replica-set.js';
import type { CallPlan, Fault, ForceFault, LagFault, ProcessPlan, Scenario } from './scenario.js';
import { SimFeed } from './sim-feed.js';
import { SimProcess } from './sim-process.js';
import { SimStore } from './sim-store.js';
import { Traces } from './traces.js';
import { World } from './world.js';

export interface RunSettings {
  readonly trace?: boolean;
  readonly engine?: EngineModule;
  /** Conditions of the store's commands that are switched off. */
  readonly off?: ReadonlySet<Condition>;
}

export interface RunResult {
  readonly violation: Violation | null;
  readonly stepsCount: number;
  readonly callsCount: number;
  readonly grantsCount: number;
  readonly commandsCount: number;
  /** How many forced releases said that they ended a run, and how many callers have lost their place by it. */
  readonly forcesCount: number;
  readonly displacedCount: number;
  /** How many lost holds were kept for their callers to release. */
  readonly keptCount: number;
  /** How many holds were told by which span the lock was held before. */
  readonly toldCount: number;
  readonly trace: readonly string[];
}

interface Member {
  readonly plan: ProcessPlan;
  readonly process: SimProcess;
  readonly engine: Engine;
  readonly link: Link;
  readonly feed: SimFeed;
  readonly store: SimStore;
  readonly aborts: Set<{
    left: number;
    readonly when: 'before' | 'after';
    readonly turns: number;
    readonly abort: () => void;
  }>;
}

/** How long, at most, everything may take after the last planned event. */
const PATIENCE_MS = 180_000;
const PROGRESS_CHECK_MS = 50;
/** How often, and how many times, a forced release looks for somebody who holds the lock. */
const FORCE_LOOK_MS = 2;
const FORCE_LOOKS_MAX = 250;

export async function runScenario(scenario: Scenario, settings: RunSettings = {}): Promise<RunResult> {
  const run = new Run(scenario, settings);
  const onUnhandled = (reason: unknown): void => run.observer.unhandled(reason);
  process.on('unhandledRejection', onUnhandled);
  try {
    await run.play();
  } finally {
    process.off('unhandledRejection', onUnhandled);
  }
  return run.result();
}

class Run {
  readonly observer: Observer;
  readonly #scenario: Scenario;
  readonly #engineModule: EngineModule;
  readonly #off: ReadonlySet<Condition>;
  readonly #world = new World();
  readonly #set: ReplicaSet;
  readonly #members: Member[];
  readonly #trace: string[] | null;
  /** Lags that wait for a grant to be delivered. */
  readonly #aimed: LagFault[] = [];
  #callsLeft = 0;
  #callsSeen = 0;

  constructor(scenario: Scenario, settings: RunSettings) {
    this.#scenario = scenario;
    this.#engineModule = settings.engine ?? realEngine;
    this.#off = settings.off ?? new Set();
    this.#trace = settings.trace ? [] : null;
    const { seed, commitMS, stepMS } = scenario;
    this.#set = new ReplicaSet(this.#world, Chance.named(seed, 'replica set'), { commitMS, stepMS });
    const about = { traces: new Traces(seed), lostLocks: new LostLocks(keepersOf(scenario)) };
    this.observer = new Observer(this.#world, this.#set, timesOf(scenario), about);
    if (this.#trace !== null) this.#traceOplog(this.#trace);
    this.#members = scenario.processes.map((plan) => this.#makeMember(plan));
  }

  result(): RunResult {
    return {
      violation: this.observer.violation,
      stepsCount: this.#world.stepsCount,
      callsCount: this.observer.calls.length,
      grantsCount: this.observer.holds.length,
      commandsCount: this.#members.reduce((sum, { link }) => sum + link.sentCount, 0),
      forcesCount: this.observer.forces.calls.filter(({ answer }) => answer === true).length,
      displacedCount: this.observer.calls.filter(({ displaced }) => displaced !== null).length,
      keptCount: this.observer.lostLocks.keptCount,
      toldCount: this.observer.traces.toldCount,
      trace: this.#trace ?? [],
    };
  }

  async play(): Promise<void> {
    for (const plan of this.#scenario.calls) this.#world.at(plan.atMS, () => this.#startCall(plan));
    for (const fault of this.#scenario.faults) this.#world.at(fault.atMS, () => this.#inflict(fault));
    this.#callsLeft = this.#scenario.calls.length;
    this.#everyNowAndThen();
    const lastPlannedMS = Math.max(
      0,
      ...this.#scenario.calls.map(({ atMS }) => atMS),
      ...this.#scenario.faults.map(endOf),
    );
    await this.#runUntil(lastPlannedMS);
    await this.#runUntil(lastPlannedMS + PATIENCE_MS, () => this.#settled);
    if (this.observer.violation !== null) return;
    for (const { link } of this.#members) link.calm = true;
    await this.#runUntil(this.#world.nowMS + this.#restMS());
    if (this.observer.violation === null) this.#checkEnd();
  }

  /** Runs until that instant, something is broken, or `enough`. */
  async #runUntil(instantMS: number, enough: () => boolean = () => false): Promise<void> {
    if (this.observer.violation !== null) return;
    await this.#world.runUntil(instantMS, () => {
      this.observer.afterStep();
      this.#checkWaiters();
      return this.observer.violation === null && !enough();
    });
  }

  /** How many wait has a limit: looked at when somebody has called. */
  #checkWaiters(): void {
    const { calls } = this.observer;
    for (; this.#callsSeen < calls.length; this.#callsSeen += 1) {
      const process = calls[this.#callsSeen]?.process;
      const limit = this.#members.find((member) => member.process === process)?.plan.options.waitersMaxCount ?? 0;
      const count = calls.filter((call) => call.process === process && call.waiting).length;
      this.observer.bounded(`waiters of ${process?.name}`, count, limit);
    }
  }

  get #settled(): boolean {
    if (this.#callsLeft > 0) return false;
    const { calls, holds, forces } = this.observer;
    const asks = forces.calls.some(({ answer, process }) => answer === null && process.state !== 'dead');
    return !asks && calls.every((call) => !call.waiting) && holds.every((record) => record.over);
  }

  /** One lease, and what it takes to notice that nothing is needed any more. */
  #restMS(): number {
    const leases = this.#scenario.processes.map(({ options }) => options.leaseDurationMS);
    return 3 * Math.max(...leases) + 10_000 + (losesMessages(this.#scenario) ? SILENT_PEER_MS : 0);
  }

  #everyNowAndThen(): void {
    this.observer.checkProgress();
    this.observer.checkStrays();
    this.#removeIdleLocks();
    this.#world.in(PROGRESS_CHECK_MS, () => this.#everyNowAndThen());
  }

  #removeIdleLocks(): void {
    const beforeMS = this.#set.wallMS - this.#scenario.idleLockTtlMS;
    for (const doc of [...this.#set.applied.values()]) {
      const idle = doc.kind === 'lock' && doc.vacantAt !== null && doc.vacantAt < beforeMS;
      if (idle) this.#set.write(doc.id, null, { process: 'server', command: 'TTL' });
    }
  }

  // --- processes --------------------------------------------------------------------------------------------------

  #makeMember(plan: ProcessPlan): Member {
    const { seed } = this.#scenario;
    const world = this.#world;
    const chance = Chance.named(seed, `run of ${plan.name}`);
    const { name, clockRate: rate, timerLateMS } = plan;
    const process = new SimProcess({ name, world, chance, rate, timerLateMS, traceLines: this.#trace });
    const network = Chance.named(seed, `network of ${name}`);
    const errors = this.#engineModule.errors;
    const link = new Link({
      world,
      chance: network,
      set: this.#set,
      process,
      settings: plan.link,
      outages: plan.outages,
      errors,
      disturb: () => this.observer.disturb(),
      readsWait: !this.#off.has('read-after-what-was-told'),
    });
    const feedChance = Chance.named(seed, `feed of ${name}`);
    const { feed: feedSettings, gaps } = plan;
    const feed = new SimFeed({
      world,
      chance: feedChance,
      set: this.#set,
      process,
      link,
      settings: feedSettings,
      gaps,
      onForced: (fact) => this.observer.telling(process, fact),
      movesReadsOn: !this.#off.has('event-moves-reads-on'),
      onGrantTold: () => this.#world.in(0, () => this.#strike()),
    });
    const store = this.#watch(new SimStore(link, new Commands(this.#set, name, this.#off)), process);
    const aborts: Member['aborts'] = new Set();
    process.onDelivery = (when) => countDown(aborts, when);
    const engine = this.#makeEngine(plan, process, { store, feed });
    return { plan, process, engine, link, feed, store, aborts };
  }

  #watch(store: SimStore, process: SimProcess): SimStore {
    const arrive = store.arrive.bind(store);
    store.arrive = (request) => {
      this.observer.arriving(process, request);
      return arrive(request);
    };
    const readGrantsOf = store.readGrantsOf.bind(store);
    store.readGrantsOf = (request) => {
      if (request.session.startsWith(`${process.name}s`)) this.observer.auditing(request.session);
      return readGrantsOf(request);
    };
    return store;
  }

  #makeEngine(plan: ProcessPlan, process: SimProcess, ports: { store: SimStore; feed: SimFeed }): Engine {
    const chance = Chance.named(this.#scenario.seed, `ids of ${plan.name}`);
    let sessionsCount = 0;
    const id = (): string => {
      sessionsCount += 1;
      return `${plan.name}s${sessionsCount}`;
    };
    return new this.#engineModule.Engine({
      options: plan.options,
      ...ports,
      clock: process.clock,
      random: { id, fraction: () => chance.fraction() },
      host: plan.name,
      pid: 1,
      listens: () => false,
      emit: (name, ...payload) => this.#onEvent(process, name, payload[0] as EventPayload),
    });
  }

  #onEvent(process: SimProcess, name: string, event: EventPayload): void {
    if (this.#trace !== null) process.trace(`** ${name} ${describe(event)}`);
    if (name === 'waiting' && event.label !== undefined) this.observer.announced(event.label);
    if (name === 'lost') {
      const closed = (event.error as { cause?: { code?: string } }).cause?.code === 'LOCK_CLOSED';
      const key = String(event.resource);
      this.observer.lostEvent({ token: event.fencingToken ?? 0, key, process, closed });
    }
    if (name === 'granted') {
      const { fencingToken: token = 0, label = '', previousTraceparent } = event;
      this.observer.grantedEvent({ key: String(event.resource), token, name: label, previousTraceparent });
    }
    if (name === 'released') this.observer.releasedEvent(event.fencingToken ?? 0, String(event.resource));
    if (name === 'session:opened') this.observer.sessionOpened(process, event.session ?? '');
    if (name === 'session:lost') this.observer.sessionGone(process, 'lost');
    if (name === 'session:ended') this.observer.sessionGone(process, 'ended');
  }

  // --- callers ----------------------------------------------------------------------------------------------------

  #startCall(plan: CallPlan): void {
    const member = this.#members[plan.process] as Member;
    this.#callsLeft -= 1;
    if (member.process.state === 'dead') return;
    this.#callsLeft += 1;
    member.process.deliver(`call ${plan.name}`, () => {
      this.#callsLeft -= 1;
      void this.#call(member, plan);
    });
  }

  async #call(member: Member, plan: CallPlan): Promise<void> {
    const { process, engine } = member;
    process.trace(
      `call ${plan.name} ${plan.mode} ${plan.key} timeout ${plan.timeoutMS} hold ${plan.holdMS.toFixed(1)}`,
    );
    const call = this.observer.called(plan, process);
    const signal = this.#arrangeAbort(member, plan);
    const { key, timeoutMS, name: label } = plan;
    const acquisition = this.observer.traces.acquisitionOf(label);
    const followed = acquisition && { acquisition };
    const request = { key, resource: key, id: 'x', label, timeoutMS, ...(signal && { signal }), ...followed };
    try {
      const hold = plan.mode === 'try' ? await engine.tryAcquire(request) : await engine.acquire(request);
      if (hold === null) return this.observer.ended(call, 'refused', '');
      process.trace(`granted ${plan.name} ${plan.key} token ${hold.fencingToken}`);
      await this.#hold(member, call, this.observer.granted(call, hold));
    } catch (error) {
      process.trace(`left ${plan.name}: ${error instanceof Error ? error.message : String(error)}`);
      this.observer.ended(call, 'left', String((error as { code?: unknown }).code ?? ''));
    }
  }

  async #hold(member: Member, call: CallRecord, record: HoldRecord): Promise<void> {
    const { plan } = call;
    if (plan.nested !== null) await this.#call(member, plan.nested);
    if (plan.holdMS > 0) await sleep(member.process, plan.holdMS);
    member.process.trace(`release ${plan.name} token ${record.token}`);
    const releases: Promise<boolean>[] = [];
    for (let count = 0; count <= plan.extraReleases; count += 1) {
      const answered = this.observer.releasing(record);
      const release = record.hold.release();
      releases.push(release);
      void release.then(answered);
    }
    await Promise.all(releases);
    member.process.trace(`released ${plan.name} ${record.releases}`);
  }

  #arrangeAbort({ process, aborts }: Member, { abort }: CallPlan): AbortSignal | undefined {
    if (abort.kind === 'none') return undefined;
    const controller = new AbortController();
    const run = (): void => controller.abort(new Error('aborted by the caller'));
    if (abort.kind === 'delivery')
      aborts.add({ left: abort.count, when: abort.when, turns: abort.turns ?? 0, abort: run });
    else process.clock.setTimer(run, abort.ms);
    return controller.signal;
  }

  // --- faults -----------------------------------------------------------------------------------------------------

  #inflict(fault: Fault): void {
    // A forced release excuses no delay.
    if (fault.kind !== 'force') this.observer.disturb();
    this.#trace?.push(`${this.#world.nowMS.toFixed(2).padStart(10)} == ${JSON.stringify(fault)}`);
    if (fault.kind === 'stop') this.#stop(fault);
    else if (fault.kind === 'kill') this.#member(fault).process.kill();
    else if (fault.kind === 'close') this.#close(this.#member(fault));
    else if (fault.kind === 'election') this.#set.elect();
    else if (fault.kind === 'lag' && fault.aimed) this.#aimed.push(fault);
    else if (fault.kind === 'lag') this.#lag(fault);
    else if (fault.kind === 'clock') this.#set.setWallOffset(fault.offsetMS);
    else if (fault.kind === 'delete-lock') this.#deleteLock(fault.key);
    else if (fault.kind === 'restore-lock') this.#restoreLock(fault);
    else if (fault.kind === 'delete-tickets') this.#deleteTickets(fault.key);
    else if (fault.kind === 'force') this.#force(fault, FORCE_LOOKS_MAX);
    else this.#deleteSession(this.#member(fault));
  }

  #lag(fault: LagFault): void {
    this.observer.disturb();
    this.#set.lag(fault);
    this.#world.in(fault.forMS, () => this.observer.disturb());
  }

  #strike(): void {
    const fault = this.#aimed.shift();
    if (fault !== undefined) this.#lag(fault);
  }

  #member({ process }: { readonly process: number }): Member {
    return this.#members[process] as Member;
  }

  #stop(fault: { readonly process: number; readonly forMS: number }): void {
    const { process } = this.#member(fault);
    if (process.state !== 'running') return;
    process.stop();
    this.#world.in(fault.forMS, () => {
      this.observer.disturb();
      process.resume();
    });
  }

  #close({ process, engine }: Member): void {
    process.deliver('close', () => {
      process.trace('close');
      const closed = this.observer.closing(process);
      void engine.close().then(() => {
        process.trace('closed');
        closed();
      });
    });
  }

  #deleteLock(key: string): void {
    const doc = this.#set.applied.get(key) as LockDoc | undefined;
    // Deleting it by hand within the second that created it is beyond what INV-02 covers.
    if (doc === undefined || this.#set.clusterTime - doc.born < 2_000_000) return;
    this.observer.deletedByHand(key, doc.grant ?? '');
    this.#set.write(key, null, { process: 'operator', command: 'OPERATOR' });
  }

  #restoreLock({ key, afterMS }: { readonly key: string; readonly afterMS: number }): void {
    const doc = this.#set.applied.get(key);
    this.#deleteLock(key);
    this.#world.in(afterMS, () => {
      if (doc === undefined || this.#set.applied.has(key)) return;
      this.observer.disturb();
      this.#set.write(key, doc, { process: 'operator', command: 'OPERATOR' });
    });
  }

  #deleteTickets(key: string): void {
    this.observer.deletedByHand(key, null);
    for (const doc of [...this.#set.applied.values()]) {
      const theirs = doc.kind === 'ticket' && doc.key === key;
      if (theirs) this.#set.write(doc.id, null, { process: 'operator', command: 'OPERATOR' });
    }
  }

  /** Somebody looks who holds the lock, now or soon, and has that run ended. */
  #force(fault: ForceFault, looksLeft: number): void {
    const { key, name, processes, alike, share, token, lateMS } = fault;
    const doc = this.#set.committed.get(key);
    const grant = doc?.kind === 'lock' ? parseGrant(doc.grant) : null;
    if (grant === null) {
      if (looksLeft > 1) this.#world.in(FORCE_LOOK_MS, () => this.#force(fault, looksLeft - 1));
      return;
    }
    const { firstToken, tickets } = grant;
    const fencingToken = token === 'before' ? firstToken - 1 : firstToken + Math.floor(share * callersCount(tickets));
    processes.forEach((index, at) => {
      const about = alike ? { reason: name, by: 'operator' } : { reason: `${name}-${at}`, by: `P${index}` };
      const member = this.#members[index] as Member;
      this.#world.in(lateMS, () => {
        member.process.deliver(
          `force ${about.reason}`,
          () => void this.#forceRelease(member, { key, fencingToken, ...about }),
        );
      });
    });
  }

  async #forceRelease({ process, engine }: Member, request: Parameters<Engine['forceRelease']>[0]): Promise<void> {
    process.trace(`force ${JSON.stringify(request)}`);
    const answered = this.observer.forcing({ process, ...request });
    const told = await engine.forceRelease(request).catch((error: unknown) => {
      return { code: String((error as { code?: unknown }).code ?? error) };
    });
    process.trace(`forced ${request.reason}: ${JSON.stringify(told)}`);
    answered(told);
  }

  get #shortestLeaseMS(): number {
    return Math.min(...this.#scenario.processes.map(({ options }) => options.leaseDurationMS));
  }

  #deleteSession({ process, plan }: Member): void {
    const session = this.observer.sessions.get(process);
    const id = `session:${session}`;
    if (!this.#set.applied.has(id)) return;
    // Whoever meets an absent session waits a lease of its own, by one server's clock: that the holder's is longer was
    // told by the document, and a clock that steps is allowed for only where a session has one.
    const steps = this.#scenario.faults.some(({ kind }) => kind === 'clock');
    if (steps || plan.options.leaseDurationMS > this.#shortestLeaseMS) this.observer.uncover(session ?? '');
    this.#set.write(id, null, { process: 'operator', command: 'OPERATOR' });
  }

  // --- the end ----------------------------------------------------------------------------------------------------

  #checkEnd(): void {
    const dead = new Set(this.#members.filter(({ process }) => process.state === 'dead').map(({ plan }) => plan.name));
    const ofTheLiving = (session: string): boolean => !dead.has(session.split('s')[0] ?? '');
    const tickets: string[] = [];
    const grants: string[] = [];
    const sessions: string[] = [];
    for (const doc of this.#set.committed.values()) {
      // What was on its way when its session ended, or was named by a releaser that had read the queue before, may come
      // later: the dead document the session leaves lets whoever meets it put it aside at once.
      if (doc.kind === 'session' && doc.state === 'alive' && this.#isOwed(doc.id)) sessions.push(doc.id);
      const named = doc.kind === 'ticket' ? doc.id : doc.kind === 'lock' ? doc.grant : null;
      if (named === null || !ofTheLiving(named) || this.observer.isExcused(named)) continue;
      (doc.kind === 'ticket' ? tickets : grants).push(named);
    }
    this.observer.checkEnd({ tickets, grants, sessions });
    for (const { process, feed, plan, store } of this.#members) {
      if (process.state === 'dead') continue;
      this.observer.bounded(`timers of ${plan.name} at rest`, process.timersCount, 0);
      this.observer.bounded(`streams of ${plan.name} at rest`, feed.streamsCount, 0);
      this.observer.bounded(`connections of ${plan.name} at rest`, Number(store.connected), 0);
    }
  }

  /** The end of a session is sent for a lease: where messages get lost it may never come, and a TTL removes what has lapsed. */
  #isOwed(session: string): boolean {
    const lives = this.#members.some(
      ({ plan, process }) => process.state !== 'dead' && session.startsWith(`${plan.name}s`),
    );
    return (
      lives &&
      !losesMessages(this.#scenario) &&
      !this.observer.lostLocks.isAbandoned(session) &&
      this.observer.wasUsable(session) &&
      !this.observer.isExcused(sessionId(session))
    );
  }

  #traceOplog(lines: string[]): void {
    this.#set.listen({
      onApplied: ({ id, after, author, position }) => {
        lines.push(
          `${this.#world.nowMS.toFixed(2).padStart(10)} ## ${position} ${author.process} ${author.command} ${id} = ${JSON.stringify(after)}`,
        );
      },
      onCommitted: ({ position, id }) => {
        lines.push(`${this.#world.nowMS.toFixed(2).padStart(10)} ## ${position} ${id} committed`);
      },
    });
  }
}

interface EventPayload {
  readonly label?: string;
  readonly fencingToken?: number;
  readonly resource?: unknown;
  readonly session?: string;
  readonly error?: unknown;
  readonly previousTraceparent?: string;
}

function describe(event: EventPayload): string {
  const { error, ...rest } = event;
  return JSON.stringify({ ...rest, ...(error !== undefined && { error: String(error) }) });
}

function losesMessages({ processes, faults }: Scenario): boolean {
  if (faults.some(isElection)) return true;
  return processes.some(({ link, outages }) => link.loseReplyRate + link.loseRequestRate > 0 || outages.length > 0);
}

function countDown(aborts: Member['aborts'], when: 'before' | 'after'): void {
  for (const entry of [...aborts]) {
    if (entry.when !== when) continue;
    entry.left -= 1;
    if (entry.left > 0) continue;
    aborts.delete(entry);
    void afterTurns(entry.turns, entry.abort);
  }
}

/** Between promise reactions, where whatever was delivered is half done. */
async function afterTurns(count: number, run: () => void): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await null;
  run();
}

function sleep(process: SimProcess, delayMS: number): Promise<void> {
  return new Promise((resolve) => process.clock.setTimer(resolve, delayMS));
}

function endOf(fault: Fault): number {
  return fault.kind === 'stop' || fault.kind === 'lag' ? fault.atMS + fault.forMS : fault.atMS;
}

function isElection({ kind }: Fault): boolean {
  return kind === 'election' || kind === 'lag';
}

/** The leases of the processes that keep what they have lost until it is unlocked. */
function keepersOf({ processes }: Scenario): ReadonlyMap<string, number> {
  const keepers = processes.filter(({ options }) => options.releaseLostLocks === 'on-unlock');
  return new Map(keepers.map(({ name, options }) => [name, options.leaseDurationMS]));
}

/** The bounds that hold for all processes of a scenario together. */
function timesOf({ processes, faults, commitMS }: Scenario): Times {
  const most = (of: (plan: ProcessPlan) => number): number => Math.max(...processes.map(of));
  const heartbeatMS = most(({ options }) => options.heartbeatIntervalMS);
  const clocks = faults.some(({ kind }) => kind === 'clock');
  const tripMS = most(({ link, timerLateMS }) => (link.slowRate > 0 ? link.slowMS[1] : link.delayMS[1]) + timerLateMS);
  const elections = faults.some(isElection);
  const resends =
    elections || processes.some(({ link, outages }) => link.loseReplyRate + link.slowRate > 0 || outages.length > 0);
  const streamIsGood = processes.every(
    ({ feed, gaps, link }) => feed.loseRate + feed.overtakeRate + link.copyRate === 0 && gaps.length === 0,
  );
  return {
    leaseMS: most(({ options }) => options.leaseDurationMS),
    // A lease may be counted by one server's clock and judged by another's.
    clockSkewMS: most(({ options }) => options.clockSkewMS) * (clocks ? 2 : 1),
    heartbeatMS,
    patrolIntervalMS: most(({ options }) => options.patrolIntervalMS),
    // Some ten commands in a row; where they get lost also one that hangs, and the longest wait before the next.
    slackMS: 50 + 20 * (tripMS + commitMS[1]) + (resends ? heartbeatMS + 1_000 : 0),
    streamIsGood: streamIsGood && !resends,
    answersAreQuick: 10 * (tripMS + commitMS[1]) < Math.min(...processes.map(({ options }) => options.leaseDurationMS)),
    onlyTheOperator: streamIsGood && !resends && faults.every(({ kind }) => kind.startsWith('delete-')),
  };
}
