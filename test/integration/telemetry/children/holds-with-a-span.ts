/**
 * A process that holds a lock under a span until a line comes in, and releases it. Prints the span of its hold, then what it released. Started by
 * `linked-spans.test.ts`.
 */
import { once } from 'node:events';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { LockClient } from 'mongo-distributed-locks';
import { instrument } from '#core/telemetry/opentelemetry.js';

const [, , uri = ''] = process.argv;
const exporter = new InMemorySpanExporter();
const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
const locks = new LockClient({ uri, leaseDurationMS: 60_000 });
instrument(locks, { tracerProvider, metrics: false });

const lock = await locks.lock({ resource: 'account', id: 7 });
console.log('held');
await once(process.stdin, 'data');
const released = await lock.unlock();
const [hold] = exporter.getFinishedSpans().filter(({ name }) => name === 'lock hold');
const links = hold?.links.map(({ attributes }) => attributes?.['lock.link.type']) ?? [];
console.log(JSON.stringify({ released, links, ...hold?.spanContext() }));
await locks.close();
process.exit();
