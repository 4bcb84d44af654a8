/** Waiting with a limit, or until told otherwise. Used by everything of the suite that runs in the harness. */
import { setTimeout as sleep } from 'node:timers/promises';

const EVERY_MS = 25;

/** Asks until the answer is truthy, and gives it. Rejects after `limitMS` with what was waited for. */
export async function until<T>(what: string, ask: () => T | Promise<T>, limitMS = 30_000): Promise<NonNullable<T>> {
  const endAt = performance.now() + limitMS;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (performance.now() > endAt) throw new Error(`Waited ${limitMS / 1_000} s in vain until ${what}`);
    await sleep(EVERY_MS);
  }
}

/** Lets time pass; ends early when the signal aborts. Never rejects. */
export async function pass(durationMS: number, signal?: AbortSignal): Promise<void> {
  await sleep(durationMS, undefined, signal === undefined ? {} : { signal }).catch(() => {});
}

/** Does the work with a signal that aborts after that time. */
export async function during(durationMS: number, work: (time: AbortSignal) => Promise<void>): Promise<void> {
  // Not `AbortSignal.timeout`: its timer keeps nothing alive, and combined signals of it are lost on Node 20.
  const time = new AbortController();
  const timer = setTimeout(() => time.abort(), durationMS);
  try {
    await work(time.signal);
  } finally {
    clearTimeout(timer);
  }
}

/** Rejects where the work takes longer; the work itself goes on unheard. */
export async function within<T>(limitMS: number, what: string, work: Promise<T>): Promise<T> {
  const limit = new AbortController();
  const late = sleep(limitMS, undefined, { signal: limit.signal }).then(() => {
    throw new Error(`${what} took longer than ${limitMS / 1_000} s`);
  });
  late.catch(() => {});
  try {
    return await Promise.race([work, late]);
  } finally {
    limit.abort();
  }
}
