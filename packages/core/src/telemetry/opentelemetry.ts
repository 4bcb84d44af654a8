/**
 * OpenTelemetry for lock clients: subscribes to the channels of `diagnostics.ts` and tells spans and metrics. Public, as
 * `mongo-distributed-locks/opentelemetry`, which alone needs the optional peer `@opentelemetry/api`. The client knows
 * nothing of it.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { diag, type MeterProvider, metrics, type TracerProvider, trace } from '@opentelemetry/api';
import { callSafely } from '../base/safely.js';
import type { LockClient } from '../client.js';
import { type AcquireMessage, CHANNELS, EVENT_CHANNELS, type EventMessage, type HoldMessage } from '../diagnostics.js';
import { LockInvalidArgumentError } from '../errors.js';
import type { LockEventName } from '../events.js';
import { LockMetrics } from './metrics.js';
import { SCOPE_NAME, SCOPE_VERSION } from './names.js';
import type { LockObserver, Shown } from './observer.js';
import { LockSpans } from './spans.js';

/** What is made of what a client does. Everything has a default. */
export interface InstrumentOptions {
  /** Where spans go. Default: the global one, as it is at this call. */
  readonly tracerProvider?: TracerProvider | undefined;
  /** Where metrics go. Default: the global one, as it is at this call. */
  readonly meterProvider?: MeterProvider | undefined;
  /** Whether spans are made. Default true. */
  readonly spans?: boolean | undefined;
  /** Whether metrics are made. Default true. */
  readonly metrics?: boolean | undefined;
  /**
   * Whether the `resource` of a lock is in the names and attributes of its spans, and in the attributes of its metrics.
   * Default false. Only where there are few: each is a time series of its own.
   */
  readonly resourceNames?: boolean | undefined;
  /** Whether the `id` of a lock, and the `label` of a call, are attributes of its spans. Never of metrics. Default false. */
  readonly resourceIds?: boolean | undefined;
  /**
   * Whether places in the queue are looked up, for their metric and as instants of the wait's span. Default false: it
   * costs the two reads of a patrol for each call that must wait, and a change stream for as long as calls wait.
   */
  readonly queuePositions?: boolean | undefined;
}

/**
 * Makes spans and metrics of what a client does from now on: a span for each wait and for each hold, and the metrics of
 * `docs/telemetry.md`. Calls that were made before are not followed. Nothing it does can harm a call: what fails goes to
 * the `diag` logger of OpenTelemetry.
 *
 * @param client The `LockClient`, or several.
 * @param options Where to, and what of the caller's own values may be shown.
 * @returns What ends it: spans that are open are ended with the outcome `unobserved`, gauges are no longer reported. May
 * be called again. A client that is closed needs it no less: the subscription is the process's.
 * @throws `LOCK_INVALID_ARGUMENT` (`LockInvalidArgumentError`) where it is no client.
 * @example
 * ```ts
 * const stop = instrument(locks, { resourceNames: true });
 * ```
 */
export function instrument(client: LockClient | readonly LockClient[], options: InstrumentOptions = {}): () => void {
  const clients: readonly unknown[] = Array.isArray(client) ? client : [client];
  const followed = new WeakSet(clients.map(checkClient));
  return follow((message) => followed.has(message.client), options);
}

/**
 * The same for every client of this process, those that are made later and the one behind `DLocks` included.
 *
 * @param options As of `instrument`.
 * @returns As of `instrument`.
 */
export function instrumentAll(options: InstrumentOptions = {}): () => void {
  return follow(() => true, options);
}

/** By its shape: it may be of another copy of the package, whose channels are the same. */
function checkClient(client: unknown): object {
  const { exec, tryLock } = (typeof client === 'object' && client !== null ? client : {}) as Partial<LockClient>;
  if (typeof exec === 'function' && typeof tryLock === 'function') return client as object;
  const message = '"client" must be a LockClient, or an array of them. For the client behind DLocks use instrumentAll.';
  throw new LockInvalidArgumentError(message, { argument: 'client' });
}

type Handler = (message: unknown) => void;

/** The two channels of the tracing channel that are needed. */
const CALL_STARTED = `tracing:${CHANNELS.acquire}:start`;
const CALL_ENDED = `tracing:${CHANNELS.acquire}:asyncEnd`;

function follow(concerns: (message: { readonly client: object }) => boolean, options: InstrumentOptions): () => void {
  const observers = observersOf(options);
  const tell =
    <M extends { readonly client: object }>(each: (observer: LockObserver, message: M) => void): Handler =>
    (given) => {
      const message = given as M;
      if (!concerns(message)) return;
      for (const observer of observers) safely(() => each(observer, message));
    };
  const onEvent = tell<EventMessage>((observer, message) => observer.onEvent(message));
  const subscriptions: readonly (readonly [string, Handler])[] = [
    [CALL_STARTED, tell<AcquireMessage>((observer, call) => observer.onCall(call))],
    [CALL_ENDED, tell<AcquireMessage>((observer, call) => observer.onCallEnded(call))],
    [CHANNELS.holdStart, tell<HoldMessage>((observer, hold) => observer.onHeld(hold))],
    [CHANNELS.holdEnd, tell<HoldMessage>((observer, hold) => observer.onHoldEnded(hold))],
    ...eventsOf(options).map((name) => [EVENT_CHANNELS[name], onEvent] as const),
  ];
  for (const [name, handler] of subscriptions) subscribe(name, handler);
  return () => {
    for (const [name, handler] of subscriptions) unsubscribe(name, handler);
    for (const observer of observers.splice(0)) safely(() => observer.stop());
  };
}

function observersOf(options: InstrumentOptions): LockObserver[] {
  const { tracerProvider = trace.getTracerProvider(), meterProvider = metrics.getMeterProvider() } = options;
  const shown: Shown = {
    resourceNames: options.resourceNames === true,
    resourceIds: options.resourceIds === true,
  };
  const observers: LockObserver[] = [];
  if (options.spans !== false)
    observers.push(new LockSpans(tracerProvider.getTracer(SCOPE_NAME, SCOPE_VERSION), shown));
  if (options.metrics !== false)
    observers.push(new LockMetrics(meterProvider.getMeter(SCOPE_NAME, SCOPE_VERSION), shown));
  return observers;
}

/** What nobody here makes anything of is not subscribed to: nobody need find it out then. */
function eventsOf({ queuePositions }: InstrumentOptions): LockEventName[] {
  const always: LockEventName[] = [
    'waiting',
    'contended',
    'error',
    'session:renewed',
    'session:lost',
    'session:reaped',
    'stream:delivered',
    'stream:interrupted',
  ];
  return queuePositions === true ? [...always, 'position'] : always;
}

/** A subscriber that throws would end the process. */
function safely(call: () => void): void {
  callSafely(call, (error) => diag.error('mongo-distributed-locks: what was to be recorded failed.', error));
}
