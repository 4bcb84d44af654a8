/**
 * Being told when a caller's `AbortSignal` aborts, with one listener for each distinct signal however many calls wait
 * on it: a service may pass one signal to all its calls for as long as it lives. Called by whatever waits.
 */
import { callSafely } from './safely.js';

type Callbacks = Set<{ readonly run: () => void }>;

interface Subscription {
  readonly callbacks: Callbacks;
  readonly listener: () => void;
}

const subscriptions = new WeakMap<AbortSignal, Subscription>();

/**
 * Calls `callback` once, synchronously, when `signal` aborts; the reason is then `signal.reason`. Returns what takes
 * the callback back, any number of times; the last one to go takes the listener along. A signal that is aborted
 * already calls nothing: look at `signal.aborted` first. What a callback throws is dropped, for the others' sake.
 */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  if (signal.aborted) return () => {};
  const subscription = subscriptions.get(signal) ?? subscribe(signal);
  const entry = { run: callback };
  subscription.callbacks.add(entry);
  return () => {
    if (!subscription.callbacks.delete(entry) || subscription.callbacks.size > 0) return;
    unsubscribe(signal, subscription);
  };
}

function subscribe(signal: AbortSignal): Subscription {
  const callbacks: Callbacks = new Set();
  const listener = (): void => {
    subscriptions.delete(signal);
    for (const entry of callbacks) {
      callbacks.delete(entry);
      // The callbacks settle promises of ours, and there is nobody here who could be told of a failure.
      callSafely(entry.run, () => {});
    }
  };
  const subscription = { callbacks, listener };
  subscriptions.set(signal, subscription);
  signal.addEventListener('abort', listener, { once: true });
  return subscription;
}

function unsubscribe(signal: AbortSignal, { listener }: Subscription): void {
  subscriptions.delete(signal);
  // Whatever a signal of another make does here, the call that is settling must settle.
  callSafely(
    () => signal.removeEventListener('abort', listener),
    () => {},
  );
}
