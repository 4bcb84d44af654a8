/**
 * The spans: one for the wait of a call and one for the hold it led to, both children of what was active when the call was
 * made. The hold links to its wait, and to the hold before it: where that was of another client, by what its release has
 * left in the lock document. `fn` of an `exec` runs with the span of its hold as the active one. Told by `opentelemetry.ts`.
 */
import {
  type Context,
  context as contexts,
  isSpanContextValid,
  type Link,
  type Span,
  type SpanContext,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import type { AcquireMessage, EventMessage, HoldMessage } from '../diagnostics.js';
import { decodeKey } from '../protocol/key.js';
import { isTraceparent } from '../protocol/trace.js';
import { ATTRIBUTES, SPAN_EVENTS, SPANS } from './names.js';
import { callOutcome, commonAttributes, errorType, isForced, type LockObserver, type Shown } from './observer.js';

/** Of how many locks the last hold is remembered, for the link of the next. */
const REMEMBERED_MAX = 10_000;

/** A call that is being followed. */
interface Followed {
  /** What was active when the call was made. */
  readonly parent: Context;
  readonly wait: Span;
  hold: Span | null;
}

/** The last hold of a lock. */
interface LastHold {
  readonly fencingToken: number;
  readonly spanContext: SpanContext;
}

export class LockSpans implements LockObserver {
  readonly #tracer: Tracer;
  readonly #shown: Shown;
  /** Until the call has failed, or its hold has ended. */
  readonly #followed = new Map<AcquireMessage, Followed>();
  /** By client and key, oldest first: tokens of two clients may be of two databases. */
  readonly #lastHolds = new WeakMap<object, Map<string, LastHold>>();

  constructor(tracer: Tracer, shown: Shown) {
    this.#tracer = tracer;
    this.#shown = shown;
  }

  onCall(call: AcquireMessage): void {
    const parent = contexts.active();
    const attributes = { ...commonAttributes(call, this.#shown), ...this.#ownAttributes(call) };
    const wait = this.#tracer.startSpan(this.#nameOf(SPANS.wait, call), { attributes }, parent);
    this.#followed.set(call, { parent, wait, hold: null });
  }

  onHeld(message: HoldMessage): void {
    const { acquisition, fencingToken, session } = message;
    const followed = this.#followed.get(acquisition);
    if (followed === undefined) return;
    endWait(followed.wait, { [ATTRIBUTES.outcome]: 'granted', [ATTRIBUTES.fencingToken]: fencingToken });
    const attributes = {
      ...commonAttributes(acquisition, this.#shown),
      ...this.#ownAttributes(acquisition),
      [ATTRIBUTES.fencingToken]: fencingToken,
      [ATTRIBUTES.session]: session,
    };
    const links = this.#linksOf(message, followed.wait);
    const name = this.#nameOf(SPANS.hold, acquisition);
    const hold = this.#tracer.startSpan(name, { attributes, links }, followed.parent);
    const spanContext = hold.spanContext();
    followed.hold = hold;
    this.#remember(acquisition, { fencingToken, spanContext });
    // Also where it is not sampled: whoever is next may ask others for it.
    if (isSpanContextValid(spanContext)) acquisition.traceparent = traceparentOf(spanContext);
    if (acquisition.operation === 'exec') runInside(acquisition, trace.setSpan(followed.parent, hold));
  }

  onCallEnded(call: AcquireMessage): void {
    const followed = this.#followed.get(call);
    if (followed === undefined || followed.hold !== null) return;
    this.#followed.delete(call);
    const outcome = callOutcome(call);
    if ('error' in call) fail(followed.wait, call.error);
    endWait(followed.wait, { [ATTRIBUTES.outcome]: outcome });
  }

  onHoldEnded({ acquisition, outcome, error }: HoldMessage): void {
    const hold = this.#followed.get(acquisition)?.hold;
    this.#followed.delete(acquisition);
    if (!hold) return;
    hold.setAttribute(ATTRIBUTES.outcome, outcome ?? 'unknown');
    if (outcome !== 'released') fail(hold, error);
    if (isForced(error)) hold.setAttribute(ATTRIBUTES.forced, true);
    hold.end();
  }

  onEvent({ name, event, acquisition }: EventMessage): void {
    const followed = acquisition && this.#followed.get(acquisition);
    if (followed === undefined) return;
    if (name === 'waiting') followed.wait.addEvent(SPAN_EVENTS.queued);
    if (name === 'contended') followed.hold?.addEvent(SPAN_EVENTS.contended);
    if (name !== 'position') return;
    const { position } = event as EventMessage<'position'>['event'];
    followed.wait.addEvent(SPAN_EVENTS.position, { [ATTRIBUTES.position]: position });
  }

  /** What goes on is not followed to its end; its spans say so. */
  stop(): void {
    for (const { wait, hold } of this.#followed.values()) {
      const open = hold ?? wait;
      open.setAttribute(ATTRIBUTES.outcome, 'unobserved');
      open.end();
    }
    this.#followed.clear();
  }

  #nameOf(name: string, { key }: AcquireMessage): string {
    const resource = this.#shown.resourceNames ? decodeKey(key)?.resource : undefined;
    return resource === undefined ? name : `${name} ${resource}`;
  }

  /** What only a span may carry: values without number. */
  #ownAttributes({ key, label }: AcquireMessage): Record<string, string> {
    const id = this.#shown.resourceIds ? decodeKey(key)?.id : undefined;
    return {
      ...(id !== undefined && { [ATTRIBUTES.id]: id }),
      ...(id !== undefined && label !== undefined && { [ATTRIBUTES.label]: label }),
    };
  }

  #linksOf(hold: HoldMessage, wait: Span): Link[] {
    const links: Link[] = [{ context: wait.spanContext(), attributes: { [ATTRIBUTES.link]: 'wait' } }];
    const context = this.#ownBefore(hold) ?? remoteContext(hold.previousTraceparent);
    if (context !== null) links.push({ context, attributes: { [ATTRIBUTES.link]: 'previous_hold' } });
    return links;
  }

  /** A token that is exactly one higher is that of the very next hold: whoever held in between would have had one. */
  #ownBefore({ acquisition: { client, key }, fencingToken }: HoldMessage): SpanContext | null {
    const last = this.#lastHolds.get(client)?.get(key);
    return last?.fencingToken === fencingToken - 1 ? last.spanContext : null;
  }

  #remember({ client, key }: AcquireMessage, last: LastHold): void {
    const holds = this.#lastHolds.get(client) ?? new Map<string, LastHold>();
    this.#lastHolds.set(client, holds);
    holds.delete(key);
    holds.set(key, last);
    if (holds.size > REMEMBERED_MAX) holds.delete(holds.keys().next().value as string);
  }
}

/** As the header of that name says it. */
function traceparentOf({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-${(traceFlags & 0xff).toString(16).padStart(2, '0')}`;
}

/** The span of another client, by what its release has left; null: none is known. */
function remoteContext(traceparent: string | undefined): SpanContext | null {
  if (!isTraceparent(traceparent)) return null;
  const [, traceId = '', spanId = '', flags = ''] = traceparent.split('-');
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
}

function endWait(wait: Span, attributes: Record<string, string | number>): void {
  wait.setAttributes(attributes);
  wait.end();
}

/** By its type alone: messages name the lock. */
function fail(span: Span, error: unknown): void {
  const type = errorType(error);
  span.setAttribute(ATTRIBUTES.errorType, type);
  span.setStatus({ code: SpanStatusCode.ERROR, message: type });
}

/** Has the `fn` of an `exec` run in this context, around it whatever others have set before. */
function runInside(call: AcquireMessage, inside: Context): void {
  const { around } = call;
  const run = <T>(fn: () => T): T => contexts.with(inside, fn);
  call.around = around === undefined ? run : (fn) => around(() => run(fn));
}
