/**
 * The hold of one client linked to that of the client before it, over the lock document: by each of the writes that pass a lock on, and never to any
 * other hold. Each client has an OpenTelemetry of its own here, as each process has. That no hold is told of a wrong one, whatever happens, is
 * the simulation's.
 */
import { spawn } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import type { SpanContext } from '@opentelemetry/api';
import {
  AlwaysOffSampler,
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  type Sampler,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { afterEach, describe, expect, it } from 'vitest';
import { CHANNELS, type HoldMessage } from '#core/diagnostics.js';
import { parseTrace } from '#core/protocol/trace.js';
import { instrument } from '#core/telemetry/opentelemetry.js';
import { GRANTED_FIELDS, itLeavesNothingBehind, type TestClient, useDatabase } from '../../support/database.js';
import { eventually } from '../../support/eventually.js';
import { Gate, hooked } from '../../support/hooked-ports.js';

const database = useDatabase(import.meta.url);
const pair = { resource: 'account', id: 7 };
const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const CHILD = fileURLToPath(new URL('./children/holds-with-a-span.ts', import.meta.url));
const TRACE_ID = 'a'.repeat(32);
const SPAN_ID = 'b'.repeat(16);
const TRACEPARENT = `00-${TRACE_ID}-${SPAN_ID}-01`;

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

/** A client with the spans of its own holds. */
interface Followed extends TestClient {
  holds(): ReadableSpan[];
}

/** Makes spans of what a client does, until the end of the test. */
function follow(client: TestClient, sampler?: Sampler): Followed {
  const exporter = new InMemorySpanExporter();
  const spanProcessors = [new SimpleSpanProcessor(exporter)];
  const tracerProvider = new BasicTracerProvider({ spanProcessors, ...(sampler && { sampler }) });
  const stop = instrument(client.locks, { tracerProvider, metrics: false });
  stops.push(stop, () => tracerProvider.shutdown());
  const holds = (): ReadableSpan[] => exporter.getFinishedSpans().filter(({ name }) => name === 'lock hold');
  return Object.assign(client, { holds });
}

const followed = async (...given: Parameters<typeof database.connected>): Promise<Followed> =>
  follow(await database.connected(...given));

/** To which hold a hold is linked; null: to none. */
function previousOf(hold: ReadableSpan | undefined): SpanContext | null {
  const links = hold?.links.filter(({ attributes }) => attributes?.['lock.link.type'] === 'previous_hold') ?? [];
  expect(links.length).toBeLessThan(2);
  return links[0]?.context ?? null;
}

/** The span of a hold, as another process sees it. */
const asRemote = (hold: ReadableSpan | undefined): object | null => {
  const { traceId, spanId, traceFlags } = hold?.spanContext() ?? {};
  return { traceId, spanId, traceFlags, isRemote: true };
};

/** What a subscriber other than OpenTelemetry does at each beginning of a hold. */
function onHold(call: (hold: HoldMessage) => void): void {
  const listener = (message: unknown): void => call(message as HoldMessage);
  subscribe(CHANNELS.holdStart, listener);
  stops.push(() => unsubscribe(CHANNELS.holdStart, listener));
}

const locksOf = () => database.db.collection<{ _id: string; trace?: unknown }>('dlocks');

describe('a hold is linked to the one before it in another client', () => {
  it('by HANDOFF, by VACATE that grants who came first, and by TRY after VACATE', async () => {
    const [a, b, c] = [await followed(), await followed(), await followed()];
    const first = await a.locks.lock(pair);
    const second = b.locks.lock(pair);
    await database.untilWaiting(pair, 1);
    const third = c.locks.lock(pair);
    await database.untilWaiting(pair, 2);
    for (const { commands } of [a, b, c]) commands.clear();
    await first.unlock();
    const ofSecond = await second;
    // A ticket that is not deleted yet is found by whoever reads the queue next, and granted once more.
    await eventually(async () => (await database.waitersCount(pair)) === 1);
    await ofSecond.unlock();
    await (await third).unlock();
    // VACATE is a findAndModify, HANDOFF an update.
    const writes = [a, b, c].map(({ commands }) =>
      commands.names.filter((name) => /^(update|findAndModify)$/.test(name)),
    );
    expect(writes).toEqual([['findAndModify'], ['update'], ['findAndModify']]);
    const [ofA] = a.holds();
    const [ofB] = b.holds();
    const [ofC] = c.holds();
    expect(previousOf(ofA)).toBeNull();
    expect(previousOf(ofB)).toEqual(asRemote(ofA));
    expect(previousOf(ofC)).toEqual(asRemote(ofB));
    // Not a: who has just passed a lock on goes straight to the queue.
    const d = await followed();
    await d.locks.exec({ ...pair, fn: () => {} });
    expect(previousOf(d.holds()[0])).toEqual(asRemote(ofC));
    expect(new Set([ofA, ofB, ofC].map((hold) => hold?.spanContext().traceId)).size).toBe(3);
  });

  it('by what is stored: the last token of the run, and the traceparent of its last hold', async () => {
    const a = await followed();
    const held = [a.locks.lock(pair), a.locks.lock(pair)];
    for (const each of held) await (await each).unlock();
    const { trace, fence } = (await database.stored(pair)) ?? {};
    const { traceId, spanId } = a.holds()[1]?.spanContext() ?? {};
    expect(trace).toBe(`${fence}/00-${traceId}-${spanId}-01`);
    expect(parseTrace(trace)).toEqual({ fencingToken: fence, traceparent: `00-${traceId}-${spanId}-01` });
  });

  it('where the patrol delivers the grant', async () => {
    const a = await followed();
    const b = await followed({ patrolIntervalMS: 100 }, hooked({ fact: () => {} }));
    const lock = await a.locks.lock(pair);
    const waiting = b.locks.lock(pair);
    await database.untilWaiting(pair, 1);
    await lock.unlock();
    await (await waiting).unlock();
    expect(previousOf(b.holds()[0])).toEqual(asRemote(a.holds()[0]));
  });

  it('where that one is not sampled', async () => {
    const a = follow(await database.connected(), new AlwaysOffSampler());
    const b = await followed();
    const told: string[] = [];
    b.locks.on('granted', ({ previousTraceparent }) => told.push(String(previousTraceparent)));
    await a.locks.exec({ ...pair, fn: () => {} });
    await b.locks.exec({ ...pair, fn: () => {} });
    expect(a.holds()).toEqual([]);
    const [, traceId, spanId, flags] = told[0]?.split('-') ?? [];
    expect(flags).toBe('00');
    expect(previousOf(b.holds()[0])).toEqual({ traceId, spanId, traceFlags: 0, isRemote: true });
  });

  it('where that one was lost because its client was closed', async () => {
    const [a, b] = [await followed(), await followed()];
    await a.locks.lock(pair);
    const waiting = b.locks.lock(pair);
    await database.untilWaiting(pair, 1);
    await a.locks.close();
    await (await waiting).unlock();
    expect(a.holds()[0]?.attributes['lock.outcome']).toBe('lost');
    expect(previousOf(b.holds()[0])).toEqual(asRemote(a.holds()[0]));
  });

  it('where the first caller of the run has left before its turn', async () => {
    const [a, b] = [await followed(), await followed()];
    const lock = await a.locks.lock(pair);
    const leaving = new AbortController();
    const left = b.locks.lock({ ...pair, signal: leaving.signal }).catch(() => 'left');
    const waiting = b.locks.lock(pair);
    await database.untilWaiting(pair, 2);
    leaving.abort();
    expect(await left).toBe('left');
    await lock.unlock();
    const next = await waiting;
    await next.unlock();
    expect(next.fencingToken).toBe(lock.fencingToken + 2);
    expect(previousOf(b.holds()[0])).toEqual(asRemote(a.holds()[0]));
  });

  it('where a caller that had left was granted in between', async () => {
    const [a, c] = [await followed(), await followed()];
    const gate = new Gate();
    const granted: string[] = [];
    const late = async <T>(send: () => Promise<T>): Promise<T> => gate.pass().then(send);
    const fact = (deliver: () => void, { grant }: { readonly grant: string }): void => {
      granted.push(grant);
      deliver();
    };
    const b = await database.connected({}, hooked({ clearArrivals: late, deleteTickets: late, fact }));
    const lock = await a.locks.lock(pair);
    const leaving = new AbortController();
    const left = b.locks.lock({ ...pair, signal: leaving.signal }).catch(() => 'left');
    await database.untilWaiting(pair, 1);
    const waiting = c.locks.lock(pair);
    await database.untilWaiting(pair, 2);
    leaving.abort();
    expect(await left).toBe('left');
    await lock.unlock();
    await eventually(() => granted.length > 0);
    gate.open();
    const next = await waiting;
    expect(next.fencingToken).toBe(lock.fencingToken + 2);
    await next.unlock();
    expect(previousOf(c.holds()[0])).toEqual(asRemote(a.holds()[0]));
  });

  it('in another process', async () => {
    const b = await followed();
    const child = spawn(process.execPath, ['--import', 'tsx', CHILD, database.uri], { cwd: ROOT });
    stops.push(() => child.kill('SIGKILL'));
    let output = '';
    for (const channel of [child.stdout, child.stderr]) channel.on('data', (text) => (output += text));
    await eventually(() => output.includes('held'), 15_000).catch(() => expect.fail(output));
    const waiting = b.locks.lock(pair);
    await database.untilWaiting(pair, 1);
    child.stdin.write('\n');
    await (await waiting).unlock();
    await eventually(() => output.includes('}\n'));
    const { released, links, ...span } = JSON.parse(output.split('\n')[1] ?? '');
    expect([released, links]).toEqual([true, ['wait']]);
    expect(previousOf(b.holds()[0])).toEqual({ ...span, isRemote: true });
    await eventually(() => child.exitCode !== null);
  });
});

describe('a hold is linked to none', () => {
  it('where the one before it was ended by force', async () => {
    const [a, b] = [await followed(), await followed()];
    // It leaves the trace that must not be taken for that of the next.
    await a.locks.exec({ ...pair, fn: () => {} });
    const { fencingToken } = await a.locks.lock(pair);
    const waiting = b.locks.lock(pair);
    await database.untilWaiting(pair, 1);
    expect(await b.locks.forceRelease({ ...pair, fencingToken, reason: 'it hangs' })).toBe(true);
    const next = await waiting;
    expect(next.fencingToken).toBe(fencingToken + 1);
    const { trace } = (await database.stored(pair)) ?? {};
    expect(parseTrace(trace)?.fencingToken).toBe(fencingToken - 1);
    await next.unlock();
    expect(previousOf(b.holds()[0])).toBeNull();
  });

  it('where the one before it was followed by nobody, whoever held earlier', async () => {
    const [a, b] = [await followed(), await followed()];
    const other = await database.connected();
    for (const { locks } of [a, other, b]) await locks.exec({ ...pair, fn: () => {} });
    expect(previousOf(b.holds()[0])).toBeNull();
  });

  it('and nothing fails, where what is stored is no trace', async () => {
    const [a, b] = [await followed(), await followed()];
    const bad: ((text: string) => unknown)[] = [
      (text) => text.toUpperCase(),
      (text) => text.slice(0, -1),
      (text) => `${text}0`,
      (text) => text.replace(/-[0-9a-f]{16}-/, `-${'0'.repeat(16)}-`),
      (text) => text.replace('/', ':'),
      (text) => ({ $literal: text }),
      (text) => [text],
      () => 7,
      () => null,
      () => '',
    ];
    for (const spoil of bad) {
      await a.locks.exec({ ...pair, fn: () => {} });
      const trace = spoil(String((await database.stored(pair))?.trace));
      await locksOf().updateMany({}, { $set: { trace } });
      await b.locks.exec({ ...pair, fn: () => {} });
    }
    expect(b.holds().map(previousOf)).toEqual(bad.map(() => null));
    // The one after each is linked again.
    expect(a.holds().slice(1).map(previousOf)).toEqual(b.holds().slice(0, -1).map(asRemote));
  });
});

describe('the trace', () => {
  it('is not written, and not looked for but in the stream, where nobody follows', async () => {
    const [a, b] = [await database.connected(), await database.connected()];
    const first = await a.locks.lock(pair);
    const second = b.locks.lock(pair);
    await database.untilWaiting(pair, 1);
    const third = a.locks.lock(pair);
    await database.untilWaiting(pair, 2);
    await first.unlock();
    await (await second).unlock();
    const last = await third;
    expect(Object.keys((await database.stored(pair)) ?? {}).sort()).toEqual(GRANTED_FIELDS);
    await last.unlock();
    const sent = [a, b].flatMap(({ commands }) => [...commands.sent]);
    const names = sent.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['findAndModify', 'update', 'aggregate', 'delete']));
    const saying = sent.filter(({ command }) =>
      /\btrace\b/.test(inspect(command, { depth: Number.POSITIVE_INFINITY })),
    );
    expect(saying).toEqual([]);
    expect([a, b].flatMap(({ seen }) => seen('granted')).filter((event) => 'previousTraceparent' in event)).toEqual([]);
  });

  it('is whatever a subscriber says, and told to the next by event and message', async () => {
    const [a, b] = [await database.connected(), await database.connected()];
    const told: unknown[] = [];
    onHold((hold) => {
      if (hold.client === a.locks) hold.acquisition.traceparent = TRACEPARENT;
      else told.push(hold.previousTraceparent);
    });
    const lock = await a.locks.lock(pair);
    const waiting = b.locks.lock(pair);
    await database.untilWaiting(pair, 1);
    await lock.unlock();
    await (await waiting).unlock();
    expect(told).toEqual([TRACEPARENT]);
    expect(b.seen('granted')).toMatchObject([{ previousTraceparent: TRACEPARENT }]);
    expect(a.seen('granted')).not.toMatchObject([{ previousTraceparent: expect.anything() }]);
    expect((await database.stored(pair))?.trace).toBe(`${lock.fencingToken}/${TRACEPARENT}`);
  });

  it.each([
    '$fence',
    { $gt: '' },
    7,
    '',
    TRACEPARENT.toUpperCase(),
    `00-${'0'.repeat(32)}-${SPAN_ID}-01`,
    `${TRACEPARENT}\n`,
    'x'.repeat(60),
  ])('is left out where a subscriber says %j', async (said) => {
    const client = await database.connected();
    onHold((hold) => Object.assign(hold.acquisition, { traceparent: said }));
    await client.locks.exec({ ...pair, fn: () => {} });
    expect(await database.stored(pair)).not.toHaveProperty('trace');
  });

  it('is that of the last hold of the run, as it was said until its release', async () => {
    const client = await database.connected();
    let count = 0;
    const calls: HoldMessage[] = [];
    onHold((hold) => {
      count += 1;
      hold.acquisition.traceparent = `00-${TRACE_ID}-${String(count).padStart(16, '0')}-01`;
      calls.push(hold);
    });
    const [first, second] = [client.locks.lock(pair), client.locks.lock(pair)];
    await (await first).unlock();
    const lock = await second;
    for (const { acquisition } of calls) acquisition.traceparent = `${acquisition.traceparent?.slice(0, -2)}00`;
    await lock.unlock();
    const trace = `${lock.fencingToken}/00-${TRACE_ID}-${'2'.padStart(16, '0')}-00`;
    expect((await database.stored(pair))?.trace).toBe(trace);
    expect(calls.map(({ previousTraceparent }) => previousTraceparent)).toEqual([undefined, undefined]);
  });
});

itLeavesNothingBehind(database);
