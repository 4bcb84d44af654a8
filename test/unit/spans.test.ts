/**
 * What the spans make of messages that a client of this version does not send, or only once in a long while: another copy of the package may
 * publish on the same channels. What they make of a client's own is `integration/telemetry`.
 */
import { INVALID_SPAN_CONTEXT, type SpanContext, type Tracer, trace } from '@opentelemetry/api';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { describe, expect, it } from 'vitest';
import type { AcquireMessage, HoldMessage } from '#core/diagnostics.js';
import { LockSpans } from '#core/telemetry/spans.js';

const TRACE_ID = 'a'.repeat(32);
const SPAN_ID = 'b'.repeat(16);
const TRACEPARENT = `00-${TRACE_ID}-${SPAN_ID}-00`;
const client = {};

function call(key = 'lock:r/i'): AcquireMessage {
  return { client, operation: 'lock', key, resource: 'r', id: 'i', timeoutMS: 1_000 };
}

function holdOf(acquisition: AcquireMessage, fencingToken: number, told: Partial<HoldMessage> = {}): HoldMessage {
  return { client, acquisition, fencingToken, session: 's', waitedMS: 1, ...told };
}

/** The spans, and to which hold each hold was linked. */
function followed(tracer?: Tracer): { spans: LockSpans; previous(): (SpanContext | undefined)[] } {
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  const spans = new LockSpans(tracer ?? provider.getTracer('test'), { resourceNames: false, resourceIds: false });
  const previous = (): (SpanContext | undefined)[] =>
    exporter
      .getFinishedSpans()
      .filter(({ name }) => name === 'lock hold')
      .map(({ links }) => links.find(({ attributes }) => attributes?.['lock.link.type'] === 'previous_hold')?.context);
  return { spans, previous };
}

/** A call that gets its lock, and releases it. */
function hold(spans: LockSpans, fencingToken: number, told: Partial<HoldMessage> = {}): AcquireMessage {
  const acquisition = call();
  const message = holdOf(acquisition, fencingToken, told);
  spans.onCall(acquisition);
  spans.onHeld(message);
  spans.onHoldEnded({ ...message, outcome: 'released', heldMS: 1 });
  return acquisition;
}

describe('the hold before', () => {
  it('is the one that was told, seen as that of another process, sampled or not', () => {
    const { spans, previous } = followed();
    hold(spans, 7, { previousTraceparent: TRACEPARENT });
    hold(spans, 9, { previousTraceparent: TRACEPARENT.replace(/00$/, '03') });
    const remote = { traceId: TRACE_ID, spanId: SPAN_ID, isRemote: true };
    expect(previous()).toEqual([
      { ...remote, traceFlags: 0 },
      { ...remote, traceFlags: 3 },
    ]);
  });

  it('is the one of this client where that has the token before', () => {
    const { spans, previous } = followed();
    const first = hold(spans, 7);
    hold(spans, 8, { previousTraceparent: TRACEPARENT });
    expect(first.traceparent).toBe(`00-${previous()[1]?.traceId}-${previous()[1]?.spanId}-01`);
    expect(previous()[1]?.isRemote).not.toBe(true);
  });

  it.each(['', 'x', TRACEPARENT.toUpperCase(), 7, null, {}])('is none where %j is told', (told) => {
    const { spans, previous } = followed();
    hold(spans, 7, { previousTraceparent: told as string });
    expect(previous()).toEqual([undefined]);
  });
});

describe('the traceparent of a hold', () => {
  it('is that of its span', () => {
    const { spans } = followed();
    expect(hold(spans, 7).traceparent).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  });

  it('has its flags in two digits', () => {
    const context = { traceId: TRACE_ID, spanId: SPAN_ID, traceFlags: 0x1f3 };
    expect(hold(followed(tracerOf(context)).spans, 7).traceparent).toBe(`00-${TRACE_ID}-${SPAN_ID}-f3`);
  });

  it('is left as it is where its span is none', () => {
    const { spans } = followed(tracerOf(INVALID_SPAN_CONTEXT));
    expect(hold(spans, 7)).not.toHaveProperty('traceparent');
  });
});

/** A tracer whose spans all have this context. */
function tracerOf(context: SpanContext): Tracer {
  const span = trace.wrapSpanContext(context);
  return { startSpan: () => span, startActiveSpan: () => expect.fail('no span of ours is made active') };
}
