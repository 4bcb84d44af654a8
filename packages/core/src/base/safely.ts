/**
 * Calling what is not ours (listeners, loggers) so that its failure harms nothing here: neither what it throws nor the
 * promise it may return.
 */

/** Calls; whatever fails, at once or later, goes to `onFailure`, which must not throw. */
export function callSafely(call: () => unknown, onFailure: (error: unknown) => void): void {
  try {
    const result = call();
    if (isThenable(result)) result.then(undefined, onFailure);
  } catch (error) {
    onFailure(error);
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}
