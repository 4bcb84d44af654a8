/**
 * What a client tells on Node's `diagnostics_channel`: the names of the channels, the messages, and what publishes them.
 * Nothing is made and nothing is called where nobody has subscribed. Public, as `mongo-distributed-locks/diagnostics`;
 * the client publishes. Not the OpenTelemetry side, which is a subscriber like any other (`telemetry/`).
 */
import { type Channel, channel, type TracingChannel, tracingChannel } from 'node:diagnostics_channel';
import type { LockEventName, LockEvents } from './events.js';

/** The names of the channels that follow a call and its hold. */
export const CHANNELS = {
  /**
   * A tracing channel, so in truth five: `tracing:mongo-distributed-locks:acquire:start`, `…:end`, `…:asyncStart`,
   * `…:asyncEnd` and `…:error`. Each message is an `AcquireMessage`, the same object for one call.
   */
  acquire: 'mongo-distributed-locks:acquire',
  /** A `HoldMessage`, when a call was granted its lock. */
  holdStart: 'mongo-distributed-locks:hold:start',
  /** The same `HoldMessage`, when the hold has ended. */
  holdEnd: 'mongo-distributed-locks:hold:end',
} as const;

/** The channel of each event of a `LockClient`; each message is an `EventMessage`. */
export const EVENT_CHANNELS: { readonly [N in LockEventName]: `mongo-distributed-locks:event:${N}` } = {
  waiting: 'mongo-distributed-locks:event:waiting',
  position: 'mongo-distributed-locks:event:position',
  granted: 'mongo-distributed-locks:event:granted',
  contended: 'mongo-distributed-locks:event:contended',
  released: 'mongo-distributed-locks:event:released',
  lost: 'mongo-distributed-locks:event:lost',
  error: 'mongo-distributed-locks:event:error',
  'session:opened': 'mongo-distributed-locks:event:session:opened',
  'session:renewed': 'mongo-distributed-locks:event:session:renewed',
  'session:lost': 'mongo-distributed-locks:event:session:lost',
  'session:ended': 'mongo-distributed-locks:event:session:ended',
  'session:reaped': 'mongo-distributed-locks:event:session:reaped',
  'stream:opened': 'mongo-distributed-locks:event:stream:opened',
  'stream:delivered': 'mongo-distributed-locks:event:stream:delivered',
  'stream:interrupted': 'mongo-distributed-locks:event:stream:interrupted',
  'stream:closed': 'mongo-distributed-locks:event:stream:closed',
};

/** Which method a call is of. */
export type AcquireOperation = 'lock' | 'tryLock' | 'exec' | 'yield';

/**
 * One call of `lock`, `tryLock` or `exec`, or of a lock's `yield`, until it has its lock or has failed. A call that is
 * refused for its arguments sends nothing and is not told. Do not change what is `readonly`.
 */
export interface AcquireMessage {
  /** The `LockClient`, to be compared by identity. */
  readonly client: object;
  /** Which method was called. */
  readonly operation: AcquireOperation;
  /** `resource` and `id` as one text: the `_id` of the lock document. */
  readonly key: string;
  /** As given to the call. */
  readonly resource: unknown;
  /** As given to the call. */
  readonly id: unknown;
  /** The `label` of the call. */
  readonly label?: string;
  /** In milliseconds; `Infinity`: for ever. */
  readonly timeoutMS: number;
  /** The `signal` of the call. */
  readonly signal?: AbortSignal;
  /**
   * Of an `exec`: what calls its `fn`, and gives what that gives. A subscriber may set it up to `asyncEnd`, to have `fn` run in a context of its own; it must call what was set before it, if anything
   * was. What it throws, `exec` rejects with.
   */
  around?: <T>(fn: () => T) => T;
  /**
   * By which span the lock is held, as in the header of that name of W3C Trace Context. A subscriber may set it, from
   * `hold:start` to the release: it is written with that, and whoever holds the lock next gets it as `previousTraceparent`,
   * in another process too. What is no `traceparent` is left out.
   */
  traceparent?: string;
  /** From `asyncStart` on, where the call succeeded: `null` where `tryLock` was refused, else nothing to rely on. */
  readonly result?: unknown;
  /** From `error` on: what the call rejects with. */
  readonly error?: unknown;
}

/** How a hold ended; `unknown`: its release was not acknowledged by the local deadline. */
export type HoldOutcome = 'released' | 'lost' | 'unknown';

/** One hold, from grant to end. Published where somebody had subscribed to any of `CHANNELS` when the call was made. */
export interface HoldMessage {
  /** The `LockClient`, to be compared by identity. */
  readonly client: object;
  /** The message of the call that the lock was granted to. */
  readonly acquisition: AcquireMessage;
  /** The token of this hold. */
  readonly fencingToken: number;
  /** The lock session that the hold belongs to. */
  readonly session: string;
  /** From the call to the grant, in milliseconds. */
  readonly waitedMS: number;
  /** The `traceparent` of the hold before, where that is known; as of the event `granted`. */
  readonly previousTraceparent?: string;
  /** At the end: how. */
  readonly outcome?: HoldOutcome;
  /** At the end: from the grant to it, in milliseconds. */
  readonly heldMS?: number;
  /** At the end, unless it was released: why not. */
  readonly error?: unknown;
}

/** One event of a client. */
export interface EventMessage<N extends LockEventName = LockEventName> {
  /** The `LockClient`, to be compared by identity. */
  readonly client: object;
  /** The event's name. */
  readonly name: N;
  /** Its payload, as a listener of the client gets it. */
  readonly event: LockEvents[N][0];
  /** The message of the call that it is about, where it is about one and that is being followed. */
  readonly acquisition?: AcquireMessage;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

// Held here: Node forgets a channel that nobody refers to.
const acquireChannel: TracingChannel<unknown, AcquireMessage> = tracingChannel(CHANNELS.acquire);
const holdStart: Channel = channel(CHANNELS.holdStart);
const holdEnd: Channel = channel(CHANNELS.holdEnd);
const eventChannels = Object.fromEntries(
  Object.entries(EVENT_CHANNELS).map(([event, name]) => [event, channel(name)]),
) as Record<LockEventName, Channel>;
/** The holds of the calls that are followed, by call. A call has one at a time. */
const holds = new WeakMap<AcquireMessage, Mutable<HoldMessage>>();

/** @internal The message of a call that is about to be made; null: nobody follows calls. */
export function acquisitionOf(
  operation: AcquireOperation,
  client: object,
  request: Omit<AcquireMessage, 'client' | 'operation'>,
): AcquireMessage | null {
  if (!acquireChannel.hasSubscribers && !holdStart.hasSubscribers && !holdEnd.hasSubscribers) return null;
  const { key, resource, id, label, timeoutMS, signal } = request;
  return {
    client,
    operation,
    key,
    resource,
    id,
    timeoutMS,
    ...(label !== undefined && { label }),
    ...(signal !== undefined && { signal }),
  };
}

/** @internal Makes the call, told on the tracing channel, from the caller's own asynchronous context. */
export function traceAcquire<T>(acquisition: AcquireMessage, call: () => Promise<T>): Promise<T> {
  return acquireChannel.tracePromise(call, acquisition) as Promise<T>;
}

/** @internal Whether anybody has subscribed to an event. */
export function isEventFollowed(name: LockEventName): boolean {
  return eventChannels[name].hasSubscribers;
}

/** @internal Tells an event, and where it is the beginning or the end of a hold that is followed, that too. */
export function publishEvent<N extends LockEventName>(
  client: object,
  name: N,
  event: LockEvents[N][0],
  acquisition: AcquireMessage | undefined,
): void {
  if (acquisition !== undefined) publishHold(acquisition, name, event);
  const { [name]: events } = eventChannels;
  if (events.hasSubscribers) events.publish({ client, name, event, ...(acquisition && { acquisition }) });
}

function publishHold(acquisition: AcquireMessage, name: LockEventName, event: object): void {
  if (name === 'granted') startHold(acquisition, event as LockEvents['granted'][0]);
  const ended = outcomeOf(name, event);
  const hold = ended && holds.get(acquisition);
  if (!hold) return;
  holds.delete(acquisition);
  Object.assign(hold, ended);
  holdEnd.publish(hold);
}

function startHold(acquisition: AcquireMessage, event: LockEvents['granted'][0]): void {
  const { client } = acquisition;
  const { fencingToken, session, waitedMS, previousTraceparent } = event;
  const previous = previousTraceparent !== undefined && { previousTraceparent };
  const hold: HoldMessage = { client, acquisition, fencingToken, session, waitedMS, ...previous };
  holds.set(acquisition, hold);
  holdStart.publish(hold);
}

/** How an event ends a hold; null: it does not. An error with a token is of a release that nobody acknowledged. */
function outcomeOf(name: LockEventName, event: object): Pick<HoldMessage, 'outcome' | 'heldMS' | 'error'> | null {
  const { heldMS, error } = event as { readonly heldMS?: number; readonly error?: unknown };
  if (heldMS === undefined) return null;
  if (name === 'released') return { outcome: 'released', heldMS };
  if (name === 'lost') return { outcome: 'lost', heldMS, error };
  return name === 'error' ? { outcome: 'unknown', heldMS, error } : null;
}
