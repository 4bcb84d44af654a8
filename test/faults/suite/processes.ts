/**
 * The contending processes as the harness has them: started, given orders, killed, suspended, replaced, and all gone at
 * the end whatever happens. What they tell, and what is done to them, goes to the history.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { nowMS } from '../../../packages/examples/src/demo/clock.js';
import type { Cluster } from './cluster.js';
import type { Order, ProcessFact, ProcessSettings, VariantName, WorkloadSettings } from './facts.js';
import type { History } from './history.js';
import { until } from './waiting.js';

const PROGRAM = fileURLToPath(new URL('./child/main.ts', import.meta.url));
const START_LIMIT_MS = 30_000;

type ProcessState = 'starting' | 'alive' | 'paused' | 'killed' | 'closed';

export interface ProcessesSettings {
  readonly cluster: Cluster;
  readonly history: History;
  readonly dbName: string;
  readonly seed: number;
  readonly workload: WorkloadSettings;
  readonly variant: VariantName;
  /** Whether each process has its own side of the bridge. */
  readonly bridged: boolean;
  readonly resourcesEveryMS: number;
}

/** One of them. */
export class ContendingProcess {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #history: History;
  readonly #gone: Promise<void>;
  #state: ProcessState = 'starting';
  #pausedAt: number | null = null;
  #finishedCount = 0;

  constructor(settings: ProcessSettings, history: History) {
    this.name = settings.name;
    this.#history = history;
    const forkedAt = nowMS();
    this.#child = fork(PROGRAM, [], {
      execArgv: ['--import', 'tsx', '--expose-gc', '--no-warnings'],
      env: { ...process.env, FAULT_SUITE_PROCESS: JSON.stringify(settings) },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => this.#trouble(text.trim()));
    this.#child.on('message', (facts) => {
      for (const fact of facts as ProcessFact[]) this.#hear(fact, forkedAt);
    });
    this.#gone = this.#ended();
  }

  get state(): ProcessState {
    return this.#state;
  }

  /** Whether it runs and can be told things. */
  get alive(): boolean {
    return this.#state === 'alive';
  }

  get finishedCount(): number {
    return this.#finishedCount;
  }

  async ready(): Promise<void> {
    await until(`${this.name} is ready`, () => this.#state !== 'starting', START_LIMIT_MS).catch((error: Error) => {
      const told = this.#history.entries.filter((entry) => entry.process === this.name);
      throw new Error(`${error.message}; it has told: ${JSON.stringify(told)}`);
    });
    if (!this.alive) throw new Error(`${this.name} ended before it was ready`);
  }

  send(order: Order): void {
    if (this.#child.connected) this.#child.send(order);
  }

  pause(): void {
    if (!this.alive) return;
    this.#pausedAt = nowMS();
    this.#history.add(this.name, { kind: 'paused', at: this.#pausedAt });
    this.#child.kill('SIGSTOP');
    this.#state = 'paused';
  }

  resume(): void {
    if (this.#state !== 'paused') return;
    this.#child.kill('SIGCONT');
    this.#state = 'alive';
    this.#pausedAt = null;
    this.#history.add(this.name, { kind: 'resumed', at: nowMS() });
  }

  /** `kill -9`. Resolves when its end was seen and everything it had told was heard. */
  async kill(): Promise<void> {
    if (this.#state === 'killed' || this.#state === 'closed') return;
    const at = nowMS();
    this.#state = 'killed';
    this.#child.kill('SIGKILL');
    await this.#gone;
    this.#history.add(this.name, { kind: 'killed', at, goneAt: nowMS(), sinceAt: this.#pausedAt ?? at });
  }

  /** Has it close its client and end by itself. */
  async close(limitMS: number): Promise<void> {
    if (!this.alive) return;
    this.send({ kind: 'close' });
    await until(`${this.name} has ended by itself`, () => this.#state !== 'alive', limitMS);
    if (this.#child.exitCode !== 0) throw new Error(`${this.name} ended with code ${this.#child.exitCode}`);
    this.#history.add(this.name, { kind: 'closed', at: nowMS() });
  }

  killAtOnce(): void {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill('SIGKILL');
  }

  async gone(): Promise<void> {
    await this.#gone;
  }

  #hear(fact: ProcessFact, forkedAt: number): void {
    if (fact.kind === 'ready') {
      // Every check stands on it.
      if (fact.at < forkedAt || fact.at > nowMS()) this.#trouble('this process has another clock than the harness');
      if (this.#state === 'starting') this.#state = 'alive';
    }
    if (fact.kind === 'finished') this.#finishedCount += 1;
    this.#history.add(this.name, fact);
  }

  #trouble(message: string): void {
    this.#history.add(this.name, { kind: 'trouble', message, at: nowMS() });
  }

  /** The end of the process and of its channel: whatever it had sent has been heard by then. */
  async #ended(): Promise<void> {
    const exit = new Promise((resolve) => this.#child.once('exit', resolve));
    const end = new Promise((resolve) => this.#child.once('disconnect', resolve));
    await Promise.all([exit, end]);
    if (this.#state !== 'killed') this.#state = 'closed';
  }
}

/** All of them. */
export class Processes {
  readonly all: ContendingProcess[] = [];
  readonly #settings: ProcessesSettings;
  #startedCount = 0;

  constructor(settings: ProcessesSettings) {
    this.#settings = settings;
    process.once('exit', this.#killAllAtOnce);
  }

  get history(): History {
    return this.#settings.history;
  }

  get alive(): ContendingProcess[] {
    return this.all.filter(({ alive }) => alive);
  }

  named(name: string): ContendingProcess | undefined {
    return this.all.find((each) => each.name === name);
  }

  /** Starts so many more and resolves when they are ready. */
  async start(count: number): Promise<ContendingProcess[]> {
    const started = await Promise.all(Array.from({ length: count }, () => this.#spawn()));
    await Promise.all(started.map((each) => each.ready()));
    return started;
  }

  /** Takes the place of one that was killed: it works from the start. */
  async replace(): Promise<void> {
    const [replacement] = await this.start(1);
    replacement?.send({ kind: 'start' });
  }

  order(order: Order): void {
    for (const each of this.alive) each.send(order);
  }

  /** Every caller ends with the call it is in. Resolves when all have. */
  async finish(limitMS: number): Promise<void> {
    const working = this.alive;
    const before = new Map(working.map((each) => [each, each.finishedCount]));
    for (const each of working) each.send({ kind: 'finish' });
    const left = (): string[] =>
      working.filter((each) => each.alive && each.finishedCount === before.get(each)).map(({ name }) => name);
    await until('every call has settled', () => left().length === 0, limitMS).catch((error: Error) => {
      throw new Error(`${error.message}: ${left().join(', ')}`);
    });
  }

  async close(limitMS: number): Promise<void> {
    await Promise.all(this.alive.map((each) => each.close(limitMS)));
  }

  /** Kills whatever still runs. */
  async end(): Promise<void> {
    this.#killAllAtOnce();
    await Promise.all(this.all.map((each) => each.gone()));
    process.off('exit', this.#killAllAtOnce);
  }

  readonly #killAllAtOnce = (): void => {
    for (const each of this.all) each.killAtOnce();
  };

  async #spawn(): Promise<ContendingProcess> {
    const { cluster, history, dbName, seed, workload, variant, bridged, resourcesEveryMS } = this.#settings;
    this.#startedCount += 1;
    const name = `p${this.#startedCount}`;
    const address = bridged ? addressOf(this.#startedCount) : '127.0.0.1';
    if (bridged) await cluster.admit(name, address);
    const started = new ContendingProcess(
      { name, uri: cluster.uri, dbName, address, seed, workload, variant, resourcesEveryMS },
      history,
    );
    this.all.push(started);
    return started;
  }
}

/**
 * Every address that begins with 127 is this machine, where the system is Linux. None is used twice: connections of a
 * killed process must not be taken for those of the next.
 */
function addressOf(number: number): string {
  return `127.0.${1 + Math.floor(number / 250)}.${1 + (number % 250)}`;
}
