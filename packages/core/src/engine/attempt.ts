/**
 * Sending until acknowledged: the only place that sends again, waits between tries and gives up. Every write of the
 * protocol may be sent twice, so an unknown outcome is resolved by sending the same write again and reading its answer.
 */
import type { Clock, Timer } from '../base/clock.js';
import type { Random } from '../base/random.js';
import { LockError } from '../errors.js';

/** The session that a command belonged to is lost or ended: whatever was being sent is void. Never reaches a caller. */
export class SessionGone extends Error {}

/** What an attempt ends with: something that can go, and then calls back at once. */
export interface Lifetime {
  readonly gone: boolean;
  /** Calls back once when gone; the result takes the callback back. */
  onGone(callback: () => void): () => void;
}

/** A lifetime that somebody ends. */
export class Lifespan implements Lifetime {
  #gone = false;
  readonly #callbacks = new Set<() => void>();

  get gone(): boolean {
    return this.#gone;
  }

  onGone(callback: () => void): () => void {
    this.#callbacks.add(callback);
    return () => this.#callbacks.delete(callback);
  }

  end(): void {
    this.#gone = true;
    const callbacks = [...this.#callbacks];
    this.#callbacks.clear();
    for (const callback of callbacks) callback();
  }
}

/** What sending needs of its surroundings. */
export interface AttemptContext {
  readonly clock: Clock;
  readonly random: Random;
  /** After how long an answer is no longer waited for, and the command sent again. */
  readonly attemptTimeoutMS: number;
  /** Told of every failed try but the last one, which whoever sends is told of. */
  onFailure(error: unknown): void;
}

const BACKOFF_MIN_MS = 20;
const BACKOFF_MAX_MS = 1_000;

/** Whether sending again may help. Anything that is not one of our errors is a fault of ours or of the driver: it may. */
export function mayPass(error: unknown): boolean {
  return !(error instanceof LockError) || error.code === 'LOCK_UNAVAILABLE' || error.code === 'LOCK_OUTCOME_UNKNOWN';
}

/** Whether a write that failed so may have been applied, or may be yet. */
export function mayBeApplied(error: unknown): boolean {
  return mayPass(error) && (error as { code?: unknown }).code !== 'LOCK_UNAVAILABLE';
}

/** Whether a caller of whom nothing was sent yet should be told: no primary was found, or sending again cannot help. */
export function isHopeless(error: unknown): boolean {
  return !mayPass(error) || (error as { code?: unknown }).code === 'LOCK_UNAVAILABLE';
}

/** Sends until acknowledged. Rejects with `SessionGone`, or with an error for which `giveUp` says so. */
export async function untilAcknowledged<T>(
  context: AttemptContext,
  lifetime: Lifetime,
  send: () => Promise<T>,
  giveUp: (error: unknown, triesCount: number) => boolean = (error) => !mayPass(error),
): Promise<T> {
  for (let triesCount = 1; ; triesCount += 1) {
    if (lifetime.gone) throw new SessionGone();
    try {
      return await bounded(context, lifetime, send);
    } catch (error) {
      if (error instanceof SessionGone) throw error;
      if (giveUp(error, triesCount)) throw error;
      // A slow answer is no failure: it may have been given, and is asked for again.
      if (!(error instanceof AttemptTimeout)) context.onFailure(error);
    }
    await pause(context, lifetime, backoffMS(context.random, triesCount));
  }
}

/** How long to wait before the next try: doubled each time up to a second, half of it by chance. */
export function backoffMS(random: Random, triesCount: number): number {
  const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** Math.min(triesCount, 10));
  return ceiling * (0.5 + random.fraction() / 2);
}

/** Waits, at most until the lifetime is over. Never rejects. */
export function pause(context: { readonly clock: Clock }, lifetime: Lifetime, delayMS: number): Promise<void> {
  return new Promise((resolve) => {
    const stop = lifetime.onGone(() => {
      timer.cancel();
      resolve();
    });
    const timer: Timer = context.clock.setTimer(() => {
      stop();
      resolve();
    }, delayMS);
    if (lifetime.gone) {
      timer.cancel();
      resolve();
    }
  });
}

/** A slow answer: it may have been given, and may be yet. */
export class AttemptTimeout extends Error {
  override readonly message = 'No answer in time; sending again.';
}

/** One try: its answer, or `SessionGone`, or a time-out; whatever comes after that is dropped. */
function bounded<T>(context: AttemptContext, lifetime: Lifetime, send: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void): void => {
      stop();
      timer.cancel();
      act();
    };
    const stop = lifetime.onGone(() => settle(() => reject(new SessionGone())));
    const timer = context.clock.setTimer(() => settle(() => reject(new AttemptTimeout())), context.attemptTimeoutMS);
    send().then(
      (answer) => settle(() => resolve(answer)),
      (error: unknown) => settle(() => reject(error)),
    );
  });
}
