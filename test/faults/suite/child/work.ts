/**
 * The callers of one process: they call, hold, write what is guarded, unlock and call again, and tell every step. Told to
 * finish, each ends with the call it is in. Whatever the lock or the database answers, a caller goes on.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Lock, LockError } from 'mongo-distributed-locks';
import { readKey } from '#core/protocol/key.js';
import { nowMS } from '../../../../packages/examples/src/demo/clock.js';
import { Chance } from '../../../simulation/chance.js';
import { type LeftOutcome, type ProcessFact, type ProcessSettings, RESOURCE } from '../facts.js';
import type { GuardedDocuments } from './guarded.js';
import type { Locks } from './variants.js';

export interface WorkHost {
  readonly locks: Locks;
  readonly guarded: GuardedDocuments;
  readonly settings: ProcessSettings;
  /** Tells; at once where what follows must not overtake it. */
  tell(fact: ProcessFact, when?: 'at once'): void;
  /** For how long at most this process had not run, lately. */
  stalledMS(): number;
  /** Which session a token was granted to, by the event of the grant. */
  sessionOf(key: string, token: number): string;
}

interface Call {
  readonly caller: string;
  readonly id: string;
  readonly timeoutMS?: number;
  readonly abortMS?: number;
  readonly tries?: boolean;
  readonly holdMS: number;
  /** How long the function of a transaction takes, and whether it reads before. */
  readonly insideMS?: number;
  readonly readsInside?: boolean;
  /** Ends a hold before its time. */
  readonly told?: AbortSignal;
}

/** The longest critical section once the process finishes. */
const LAST_HOLD_MS = 20;
/** After a call that failed at once, as it does while there is no primary. */
const AFTER_FAILURE_MS = 100;

export class Work {
  readonly #host: WorkHost;
  #finish = new AbortController();
  /** How often each caller has called. */
  readonly #times = new Map<number, number>();
  readonly #told = new Map<string, AbortController>();
  #under = Promise.resolve();

  constructor(host: WorkHost) {
    this.#host = host;
  }

  /** Also again, once all have finished. */
  start(): void {
    this.#finish = new AbortController();
    const { style, callersCount } = this.#host.settings.workload;
    const names = Array.from({ length: style === 'told' ? 0 : callersCount }, (_, index) => index + 1);
    this.#under = Promise.all(names.map((number) => this.#callAgainAndAgain(number))).then(() => {});
  }

  /** Resolves when no caller calls any more. */
  finish(): Promise<void> {
    this.#finish.abort();
    for (const told of this.#told.values()) told.abort();
    return this.#under;
  }

  /** One call, whose hold ends when it is told to, or after `holdMS`. */
  async call({ caller, id, holdMS }: { caller: string; id: string; holdMS?: number }): Promise<void> {
    const told = new AbortController();
    this.#told.set(caller, told);
    await this.#call({ caller, id, holdMS: holdMS ?? 2 ** 31 - 1, told: told.signal });
    this.#told.delete(caller);
  }

  release(caller: string): void {
    this.#told.get(caller)?.abort();
  }

  get #finishing(): boolean {
    return this.#finish.signal.aborted;
  }

  async #callAgainAndAgain(number: number): Promise<void> {
    const { name, seed, workload } = this.#host.settings;
    const before = this.#times.get(number) ?? 0;
    const chance = Chance.named(seed, before === 0 ? `${name}.${number}` : `${name}.${number} after ${before}`);
    for (let time = before + 1; !this.#finishing; time += 1) {
      this.#times.set(number, time);
      const failed = await this.#call(this.#choose(`${name}.${number}.${time}`, chance));
      const [least, most] = workload.restMS;
      await this.#rest(failed ? AFTER_FAILURE_MS : chance.between(least, most));
    }
  }

  #choose(caller: string, chance: Chance): Call {
    const { ids, holdMS: between, insideMS, style } = this.#host.settings.workload;
    const where = { caller, id: chance.pick(ids as [string, ...string[]]), holdMS: chance.between(...between) };
    const call = insideMS ? { ...where, insideMS: chance.between(...insideMS), readsInside: chance.hit(0.5) } : where;
    if (style !== 'churn') return call;
    const how = chance.fraction();
    if (how < 0.15) return { ...call, tries: true };
    if (how < 0.45) return { ...call, timeoutMS: chance.whole(0, 600) };
    if (how < 0.7) return { ...call, abortMS: chance.whole(0, 400) };
    return call;
  }

  async #rest(durationMS: number): Promise<void> {
    if (durationMS > 0) await sleep(durationMS, undefined, { signal: this.#finish.signal }).catch(() => {});
  }

  /** Whether the call failed at once. */
  async #call(call: Call): Promise<boolean> {
    const { caller, id } = call;
    const { tell } = this.#host;
    const key = readKey({ resource: RESOURCE, id });
    const abort = new AbortController();
    const timer = call.abortMS === undefined ? undefined : setTimeout(() => abort.abort(), call.abortMS);
    tell({ kind: 'called', caller, key, at: nowMS() });
    try {
      const lock = await this.#acquire(call, abort.signal);
      if (lock !== null) await this.#hold(call, key, lock);
      else tell({ kind: 'left', caller, outcome: 'refused', at: nowMS() }, 'at once');
      return false;
    } catch (error) {
      const outcome = outcomeOf(error, abort.signal);
      const why = outcome === 'failed' ? { why: describe(error) } : {};
      tell({ kind: 'left', caller, outcome, at: nowMS(), ...why }, 'at once');
      return outcome === 'failed';
    } finally {
      clearTimeout(timer);
    }
  }

  #acquire({ caller, id, tries, timeoutMS }: Call, signal: AbortSignal): Promise<Lock | null> {
    const request = { resource: RESOURCE, id, label: caller };
    if (tries) return this.#host.locks.tryLock(request);
    return this.#host.locks.lock({ ...request, signal, ...(timeoutMS !== undefined && { timeoutMS }) });
  }

  async #hold(call: Call, key: string, lock: Lock): Promise<void> {
    const { caller } = call;
    const { tell, stalledMS, sessionOf } = this.#host;
    const token = lock.fencingToken;
    tell({ kind: 'granted', caller, token, held: lock.held, session: sessionOf(key, token), at: nowMS() });
    const onLost = (): void =>
      tell({ kind: 'lost', caller, stalledMS: stalledMS(), why: String(lock.signal.reason), at: nowMS() });
    if (lock.signal.aborted) onLost();
    else lock.signal.addEventListener('abort', onLost);
    await this.#change(call, key, lock);
    // In the channel before the release can be on its way: whoever is granted next is granted after it.
    tell({ kind: 'releasing', caller, at: nowMS() }, 'at once');
    tell({ kind: 'released', caller, answer: await lock.unlock(), at: nowMS() });
  }

  /** The guarded read-modify-write. It never asks whether the lock is still held: that is what the guard is for. */
  async #change(call: Call, key: string, lock: Lock): Promise<void> {
    const { caller, holdMS, insideMS = 0, readsInside = false, told } = call;
    const { guarded, tell } = this.#host;
    const { guard, keepsElements } = this.#host.settings.workload;
    const inside = (): Promise<void> => this.#criticalSection(insideMS, told);
    const write = { key, lock, element: caller, guard, keepsElements, inside, readsInside };
    const about = { caller, key, token: lock.fencingToken, element: caller };
    try {
      const begun = await guarded.begin(write);
      await this.#criticalSection(holdMS, told);
      if (begun === null) return tell({ kind: 'write refused', ...about, at: nowMS() });
      tell({ kind: 'writing', ...about, at: nowMS() }, 'at once');
      const applied = await guarded.end(begun);
      tell({ kind: applied ? 'wrote' : 'write refused', ...about, at: nowMS() });
    } catch {
      tell({ kind: 'write unknown', ...about, at: nowMS() });
    }
  }

  async #criticalSection(holdMS: number, told?: AbortSignal): Promise<void> {
    const lastMS = Math.min(holdMS, LAST_HOLD_MS);
    if (this.#finishing) return void (await sleep(lastMS));
    if (holdMS <= LAST_HOLD_MS) return void (holdMS > 0 && (await sleep(holdMS)));
    const over = new AbortController();
    const end = (): void => over.abort();
    const ends = told === undefined ? [this.#finish.signal] : [this.#finish.signal, told];
    for (const signal of ends) {
      if (signal.aborted) end();
      signal.addEventListener('abort', end);
    }
    await sleep(holdMS, undefined, { signal: over.signal }).catch(() => {});
    for (const signal of ends) signal.removeEventListener('abort', end);
  }
}

function outcomeOf(error: unknown, signal: AbortSignal): LeftOutcome {
  if (error instanceof LockError && error.code === 'LOCK_TIMEOUT') return 'timed out';
  return signal.aborted && error === signal.reason ? 'aborted' : 'failed';
}

function describe(error: unknown): string {
  return error instanceof LockError ? `${error.code}: ${error.message}` : String(error);
}
