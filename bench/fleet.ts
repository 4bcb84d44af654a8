/**
 * The contending processes as the main process has them: forked once, told what to do, and gone with it. The stage keeps one fleet; the contests
 * borrow as many processes as they need.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { nowMS } from './clock.js';
import type { Envelope, Order, Reply } from './worker/orders.js';

const PROGRAM = fileURLToPath(new URL('./worker/main.ts', import.meta.url));
const START_LIMIT_MS = 30_000;
const ORDER_LIMIT_MS = 60_000;

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** One of them. */
export class Worker {
  readonly ready: Promise<void>;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  #ordersCount = 0;

  constructor() {
    const forkedAt = nowMS();
    this.#child = fork(PROGRAM, [], {
      execArgv: ['--import', 'tsx', '--no-warnings'],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.ready = this.#answer(0, START_LIMIT_MS).then((at) => {
      // Every handoff is measured from one process to another.
      if (Number(at) < forkedAt || Number(at) > nowMS()) throw new Error('The processes do not share a clock');
    });
    this.#child.on('message', (reply: Reply) => this.#hear(reply));
    this.#child.once('exit', (code, signal) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`A worker ended: ${signal ?? code}`));
      this.#waiting.clear();
    });
  }

  /** Rejects with what the worker threw, or after a minute. */
  order(order: Order): Promise<unknown> {
    this.#ordersCount += 1;
    const number = this.#ordersCount;
    this.#child.send({ number, order } satisfies Envelope);
    return this.#answer(number, ORDER_LIMIT_MS);
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  #hear(reply: Reply): void {
    const number = 'ready' in reply ? 0 : reply.number;
    const waiting = this.#waiting.get(number);
    this.#waiting.delete(number);
    if ('error' in reply) waiting?.reject(new Error(reply.error));
    else waiting?.resolve('ready' in reply ? reply.at : reply.value);
  }

  #answer(number: number, limitMS: number): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const complain = (): void => reject(new Error(`A worker did not answer within ${limitMS} ms`));
      const timer = setTimeout(complain, limitMS);
      const settling = <T>(act: (value: T) => void) => {
        return (value: T): void => {
          clearTimeout(timer);
          act(value);
        };
      };
      this.#waiting.set(number, { resolve: settling(resolve), reject: settling(reject) });
    });
  }
}

/** As many as were ever needed at once. */
export class Fleet {
  #workers: Worker[] = [];
  readonly #singles: Worker[] = [];

  async borrow(count: number): Promise<readonly Worker[]> {
    while (this.#workers.length < count) this.#workers.push(new Worker());
    const borrowed = this.#workers.slice(0, count);
    await Promise.all(borrowed.map(({ ready }) => ready));
    return borrowed;
  }

  /** One beside the others, for whoever wants to kill it. */
  async single(): Promise<Worker> {
    const worker = new Worker();
    this.#singles.push(worker);
    await worker.ready;
    return worker;
  }

  /** What did not end as it was told is not used again. */
  discard(workers: readonly Worker[]): void {
    for (const worker of workers) worker.kill();
    this.#workers = this.#workers.filter((worker) => !workers.includes(worker));
  }

  end(): void {
    this.discard(this.#workers);
    for (const worker of this.#singles.splice(0)) worker.kill();
  }
}
