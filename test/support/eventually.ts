/**
 * Waiting for something to become true, with a limit: how tests arrange an order without sleeping. The timers are taken when the module is
 * loaded, so that it works under fake timers too.
 */
import timers from 'node:timers';

const { setTimeout: startTimeout } = timers;
const nowMS = performance.now.bind(performance);
const EVERY_MS = 4;

/** Asks until the answer is truthy, and gives it. Rejects after `limitMS` with what was asked and what went wrong last. */
export async function eventually<T>(ask: () => T | Promise<T>, limitMS = 5_000): Promise<NonNullable<T>> {
  const endAt = nowMS() + limitMS;
  for (;;) {
    let said: unknown;
    try {
      const answer = await ask();
      if (answer) return answer;
      said = answer;
    } catch (error) {
      said = error;
    }
    if (nowMS() > endAt) throw new Error(`Not within ${limitMS} ms: ${ask}\nLast: ${String(said)}`);
    await realPause(EVERY_MS);
  }
}

/** Lets real time pass, fake timers or not: for what must *not* happen meanwhile, never to arrange an order. */
export function realPause(delayMS: number): Promise<void> {
  return new Promise((resolve) => startTimeout(resolve, delayMS));
}

/** What a promise rejects with; throws where it resolves, or does neither within the limit. */
export async function rejection(promise: Promise<unknown>, limitMS = 10_000): Promise<unknown> {
  const late = Symbol('late');
  let timeout: NodeJS.Timeout | undefined;
  const limit = new Promise<typeof late>((resolve) => {
    timeout = startTimeout(() => resolve(late), limitMS);
  });
  const ended = await Promise.race([
    promise.then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    ),
    limit,
  ]);
  timers.clearTimeout(timeout);
  if (ended === late) throw new Error(`Neither resolved nor rejected within ${limitMS} ms.`);
  if ('value' in ended) throw new Error(`Resolved, with ${String(ended.value)}, where it was to reject.`);
  return ended.error;
}
