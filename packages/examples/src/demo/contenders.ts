/**
 * The contending processes as the main process has them: started, given orders, killed, and all gone at the end,
 * whatever happens to the demo. What they tell goes to the recorder.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { nowMS } from './clock.js';
import type { Fact, Order, Work } from './messages.js';
import type { Recorder } from './recorder.js';

const PROGRAM = fileURLToPath(new URL('./contender.js', import.meta.url));
const START_LIMIT_MS = 15_000;
const CLOSE_LIMIT_MS = 10_000;

export type ContenderState = 'starting' | 'alive' | 'killed' | 'closed';

/** What callers are to do; see `Order`. */
export interface CallOrder {
  readonly callers: readonly string[];
  readonly work: Work;
  readonly timesCount?: number;
  readonly timeoutMS?: number;
}

/** One contending process. */
export class Contender {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #recorder: Recorder;
  readonly #done = new Set<number>();
  readonly #exit: Promise<unknown>;
  #state: ContenderState = 'starting';
  #ordersCount = 0;

  constructor(name: string, { dbName, contenders, say }: { dbName: string; contenders: Contenders; say: Say }) {
    this.name = name;
    this.#recorder = contenders.recorder;
    const forkedAt = nowMS();
    this.#child = fork(PROGRAM, [name, dbName], { execArgv: [], stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    this.#exit = once(this.#child, 'exit');
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => say(`${name}: ${text.trim()}`));
    this.#child.on('message', (facts) => {
      for (const fact of facts as Fact[]) this.#hear(fact, forkedAt, say);
    });
    this.#child.once('exit', (code, signal) => {
      if (this.#state !== 'killed' && code !== 0)
        this.#recorder.fail(new Error(`${name} ended on its own: ${signal ?? `exit code ${code}`}`));
      if (this.#state !== 'killed') this.#state = 'closed';
      this.#recorder.look();
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get state(): ContenderState {
    return this.#state;
  }

  #hear(fact: Fact, forkedAt: number, say: Say): void {
    if (fact.kind === 'ready') this.#compareClocks(fact.at, forkedAt);
    if (fact.kind === 'done') this.#done.add(fact.number);
    if (fact.kind === 'trouble') say(`${this.name}: ${fact.message}`);
    if (fact.kind === 'reaped') say(`${this.name}: buried a dead process, and passed on ${fact.locksCount} lock(s)`);
    this.#recorder.tell(this.name, fact);
  }

  /** Whether it reads the same clock as this process does: every check of the history stands on it. */
  #compareClocks(at: number, forkedAt: number): void {
    if (at < forkedAt || at > nowMS())
      this.#recorder.fail(new Error(`${this.name} has another clock than this process`));
    this.#state = 'alive';
  }

  async ready(): Promise<void> {
    await this.#recorder.until(`${this.name} is ready`, () => this.#state === 'alive', START_LIMIT_MS);
  }

  /** Has callers call. Resolves when all of them have settled and are done, or the process is gone. */
  async call({ callers, work, timesCount = 1, timeoutMS }: CallOrder): Promise<void> {
    this.#ordersCount += 1;
    const number = this.#ordersCount;
    const limit = timeoutMS === undefined ? {} : { timeoutMS };
    this.#send({ kind: 'call', number, callers, timesCount, work, ...limit });
    const over = (): boolean => this.#done.has(number) || this.#child.exitCode !== null || this.#state === 'killed';
    await this.#recorder.until(`${callers.join(', ')} are done`, over, 30_000);
  }

  /** Aborts the wait of a caller. */
  abort(caller: string): void {
    this.#send({ kind: 'abort', caller });
  }

  /** Ends a hold that lasts until told. */
  release(caller: string): void {
    this.#send({ kind: 'release', caller });
  }

  #send(order: Order): void {
    if (this.#child.connected) this.#child.send(order);
  }

  /** `kill -9`. Resolves when its end was seen, with the instant just before. */
  async kill(): Promise<number> {
    const killedAt = nowMS();
    this.#state = 'killed';
    this.#child.kill('SIGKILL');
    await this.#exit;
    this.#recorder.noteKill(this.name, killedAt, nowMS());
    return killedAt;
  }

  /** Has it close its client and end. */
  async close(): Promise<void> {
    if (this.#state === 'killed') return;
    this.#send({ kind: 'close' });
    await this.#recorder.until(`${this.name} has closed`, () => this.#state === 'closed', CLOSE_LIMIT_MS);
  }

  /** Ends it at once, in whatever state it is; nothing is waited for. */
  end(): void {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#state = 'killed';
    this.#child.kill('SIGKILL');
  }

  /** Resolves when it is gone. */
  async gone(): Promise<void> {
    await this.#exit;
  }
}

type Say = (line: string) => void;

/** All of them. */
export class Contenders {
  readonly recorder: Recorder;
  readonly all: Contender[] = [];
  readonly #dbName: string;
  readonly #say: Say;

  constructor({ recorder, dbName, say }: { recorder: Recorder; dbName: string; say: Say }) {
    this.recorder = recorder;
    this.#dbName = dbName;
    this.#say = say;
    // The last resort; whatever else ends this process takes its children along by `endAll`.
    process.once('exit', () => this.#endAtOnce());
  }

  get alive(): Contender[] {
    return this.all.filter(({ state }) => state === 'alive');
  }

  /** Starts these and waits until they are ready. */
  async start(...names: readonly string[]): Promise<Contender[]> {
    const started = names.map(
      (name) => new Contender(name, { dbName: this.#dbName, contenders: this, say: this.#say }),
    );
    this.all.push(...started);
    await Promise.all(started.map((contender) => contender.ready()));
    return started;
  }

  async close(): Promise<void> {
    await Promise.all(this.all.map((contender) => contender.close()));
  }

  /** Kills whatever still runs, and resolves when all are gone. */
  async endAll(): Promise<void> {
    this.#endAtOnce();
    await Promise.all(this.all.map((contender) => contender.gone()));
  }

  #endAtOnce(): void {
    for (const contender of this.all) contender.end();
  }
}
