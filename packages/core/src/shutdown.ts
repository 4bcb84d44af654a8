/**
 * An orderly end on a signal: what hold locks may finish, then the process ends as the signal would have ended it. For
 * processes that have no such arrangement of their own; who has one calls `client.close({ graceMS })` there.
 */
import { type ProcessSignal, signals } from './base/signals.js';
import { readGrace, refused } from './checks.js';

/** What is closed: a `LockClient`, or `DLocks`. */
export interface Closeable {
  /** Ends it for good; those who hold locks may finish for so long, in milliseconds. */
  close(options: { readonly graceMS: number }): Promise<void>;
}

/** How a process ends on a signal. */
export interface ShutdownOptions {
  /** Which signals; default `SIGTERM` and `SIGINT`. */
  readonly signals?: readonly ProcessSignal[] | undefined;
  /** For how long those who hold locks may finish, in milliseconds; default 10,000. Keep it below the time that whoever sends the signal waits before it kills. */
  readonly graceMS?: number | undefined;
}

const USUAL: readonly ProcessSignal[] = ['SIGTERM', 'SIGINT'];
const GRACE_MS = 10_000;

/**
 * From now on one of these signals closes the clients in an orderly way: no new locks, whoever waits leaves the queue,
 * holders may finish for `graceMS`, then everything is released. After that the signal ends the process. A second
 * signal ends it at once; what it held then is free once the lease has lapsed.
 *
 * @param clients One, or several, or `DLocks`.
 * @param options Which signals, and how long.
 * @returns Takes the arrangement back.
 * @throws `LOCK_INVALID_ARGUMENT`.
 */
export function shutdownOnSignal(clients: Closeable | readonly Closeable[], options: ShutdownOptions = {}): () => void {
  const { signals: names = USUAL } = options;
  const graceMS = readGrace(options.graceMS, GRACE_MS);
  const all = Array.isArray(clients) ? (clients as readonly Closeable[]) : [clients as Closeable];
  check(all, names);
  const end = async (name: ProcessSignal): Promise<void> => {
    stop();
    await Promise.allSettled(all.map(async (client) => client.close({ graceMS })));
    signals.raise(name);
  };
  const stop = signals.listen(names, (name) => void end(name));
  return stop;
}

function check(clients: readonly Closeable[], names: readonly string[]): void {
  if (clients.length === 0 || clients.some((client) => typeof client?.close !== 'function'))
    throw refused('clients', '"clients" must be a LockClient, or a list of them.');
  if (!Array.isArray(names) || names.length === 0 || names.some((name) => !/^SIG[A-Z0-9]+$/.test(String(name))))
    throw refused('signals', '"signals" must be names of signals, such as "SIGTERM".');
}
