/**
 * The callers of one contending process: each takes the lock, holds it, gives it back and comes again, until the stop. Records stay in memory while
 * it is measured. `main.ts` of this folder calls it.
 */
import { nowMS, pause } from '../clock.js';
import type { Contender } from '../peers/peer.js';
import type { CallTuple } from './orders.js';

type Draft = [...CallTuple];

export class Callers {
  readonly #contender: Contender;
  #records: Draft[] = [];
  #running: Promise<unknown>[] = [];
  #stopping = false;
  #failure: unknown;

  constructor(contender: Contender) {
    this.#contender = contender;
  }

  start(callers: readonly number[], holdMS: number): void {
    for (const caller of callers) this.#run(() => this.#comeAgainAndAgain(caller, holdMS));
  }

  /** One caller at each instant; late timers do not make its wait look shorter. */
  arrive(instants: readonly number[], holdMS: number): void {
    for (const [caller, at] of instants.entries()) {
      this.#run(async () => {
        await pause(at - nowMS());
        await this.#take({ caller, at, holdMS });
      });
    }
  }

  /** The records so far. From now on nobody calls any more. */
  stop(): readonly CallTuple[] {
    this.#stopping = true;
    if (this.#failure !== undefined) throw this.#failure;
    return this.#records.map((record) => [...record]);
  }

  /** Resolves when the last caller has ended. */
  async ended(): Promise<void> {
    await Promise.all(this.#running);
    this.#running = [];
    this.#records = [];
  }

  #run(work: () => Promise<void>): void {
    const running = work().catch((error: unknown) => {
      this.#failure ??= error;
    });
    this.#running.push(running);
  }

  async #comeAgainAndAgain(caller: number, holdMS: number): Promise<void> {
    while (!this.#stopping) await this.#take({ caller, at: nowMS(), holdMS });
  }

  async #take({ caller, at, holdMS }: { caller: number; at: number; holdMS: number }): Promise<void> {
    const record: Draft = [caller, at, Number.NaN, Number.NaN, Number.NaN];
    this.#records.push(record);
    const release = await this.#contender.acquire();
    record[2] = nowMS();
    if (!this.#stopping) await pause(holdMS);
    record[3] = nowMS();
    await release();
    record[4] = nowMS();
  }
}
