/**
 * The metrics: how long calls wait and locks are held, how many do now, and what of the client's own business tells that it
 * is not well. Told by `opentelemetry.ts`; what is counted as open is what it was told of since it began.
 */
import type { Attributes, Counter, Histogram, Meter, UpDownCounter } from '@opentelemetry/api';
import { systemClock } from '../base/clock.js';
import type { AcquireMessage, EventMessage, HoldMessage } from '../diagnostics.js';
import { ATTRIBUTES, METRICS, type MetricRow } from './names.js';
import { callOutcome, commonAttributes, errorType, isForced, type LockObserver, type Shown } from './observer.js';

type Event<N extends EventMessage['name']> = EventMessage<N>['event'];

const { nowMS } = systemClock;

/** What is open now: who, and with which attributes it was counted. */
class Open {
  readonly #counter: UpDownCounter;
  readonly #attributes = new Map<AcquireMessage, Attributes>();

  constructor(counter: UpDownCounter) {
    this.#counter = counter;
  }

  add(call: AcquireMessage, attributes: Attributes): void {
    this.#attributes.set(call, attributes);
    this.#counter.add(1, attributes);
  }

  /** What it was counted with; null: it was not counted, for it began before we did. */
  remove(call: AcquireMessage): Attributes | null {
    const attributes = this.#attributes.get(call);
    if (attributes === undefined) return null;
    this.#attributes.delete(call);
    this.#counter.add(-1, attributes);
    return attributes;
  }

  /** Counters live on without us: what is open is not seen to end. */
  clear(): void {
    for (const call of [...this.#attributes.keys()]) this.remove(call);
  }
}

export class LockMetrics implements LockObserver {
  readonly #meter: Meter;
  readonly #shown: Shown;
  /** When the calls that wait were made. */
  readonly #startedAt = new WeakMap<AcquireMessage, number>();
  readonly #waits: Open;
  readonly #holds: Open;
  readonly #waitDuration: Histogram;
  readonly #holdDuration: Histogram;
  readonly #queuePosition: Histogram;
  readonly #heartbeatDelay: Histogram;
  readonly #streamLag: Histogram;
  readonly #timeouts: Counter;
  readonly #losses: Counter;
  readonly #takeovers: Counter;
  readonly #sessionsReaped: Counter;
  readonly #sessionLosses: Counter;
  readonly #streamInterruptions: Counter;
  readonly #errors: Counter;

  constructor(meter: Meter, shown: Shown) {
    this.#meter = meter;
    this.#shown = shown;
    this.#waits = new Open(this.#upDownCounter(METRICS.waitCount));
    this.#holds = new Open(this.#upDownCounter(METRICS.holdCount));
    this.#waitDuration = this.#histogram(METRICS.waitDuration);
    this.#holdDuration = this.#histogram(METRICS.holdDuration);
    this.#queuePosition = this.#histogram(METRICS.queuePosition);
    this.#heartbeatDelay = this.#histogram(METRICS.heartbeatDelay);
    this.#streamLag = this.#histogram(METRICS.streamLag);
    this.#timeouts = this.#counter(METRICS.timeouts);
    this.#losses = this.#counter(METRICS.losses);
    this.#takeovers = this.#counter(METRICS.takeovers);
    this.#sessionsReaped = this.#counter(METRICS.sessionsReaped);
    this.#sessionLosses = this.#counter(METRICS.sessionLosses);
    this.#streamInterruptions = this.#counter(METRICS.streamInterruptions);
    this.#errors = this.#counter(METRICS.errors);
  }

  onCall(call: AcquireMessage): void {
    this.#startedAt.set(call, nowMS());
    this.#waits.add(call, commonAttributes(call, this.#shown));
  }

  onHeld({ acquisition, waitedMS }: HoldMessage): void {
    const attributes = this.#waits.remove(acquisition);
    if (attributes === null) return;
    this.#waitDuration.record(waitedMS / 1_000, { ...attributes, [ATTRIBUTES.outcome]: 'granted' });
    this.#holds.add(acquisition, attributes);
  }

  onCallEnded(call: AcquireMessage): void {
    const attributes = this.#waits.remove(call);
    if (attributes === null) return;
    const outcome = callOutcome(call);
    this.#waitDuration.record((nowMS() - (this.#startedAt.get(call) ?? 0)) / 1_000, {
      ...attributes,
      [ATTRIBUTES.outcome]: outcome,
      ...('error' in call && { [ATTRIBUTES.errorType]: errorType(call.error) }),
    });
    if (outcome === 'timeout') this.#timeouts.add(1, attributes);
  }

  onHoldEnded({ acquisition, outcome = 'unknown', heldMS = 0, error }: HoldMessage): void {
    const attributes = this.#holds.remove(acquisition);
    if (attributes === null) return;
    this.#holdDuration.record(heldMS / 1_000, { ...attributes, [ATTRIBUTES.outcome]: outcome });
    if (outcome === 'lost') this.#losses.add(1, { ...attributes, [ATTRIBUTES.forced]: isForced(error) });
  }

  onEvent({ name, event }: EventMessage): void {
    this.#onEvent[name]?.(event as never);
  }

  stop(): void {
    this.#waits.clear();
    this.#holds.clear();
  }

  readonly #onEvent: { readonly [N in EventMessage['name']]?: (event: Event<N>) => void } = {
    position: ({ position }) => this.#queuePosition.record(position),
    error: ({ error }) => this.#errors.add(1, { [ATTRIBUTES.errorType]: errorType(error) }),
    'session:renewed': ({ delayMS }) => this.#heartbeatDelay.record(delayMS / 1_000),
    'session:lost': () => this.#sessionLosses.add(1),
    'session:reaped': ({ locksCount }) => {
      this.#sessionsReaped.add(1);
      this.#takeovers.add(locksCount);
    },
    'stream:delivered': ({ lagMS }) => this.#streamLag.record(lagMS / 1_000),
    'stream:interrupted': () => this.#streamInterruptions.add(1),
  };

  #histogram({ name, unit, description, buckets = [] }: MetricRow): Histogram {
    return this.#meter.createHistogram(name, { unit, description, advice: { explicitBucketBoundaries: [...buckets] } });
  }

  #counter({ name, unit, description }: MetricRow): Counter {
    return this.#meter.createCounter(name, { unit, description });
  }

  #upDownCounter({ name, unit, description }: MetricRow): UpDownCounter {
    return this.#meter.createUpDownCounter(name, { unit, description });
  }
}
