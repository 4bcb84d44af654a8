/**
 * Spans and metrics by OpenTelemetry, as a service would have them: `instrument` once, and each wait and each hold is a
 * span beneath the request that made the call. The SDK keeps everything in memory here; yours exports it.
 */
import assert from 'node:assert/strict';
import { context, type Span } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { LockClient } from 'mongo-distributed-locks';
import { instrument } from 'mongo-distributed-locks/opentelemetry';
import { withDatabase } from './support/database.js';

const ACCOUNT = { resource: 'account', id: 42 };

context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
const spans = new InMemorySpanExporter();
const figures = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] });
const meterProvider = new MeterProvider({ readers: [new PeriodicExportingMetricReader({ exporter: figures })] });
const tracer = tracerProvider.getTracer('shop');

await withDatabase(async ({ db }) => {
  const locks = new LockClient({ db });
  // The resource of a lock is shown because it was asked for; its id is not.
  const stop = instrument(locks, { tracerProvider, meterProvider, resourceNames: true });

  const request = (name: string) => async (span: Span) => {
    const book = async (): Promise<void> => tracer.startSpan(`book ${name}`).end(); // beneath the hold
    await locks.exec({ ...ACCOUNT, fn: book });
    span.end();
  };
  await Promise.all(['first', 'second'].map((name) => tracer.startActiveSpan(`request ${name}`, request(name))));
  await meterProvider.forceFlush();
  stop();
  await locks.close();
});

const finished = spans.getFinishedSpans();
const byId = new Map(finished.map((span) => [span.spanContext().spanId, span.name]));
for (const { name, parentSpanContext, links } of finished) {
  const linked = links.map((link) => `${link.attributes?.['lock.link.type']}: ${byId.get(link.context.spanId)}`);
  const parent = parentSpanContext === undefined ? '' : ` beneath "${byId.get(parentSpanContext.spanId)}"`;
  console.log(`span "${name}"${parent}${linked.length > 0 ? `, linked to ${linked.join(' and ')}` : ''}`);
}
const holds = finished.filter(({ name }) => name === 'lock hold account');
assert.deepEqual(
  holds.map(({ links }) => links.length),
  [1, 2], // to the wait; the second also to the hold before it
);
for (const name of ['first', 'second']) {
  const work = finished.find((span) => span.name === `book ${name}`);
  assert.equal(byId.get(work?.parentSpanContext?.spanId ?? ''), 'lock hold account');
}

const metrics = figures.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics));
for (const { descriptor, dataPoints } of metrics) {
  for (const { value } of dataPoints)
    console.log(`metric ${descriptor.name} [${descriptor.unit}]: ${typeof value === 'number' ? value : value.count}`);
}
const waits = metrics.find(({ descriptor }) => descriptor.name === 'lock.client.wait.duration')?.dataPoints[0]?.value;
assert(typeof waits === 'object' && waits.count === 2);
await Promise.all([tracerProvider.shutdown(), meterProvider.shutdown()]);
