/**
 * OpenTelemetry, by its real SDK with exporters in memory: which spans there are, whose children they are and what they link to, how they end, and that the
 * metrics say what happened and no more than was asked for.
 */
import { type Attributes, context, diag, SpanStatusCode, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { DLocks } from 'mongo-distributed-locks';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { METRICS } from '#core/telemetry/names.js';
import { type InstrumentOptions, instrument, instrumentAll } from '#core/telemetry/opentelemetry.js';
import { itLeavesNothingBehind, SETTINGS, type TestClient, useDatabase } from '../../support/database.js';
import { eventually, rejection } from '../../support/eventually.js';
import { Gate, hooked } from '../../support/hooked-ports.js';

const database = useDatabase(import.meta.url);
const pair = { resource: 'account', id: 'the-secret-id' };
/** Longer than any test: whoever wants the figures asks for them. */
const NEVER_MS = 2 ** 30;

let spanExporter: InMemorySpanExporter;
let metricExporter: InMemoryMetricExporter;
let tracerProvider: BasicTracerProvider;
let meterProvider: MeterProvider;
const stops: (() => void)[] = [];

beforeAll(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
});
afterAll(() => context.disable());

beforeEach(() => {
  spanExporter = new InMemorySpanExporter();
  metricExporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spanExporter)] });
  const reader = new PeriodicExportingMetricReader({ exporter: metricExporter, exportIntervalMillis: NEVER_MS });
  meterProvider = new MeterProvider({ readers: [reader] });
});

afterEach(async () => {
  for (const stop of stops.splice(0)) stop();
  await Promise.all([tracerProvider.shutdown(), meterProvider.shutdown()]);
  vi.restoreAllMocks();
});

/** Instruments clients until the end of the test, with the SDK of this file. */
function follow(clients: readonly TestClient[], options: InstrumentOptions = {}): () => void {
  const stop = instrument(
    clients.map(({ locks }) => locks),
    { tracerProvider, meterProvider, ...options },
  );
  stops.push(stop);
  return stop;
}

const spans = (): ReadableSpan[] => spanExporter.getFinishedSpans();
const spansOf = (name: string): ReadableSpan[] => spans().filter((span) => span.name === name);
const waits = (): ReadableSpan[] => spansOf('lock wait');
const holds = (): ReadableSpan[] => spansOf('lock hold');
const linked = ({ links }: ReadableSpan): unknown[] =>
  links.map((link) => [link.attributes?.['lock.link.type'], link.context.spanId]);

/** One value of a metric: of a histogram how many there were, and their sum. */
interface Point {
  readonly attributes: Attributes;
  readonly value: number;
  readonly count?: number;
}

/** The metrics as they are now, by name. */
async function collected(): Promise<ReadonlyMap<string, { readonly unit: string; readonly points: Point[] }>> {
  metricExporter.reset();
  await meterProvider.forceFlush();
  const [exported] = metricExporter.getMetrics();
  const all = exported?.scopeMetrics.flatMap(({ metrics }) => metrics) ?? [];
  return new Map(
    all.map(({ descriptor, dataPoints }) => [
      descriptor.name,
      { unit: descriptor.unit, points: dataPoints.map(({ attributes, value }) => ({ attributes, ...figures(value) })) },
    ]),
  );
}

function figures(value: unknown): { value: number; count?: number } {
  if (typeof value === 'number') return { value };
  const { sum = 0, count } = value as { sum?: number; count: number };
  return { value: sum, count };
}

/** The points of one metric; none: nothing was recorded. */
async function pointsOf(name: string): Promise<Point[]> {
  return (await collected()).get(name)?.points ?? [];
}

/** Everything that was exported, as one text. */
async function everything(): Promise<string> {
  const shown = spans().map(({ name, attributes, links, events, status }) => ({
    name,
    attributes,
    links: links.map((link) => link.attributes),
    events: events.map((event) => [event.name, event.attributes]),
    status,
  }));
  return JSON.stringify([shown, [...(await collected())]]);
}

async function declareDead(session: string): Promise<void> {
  const sessions = database.db.collection<{ _id: string }>('dlocks.sessions');
  await sessions.updateOne({ _id: session }, { $set: { state: 'dead', until: new Date() } });
}

describe('the spans of a call', () => {
  it('are its wait and its hold, children of what was active, the hold linked to the wait', async () => {
    const client = await database.connected();
    follow([client]);
    const tracer = tracerProvider.getTracer('test');
    const token = await tracer.startActiveSpan('request', async (request) => {
      const lock = await client.locks.lock(pair);
      await lock.unlock();
      request.end();
      return lock.fencingToken;
    });
    const [request] = spansOf('request');
    const [wait] = waits();
    const [hold] = holds();
    for (const span of [wait, hold]) {
      expect(span?.parentSpanContext?.spanId).toBe(request?.spanContext().spanId);
      expect(span?.spanContext().traceId).toBe(request?.spanContext().traceId);
      expect(span?.status.code).toBe(SpanStatusCode.UNSET);
      expect(span?.instrumentationScope.name).toBe('mongo-distributed-locks');
    }
    expect(hold && linked(hold)).toEqual([['wait', wait?.spanContext().spanId]]);
    expect(wait?.attributes).toEqual({
      'lock.operation.name': 'lock',
      'lock.outcome': 'granted',
      'lock.fencing_token': token,
    });
    expect(hold?.attributes).toEqual({
      'lock.operation.name': 'lock',
      'lock.outcome': 'released',
      'lock.fencing_token': token,
      'lock.session': client.session,
    });
  });

  it('have what fn of an exec does as children of the hold', async () => {
    const client = await database.connected();
    follow([client]);
    const tracer = tracerProvider.getTracer('test');
    const work = async (): Promise<void> => {
      await Promise.resolve();
      tracer.startSpan('work').end();
    };
    await tracer.startActiveSpan('request', async (request) => {
      await client.locks.exec({ ...pair, fn: work });
      expect(trace.getActiveSpan()).toBe(request);
      request.end();
    });
    const [child] = spansOf('work');
    expect(child?.parentSpanContext?.spanId).toBe(holds()[0]?.spanContext().spanId);
    expect(child?.spanContext().traceId).toBe(spansOf('request')[0]?.spanContext().traceId);
  });

  it('are roots where nothing was active', async () => {
    const client = await database.connected();
    follow([client]);
    await client.locks.exec({ ...pair, fn: () => {} });
    expect([...waits(), ...holds()].map(({ parentSpanContext }) => parentSpanContext)).toEqual([undefined, undefined]);
  });

  it('of callers that are served one after the other link each hold to its wait, and to the hold before it', async () => {
    const client = await database.connected();
    follow([client]);
    await Promise.all(Array.from({ length: 3 }, () => client.locks.exec({ ...pair, fn: () => {} })));
    const ordered = holds();
    const tokens = ordered.map(({ attributes }) => Number(attributes['lock.fencing_token']));
    expect(tokens).toEqual([tokens[0], Number(tokens[0]) + 1, Number(tokens[0]) + 2]);
    for (const [index, hold] of ordered.entries()) {
      // Each wait ended with the token of its hold.
      const wait = waits().find(({ attributes }) => attributes['lock.fencing_token'] === tokens[index]);
      const before = ordered[index - 1];
      expect(linked(hold)).toEqual([
        ['wait', wait?.spanContext().spanId],
        ...(before === undefined ? [] : [['previous_hold', before.spanContext().spanId]]),
      ]);
    }
  });

  it('of two clients link to each other as well, and are joined by their tokens', async () => {
    const clients = [await database.connected(), await database.connected()] as const;
    follow(clients);
    for (const { locks } of clients) await locks.exec({ ...pair, fn: () => {} });
    const [first, second] = holds();
    expect(second && linked(second)).toEqual([
      ['wait', waits()[1]?.spanContext().spanId],
      ['previous_hold', first?.spanContext().spanId],
    ]);
    const token = ({ attributes }: ReadableSpan): number => Number(attributes['lock.fencing_token']);
    expect(first && second && token(second) - token(first)).toBe(1);
  });

  it('do not link to an earlier hold where another process has held in between', async () => {
    const clients = [await database.connected(), await database.connected()] as const;
    follow([clients[0]]);
    for (const { locks } of [...clients, clients[0]]) await locks.exec({ ...pair, fn: () => {} });
    expect(holds().map((hold) => linked(hold).length)).toEqual([1, 1]);
    await clients[0].locks.exec({ ...pair, fn: () => {} });
    expect(holds().map((hold) => linked(hold).length)).toEqual([1, 1, 2]);
  });

  it('tell on the wait when it was queued, and where it stood only if asked', async () => {
    const clients = [await database.connected(), await database.connected()] as const;
    const [holder, client] = clients;
    const stop = follow([client]);
    for (const queuePositions of [false, true]) {
      const lock = await holder.locks.lock(pair);
      if (queuePositions) {
        stop();
        follow([client], { queuePositions });
      }
      const waiting = client.locks.lock(pair);
      await database.untilWaiting(pair, 1);
      if (queuePositions) await eventually(async () => (await pointsOf(METRICS.queuePosition.name)).length > 0);
      await lock.unlock();
      await (await waiting).unlock();
    }
    const instants = waits().map(({ events }) => events.map(({ name, attributes }) => [name, attributes]));
    expect(instants[0]).toEqual([['lock.queued', {}]]);
    expect(instants[1]).toEqual(expect.arrayContaining([['lock.queued', {}]]));
    expect(instants[1]).toEqual(expect.arrayContaining([['lock.position', { 'lock.queue.position': 1 }]]));
  });
});

describe('a call that fails', () => {
  it('in time, by its own reason or by a close has a wait with the status of an error, and no hold', async () => {
    const [holder, client] = [await database.connected(), await database.connected()];
    follow([client]);
    const lock = await holder.locks.lock(pair);
    await rejection(client.locks.lock({ ...pair, timeoutMS: 5 }));
    const controller = new AbortController();
    const aborted = rejection(client.locks.lock({ ...pair, signal: controller.signal }));
    controller.abort();
    await aborted;
    const odd = new AbortController();
    const oddly = rejection(client.locks.lock({ ...pair, signal: odd.signal }));
    odd.abort({ any: 'thing' });
    await oddly;
    const closed = rejection(client.locks.lock(pair));
    await client.locks.close();
    await closed;
    expect(
      waits().map(({ attributes, status }) => [attributes['lock.outcome'], attributes['error.type'], status]),
    ).toEqual(
      [
        ['timeout', 'LOCK_TIMEOUT'],
        ['aborted', 'AbortError'],
        ['aborted', '_OTHER'],
        ['closed', 'LOCK_CLOSED'],
      ].map(([outcome, type]) => [outcome, type, { code: SpanStatusCode.ERROR, message: type }]),
    );
    expect(holds()).toEqual([]);
    await lock.unlock();
  });

  it('is no error where tryLock is refused', async () => {
    const client = await database.connected();
    const lock = await client.locks.lock(pair);
    follow([client]);
    expect(await client.locks.tryLock(pair)).toBeNull();
    const [wait] = waits();
    expect(wait?.status.code).toBe(SpanStatusCode.UNSET);
    expect(wait?.attributes).toEqual({ 'lock.operation.name': 'tryLock', 'lock.outcome': 'refused' });
    await lock.unlock();
  });
});

describe('a hold that is lost', () => {
  it('has the status of an error, and is counted', async () => {
    const client = await database.connected({ heartbeatIntervalMS: 100 });
    follow([client]);
    const lock = await client.locks.lock(pair);
    await declareDead(client.session);
    await eventually(() => lock.signal.aborted);
    const [hold] = holds();
    expect(hold?.status).toEqual({ code: SpanStatusCode.ERROR, message: 'LOCK_LOST' });
    expect(hold?.attributes).toMatchObject({ 'lock.outcome': 'lost', 'error.type': 'LOCK_LOST' });
    expect(hold?.attributes['lock.forced']).toBeUndefined();
    expect(await pointsOf(METRICS.losses.name)).toEqual([
      { attributes: { 'lock.operation.name': 'lock', 'lock.forced': false }, value: 1 },
    ]);
    expect(await pointsOf(METRICS.sessionLosses.name)).toEqual([{ attributes: {}, value: 1 }]);
  });

  it('by a forced release says so', async () => {
    const client = await database.connected();
    follow([client]);
    const lock = await client.locks.lock(pair);
    const { fencingToken } = lock;
    expect(await client.locks.forceRelease({ ...pair, fencingToken, reason: 'it hangs' })).toBe(true);
    await eventually(() => lock.signal.aborted);
    expect(holds()[0]?.attributes).toMatchObject({ 'lock.outcome': 'lost', 'lock.forced': true });
    expect(await pointsOf(METRICS.losses.name)).toEqual([
      { attributes: { 'lock.operation.name': 'lock', 'lock.forced': true }, value: 1 },
    ]);
    expect(await everything()).not.toContain('it hangs');
  });

  it('or whose release nobody acknowledged ends all the same', async () => {
    const never = new Gate();
    const late = async <T>(send: () => Promise<T>): Promise<T> => never.pass().then(send);
    const silent = hooked({ vacate: late, renewSession: late, condemnSession: late });
    const client = await database.connected({ leaseDurationMS: 1_000 }, silent);
    client.expectsErrors = true;
    follow([client]);
    const lock = await client.locks.lock(pair);
    expect(await lock.unlock()).toBe(false);
    never.open();
    await eventually(async () => (await database.holder(pair)) === null);
    expect(holds()[0]?.attributes).toMatchObject({ 'lock.outcome': 'unknown', 'error.type': 'LOCK_OUTCOME_UNKNOWN' });
    expect(await pointsOf(METRICS.holdCount.name)).toEqual([
      { attributes: { 'lock.operation.name': 'lock' }, value: 0 },
    ]);
  });
});

describe('yield', () => {
  it('is a wait and a hold of its own', async () => {
    const client = await database.connected();
    follow([client]);
    const lock = await client.locks.lock(pair);
    const first = lock.fencingToken;
    const other = client.locks.exec({ ...pair, fn: () => {} });
    await database.untilWaiting(pair, 1);
    await lock.yield();
    await other;
    await lock.unlock();
    const said = holds().map(({ attributes }) => [attributes['lock.operation.name'], attributes['lock.fencing_token']]);
    expect(said).toEqual([
      ['lock', first],
      ['exec', expect.any(Number)],
      ['yield', lock.fencingToken],
    ]);
    expect(waits().map(({ attributes }) => attributes['lock.operation.name'])).toEqual(['lock', 'exec', 'yield']);
  });
});

describe('the metrics', () => {
  it('have the names and units of their table', async () => {
    const holder = await database.connected({ leaseDurationMS: 60_000, patrolIntervalMS: 60_000 });
    const client = await database.connected({ heartbeatIntervalMS: 100, patrolIntervalMS: 100 });
    follow([client], { queuePositions: true });
    const recorded = (name: string) => eventually(async () => (await pointsOf(name)).length > 0);
    const lock = await holder.locks.lock(pair);
    const waiting = client.locks.lock(pair);
    await recorded(METRICS.queuePosition.name);
    await rejection(client.locks.lock({ ...pair, timeoutMS: 1 }));
    await lock.unlock();
    const mine = await waiting;
    for (const { name } of [METRICS.streamLag, METRICS.heartbeatDelay]) await recorded(name);
    await mine.unlock();
    const left = await holder.locks.lock(pair);
    const taken = client.locks.lock(pair);
    await database.untilWaiting(pair, 1);
    await declareDead(holder.session);
    const { signal } = await taken;
    await recorded(METRICS.takeovers.name);
    await declareDead(client.session);
    await eventually(() => signal.aborted);
    await left.unlock();
    const rows = Object.values(METRICS);
    const found = [...(await collected())].map(([name, { unit }]) => ({ name, unit }));
    for (const each of found) expect(rows).toContainEqual(expect.objectContaining(each));
    // What it takes an outage to happen is for the tests of the events.
    const rare = [METRICS.streamInterruptions.name, METRICS.errors.name] as string[];
    expect(found.map(({ name }) => name).sort()).toEqual(
      expect.arrayContaining(
        rows
          .map(({ name }) => name as string)
          .filter((name) => !rare.includes(name))
          .sort(),
      ),
    );
  });

  it('say for how long calls waited and locks were held, as the events do', async () => {
    const [holder, client] = [await database.connected(), await database.connected()];
    follow([holder, client]);
    for (const { locks } of [holder, client]) await locks.exec({ ...pair, fn: () => {} });
    const lock = await holder.locks.lock(pair);
    const waiting = client.locks.lock(pair);
    await database.untilWaiting(pair, 1);
    await lock.unlock();
    await (await waiting).unlock();
    for (const [name, event, field, outcome] of [
      [METRICS.waitDuration.name, 'granted', 'waitedMS', 'granted'],
      [METRICS.holdDuration.name, 'released', 'heldMS', 'released'],
    ] as const) {
      const points = await pointsOf(name);
      const events = [holder, client].flatMap(({ seen }) => seen(event));
      const secondsSum = events.reduce((sum, payload) => sum + Number(payload[field]), 0) / 1_000;
      expect(points.map(({ attributes }) => attributes)).toEqual(
        ['exec', 'lock'].map((method) => ({ 'lock.operation.name': method, 'lock.outcome': outcome })),
      );
      expect(points.map(({ count }) => count)).toEqual([2, 2]);
      expect(points.reduce((sum, { value }) => sum + value, 0)).toBeCloseTo(secondsSum, 9);
    }
  });

  it('count who waits and what is held now', async () => {
    const client = await database.connected();
    follow([client]);
    const now = async (): Promise<number[][]> => {
      const metrics = await collected();
      return [METRICS.waitCount, METRICS.holdCount].map(
        ({ name }) => metrics.get(name)?.points.map(({ value }) => value) ?? [],
      );
    };
    const lock = await client.locks.lock(pair);
    const waiting = [client.locks.lock(pair), client.locks.lock(pair)];
    await database.untilWaiting(pair, 2);
    expect(await now()).toEqual([[2], [1]]);
    await lock.unlock();
    for (const each of waiting) await (await each).unlock();
    expect(await now()).toEqual([[0], [0]]);
  });

  it('count the calls that were not served in time', async () => {
    const client = await database.connected();
    follow([client]);
    const lock = await client.locks.lock(pair);
    await Promise.all([1, 2].map((timeoutMS) => rejection(client.locks.lock({ ...pair, timeoutMS }))));
    expect(await pointsOf(METRICS.timeouts.name)).toEqual([
      { attributes: { 'lock.operation.name': 'lock' }, value: 2 },
    ]);
    const durations = await pointsOf(METRICS.waitDuration.name);
    expect(durations.find(({ attributes }) => attributes['lock.outcome'] === 'timeout')).toMatchObject({
      count: 2,
      attributes: { 'error.type': 'LOCK_TIMEOUT' },
    });
    await lock.unlock();
  });

  it('count the sessions that were found dead, and the locks that were taken over from them', async () => {
    // The holder does not notice by itself before the waiter does.
    const holder = await database.connected({ leaseDurationMS: 60_000, patrolIntervalMS: 60_000 });
    const client = await database.connected({ patrolIntervalMS: 100 });
    follow([client]);
    const held = await Promise.all([1, 2, 3].map((id) => holder.locks.lock({ resource: 'many', id })));
    const waiting = client.locks.lock({ resource: 'many', id: 1 });
    await database.untilWaiting({ resource: 'many', id: 1 }, 1);
    await declareDead(holder.session);
    await (await waiting).unlock();
    await eventually(() => client.seen('session:reaped').length > 0);
    const reaped = client.seen('session:reaped');
    const locksCount = reaped.reduce((sum, payload) => sum + Number(payload.locksCount), 0);
    expect(await pointsOf(METRICS.takeovers.name)).toEqual([{ attributes: {}, value: locksCount }]);
    expect(locksCount).toBeGreaterThanOrEqual(1);
    expect(await pointsOf(METRICS.sessionsReaped.name)).toEqual([{ attributes: {}, value: reaped.length }]);
    await Promise.all(held.map((lock) => lock.unlock()));
  });

  it('have each heartbeat and each delivery of the stream', async () => {
    const [holder, client] = [await database.connected(), await database.connected({ heartbeatIntervalMS: 100 })];
    const seen = { renewed: 0, delivered: 0, delaysMS: 0, lagsMS: 0 };
    client.locks.on('session:renewed', ({ delayMS }) => {
      seen.renewed += 1;
      seen.delaysMS += delayMS;
    });
    client.locks.on('stream:delivered', ({ lagMS }) => {
      seen.delivered += 1;
      seen.lagsMS += lagMS;
    });
    follow([client]);
    const lock = await holder.locks.lock(pair);
    const waiting = client.locks.lock(pair);
    await database.untilWaiting(pair, 1);
    await lock.unlock();
    const mine = await waiting;
    await eventually(() => seen.renewed >= 2 && seen.delivered >= 1);
    await mine.unlock();
    await client.locks.close();
    const [delay] = await pointsOf(METRICS.heartbeatDelay.name);
    const [lag] = await pointsOf(METRICS.streamLag.name);
    expect(delay).toMatchObject({ count: seen.renewed, value: expect.closeTo(seen.delaysMS / 1_000, 9) });
    expect(lag).toMatchObject({ count: seen.delivered, value: expect.closeTo(seen.lagsMS / 1_000, 9) });
  });

  it('count what failed in the background, by its kind', async () => {
    let failed = false;
    const once = async <T>(send: () => Promise<T>): Promise<T> => {
      if (failed) return send();
      failed = true;
      throw new TypeError('broken on purpose');
    };
    const client = await database.connected({}, hooked({ vacate: once }));
    client.expectsErrors = true;
    follow([client]);
    await client.locks.exec({ ...pair, fn: () => {} });
    expect(await pointsOf(METRICS.errors.name)).toEqual([{ attributes: { 'error.type': 'TypeError' }, value: 1 }]);
  });
});

describe("the caller's own values", () => {
  const labelled = { ...pair, label: 'the-secret-label' };

  /** Everything that can happen to a call that names its lock in its error. */
  async function useUp({ locks }: TestClient): Promise<void> {
    const lock = await locks.lock(labelled);
    await rejection(locks.lock({ ...labelled, timeoutMS: 1 }));
    await rejection(locks.lock({ ...labelled, signal: AbortSignal.abort(new Error(`not ${pair.id}`)) }));
    await lock.unlock();
  }

  it('are nowhere by default', async () => {
    const client = await database.connected();
    follow([client]);
    await useUp(client);
    const text = await everything();
    expect(text).toContain('LOCK_TIMEOUT');
    for (const value of [pair.resource, pair.id, labelled.label]) expect(text).not.toContain(value);
  });

  it('are shown as far as was asked: resources on spans and metrics, ids and labels on spans only', async () => {
    const client = await database.connected();
    follow([client], { resourceNames: true, resourceIds: true });
    await useUp(client);
    expect(spans().map(({ name }) => name)).toEqual(expect.arrayContaining(['lock wait account', 'lock hold account']));
    for (const { attributes } of spans())
      expect(attributes).toMatchObject({
        'lock.resource': 'account',
        'lock.id': pair.id,
        'lock.label': labelled.label,
      });
    const points = await pointsOf(METRICS.waitDuration.name);
    for (const { attributes } of points) expect(attributes['lock.resource']).toBe('account');
    expect(JSON.stringify([...(await collected())])).not.toMatch(/the-secret/);
  });
});

describe('instrument', () => {
  it('follows the clients it was given, and instrumentAll every one', async () => {
    const [mine, other] = [await database.connected(), await database.connected()];
    follow([mine]);
    for (const { locks } of [mine, other]) await locks.exec({ ...pair, fn: () => {} });
    expect(holds().map(({ attributes }) => attributes['lock.session'])).toEqual([mine.session]);
    for (const stop of stops.splice(0)) stop();
    spanExporter.reset();
    stops.push(instrumentAll({ tracerProvider, meterProvider }));
    await other.locks.exec({ ...pair, fn: () => {} });
    DLocks.configure({ uri: database.uri, ...SETTINGS });
    await DLocks.exec({ ...pair, fn: () => {} });
    await DLocks.close();
    expect(holds()).toHaveLength(2);
  });

  it('refuses what is no client', () => {
    for (const given of [undefined, {}, DLocks, [null]])
      expect(() => instrument(given as never)).toThrow(expect.objectContaining({ code: 'LOCK_INVALID_ARGUMENT' }));
  });

  it('makes spans or metrics alone where told so', async () => {
    const client = await database.connected();
    follow([client], { spans: false });
    await client.locks.exec({ ...pair, fn: () => {} });
    expect(spans()).toEqual([]);
    expect(await pointsOf(METRICS.holdDuration.name)).toMatchObject([{ count: 1 }]);
    for (const stop of stops.splice(0)) stop();
    follow([client], { metrics: false });
    await client.locks.exec({ ...pair, fn: () => {} });
    expect(spans()).toHaveLength(2);
    expect(await pointsOf(METRICS.holdDuration.name)).toMatchObject([{ count: 1 }]);
  });

  it('is ended by what it gives: open spans are closed, and nothing more is recorded', async () => {
    const client = await database.connected();
    const stop = follow([client]);
    const lock = await client.locks.lock(pair);
    const waiting = client.locks.lock(pair);
    await database.untilWaiting(pair, 1);
    stop();
    stop();
    const outcomes = spans().map(({ name, attributes }) => [name, attributes['lock.outcome']]);
    expect(outcomes).toEqual([
      ['lock wait', 'granted'],
      ['lock hold', 'unobserved'],
      ['lock wait', 'unobserved'],
    ]);
    await lock.unlock();
    await (await waiting).unlock();
    expect(spans()).toHaveLength(3);
    expect(await pointsOf(METRICS.holdDuration.name)).toEqual([]);
    for (const { name } of [METRICS.waitCount, METRICS.holdCount])
      expect((await pointsOf(name)).map(({ value }) => value)).toEqual([0]);
  });

  it('counts what was called since, whoever else follows', async () => {
    const client = await database.connected();
    stops.push(instrumentAll({ metrics: false, tracerProvider: new BasicTracerProvider() }));
    const lock = await client.locks.lock(pair);
    follow([client]);
    await lock.unlock();
    expect(spans()).toEqual([]);
    for (const { name } of [METRICS.holdCount, METRICS.holdDuration]) expect(await pointsOf(name)).toEqual([]);
  });

  it('adds up where each client is instrumented by itself', async () => {
    const clients = [await database.connected(), await database.connected()] as const;
    for (const client of clients) follow([client]);
    const held = await Promise.all(clients.map(({ locks }, id) => locks.lock({ resource: 'each', id })));
    expect((await pointsOf(METRICS.holdCount.name)).map(({ value }) => value)).toEqual([2]);
    await Promise.all(held.map((lock) => lock.unlock()));
    expect((await pointsOf(METRICS.holdCount.name)).map(({ value }) => value)).toEqual([0]);
  });

  it('harms no call where recording fails', async () => {
    const said = vi.spyOn(diag, 'error').mockImplementation(() => {});
    const client = await database.connected();
    const broken = (): never => {
      throw new Error('broken on purpose');
    };
    follow([client], { tracerProvider: { getTracer: () => ({ startSpan: broken, startActiveSpan: broken }) } });
    expect(await client.locks.exec({ ...pair, fn: () => 'value' })).toBe('value');
    expect(said).toHaveBeenCalled();
    expect(await pointsOf(METRICS.holdDuration.name)).toMatchObject([{ count: 1 }]);
  });
});

itLeavesNothingBehind(database);
