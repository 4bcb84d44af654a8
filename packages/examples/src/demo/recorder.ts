/**
 * Puts together what the contenders tell: one record for each call, and the times of the guarded writes. Whoever waits
 * for something to happen waits on it: every wait has a limit, and says what it waited for.
 */
import type { CallRecord } from './history.js';
import type { Fact } from './messages.js';
import { KEY } from './settings.js';

type Draft = { -readonly [K in keyof CallRecord]: CallRecord[K] };

interface Wait {
  readonly condition: () => boolean;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class Recorder {
  /** How long the guarded writes took. */
  readonly writesMS: number[] = [];
  readonly #records = new Map<string, Draft>();
  readonly #waits = new Set<Wait>();
  #failure: Error | null = null;

  get records(): readonly CallRecord[] {
    return [...this.#records.values()];
  }

  record(caller: string): CallRecord | undefined {
    return this.#records.get(caller);
  }

  /** Takes down one fact of a contender. */
  tell(process: string, fact: Fact): void {
    if (fact.kind === 'called') {
      const { caller, at: calledAt } = fact;
      this.#records.set(caller, { process, caller, key: KEY, calledAt, outcome: 'waiting' });
    } else if (fact.kind === 'wrote') this.writesMS.push(fact.tookMS);
    else if (fact.kind === 'started over') this.#forgetArrivals(process);
    else if ('caller' in fact) this.#note(fact);
    this.look();
  }

  #note(fact: Extract<Fact, { caller: string; at: number }>): void {
    const record = this.#records.get(fact.caller);
    if (record === undefined) return;
    const { at } = fact;
    if (fact.kind === 'arrived') record.arrivedAt = at;
    else if (fact.kind === 'granted') Object.assign(record, { grantedAt: at, token: fact.token, outcome: 'holding' });
    else if (fact.kind === 'released') Object.assign(record, { releasedAt: at, outcome: 'released' });
    else if (fact.kind === 'lost') Object.assign(record, { lostAt: at, outcome: 'lost' });
    else if (fact.kind === 'left') Object.assign(record, { leftAt: at, outcome: fact.outcome });
  }

  #forgetArrivals(process: string): void {
    for (const record of this.#records.values()) {
      if (record.process === process && record.outcome === 'waiting') delete record.arrivedAt;
    }
  }

  /** A contender was killed: `killedAt` is just before, `goneAt` when its end was seen. */
  noteKill(process: string, killedAt: number, goneAt: number): void {
    for (const record of this.#records.values()) {
      if (record.process !== process) continue;
      if (record.outcome === 'waiting') Object.assign(record, { leftAt: killedAt, outcome: 'killed' });
      if (record.outcome === 'holding') Object.assign(record, { lostAt: goneAt, outcome: 'killed' });
    }
    this.look();
  }

  /** Resolves once the condition holds; it is looked at whenever something was told. */
  until(what: string, condition: () => boolean, limitMS = 15_000): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => wait.reject(new Error(`Waited ${limitMS / 1_000} s in vain until ${what}`)),
        limitMS,
      );
      const settle = (act: () => void): void => {
        clearTimeout(timer);
        this.#waits.delete(wait);
        act();
      };
      const wait: Wait = {
        condition,
        resolve: () => settle(resolve),
        reject: (error) => settle(() => reject(error)),
      };
      this.#waits.add(wait);
      this.look();
    });
  }

  /** Something happened that no record shows: conditions are looked at again. */
  look(): void {
    for (const wait of [...this.#waits]) {
      if (this.#failure !== null) wait.reject(this.#failure);
      else if (wait.condition()) wait.resolve();
    }
  }

  /** Nothing more can be expected: every wait, from now on too, rejects. */
  fail(error: Error): void {
    this.#failure ??= error;
    this.look();
  }
}
