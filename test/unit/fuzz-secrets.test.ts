/**
 * A connection string with a secret in any of its parts, malformed or not: nothing that comes out of the library shows
 * the secret. Searched are errors with their causes and all their properties, log lines, events, diagnostics messages,
 * telemetry and warnings. The driver is the real one, without a server: nothing is looked up and nothing listens. The
 * command line's output is searched in `cli/secrets`.
 */

import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { Writable } from 'node:stream';
import { format } from 'node:util';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import fc from 'fast-check';
import { LockClient, type Logger } from 'mongo-distributed-locks';
import { MongoClient } from 'mongodb';
import mongoose from 'mongoose';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { safeLogger } from '#core/base/logger.js';
import { CHANNELS, EVENT_CHANNELS } from '#core/diagnostics.js';
import { failureOf } from '#core/mongo/failures.js';
import { instrumentAll } from '#core/telemetry/opentelemetry.js';
import { FUZZ_LIMIT_MS, finds, fuzz } from '../support/fuzz.js';
import { withoutDns } from '../support/no-dns.js';
import { everythingOf, findMark, oddConnectionString } from '../support/odd-connection-strings.js';

const PAIR = { resource: 'account', id: 7 };
/** What the strings themselves say. Others would wait for a primary for half a minute. */
const SELECTION_MS = 15;
const TRACING = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'].map(
  (name) => `tracing:${CHANNELS.acquire}:${name}`,
);
const CHANNEL_NAMES = [...TRACING, CHANNELS.holdStart, CHANNELS.holdEnd, ...Object.values(EVENT_CHANNELS)];

beforeEach(withoutDns);

afterEach(() => {
  vi.restoreAllMocks();
});

/** Everything that the library publishes meanwhile, by every way it has. */
class Listening {
  readonly heard: unknown[] = [];
  readonly #onMessage = (message: unknown): void => void this.heard.push(message);
  /** They go to standard error. */
  readonly #warnings = vi
    .spyOn(process, 'emitWarning')
    .mockImplementation((...warning) => void this.heard.push(warning));
  readonly #spans = new InMemorySpanExporter();
  readonly #tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(this.#spans)] });
  readonly #metrics = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  readonly #meterProvider = new MeterProvider({
    readers: [new PeriodicExportingMetricReader({ exporter: this.#metrics, exportIntervalMillis: 2 ** 30 })],
  });
  readonly #stop: () => void;

  constructor() {
    for (const name of CHANNEL_NAMES) subscribe(name, this.#onMessage);
    const { tracerProvider, meterProvider } = {
      tracerProvider: this.#tracerProvider,
      meterProvider: this.#meterProvider,
    };
    this.#stop = instrumentAll({ tracerProvider, meterProvider, resourceNames: true, resourceIds: true });
  }

  /** The loggers people have: their lines as they would be printed. */
  loggers(): Logger[] {
    const line = (text: string): void => void this.heard.push(text);
    const destination = new Writable({
      write: (chunk, _encoding, done) => {
        line(String(chunk));
        done();
      },
    });
    const write = (...parts: unknown[]): void => line(format(...parts));
    return [
      pino({ level: 'trace', base: null, timestamp: false }, destination),
      { error: write, warn: write, debug: write },
    ];
  }

  /** Ends it, and gives everything that was heard. */
  async stop(): Promise<unknown[]> {
    this.#stop();
    for (const name of CHANNEL_NAMES) unsubscribe(name, this.#onMessage);
    this.#warnings.mockRestore();
    await this.#meterProvider.forceFlush();
    const spans = this.#spans
      .getFinishedSpans()
      .map(({ name, attributes, status, events }) => ({ name, attributes, status, events }));
    const all = [...this.heard, ...spans, ...this.#metrics.getMetrics().map(({ scopeMetrics }) => scopeMetrics)];
    await Promise.all([this.#tracerProvider.shutdown(), this.#meterProvider.shutdown()]);
    return all;
  }
}

/** Everything that comes out where a connection string is given in every way that it can be. */
async function outcomeOf(uri: string): Promise<unknown[]> {
  const listening = new Listening();
  const out: unknown[] = [];
  const [pinoLogger, consoleLogger] = listening.loggers() as [Logger, Logger];
  const client = made(() => new MongoClient(uri, { serverSelectionTimeoutMS: SELECTION_MS }));
  const isQuick = made(() => new MongoClient(uri))?.options.serverSelectionTimeoutMS === SELECTION_MS;
  const connection = mongoose.createConnection();
  const own = [
    attempt(out, () => new LockClient({ uri, logger: pinoLogger })),
    attempt(out, () => new LockClient({ uri, dbName: 'app', logger: consoleLogger })),
  ];
  const given = client && [
    attempt(out, () => new LockClient({ client, logger: pinoLogger })),
    attempt(out, () => new LockClient({ client, dbName: 'app', logger: consoleLogger })),
    attempt(out, () => new LockClient({ db: client.db('app'), logger: consoleLogger })),
  ];
  // Where there is no host the driver throws from a timer of its own: what we refuse is not connected by others either.
  const isUsable = given?.[1] !== undefined;
  if (isUsable) connection.openUri(uri, { serverSelectionTimeoutMS: SELECTION_MS }).catch(() => {});
  const open = isUsable && attempt(out, () => new LockClient({ connection, logger: consoleLogger }));
  const used = [...(isQuick ? own : []), ...(given ?? []), open || undefined];
  await Promise.all(used.map((each) => each && useUp(each, out)));
  if (client !== undefined && isUsable) await showFailures(client, listening.loggers(), out);
  await Promise.all([client?.close(), connection.close()].map((closing) => closing?.catch(() => {})));
  return [...out, ...(await listening.stop())];
}

/** Calls of every kind, and the events meanwhile. */
async function useUp(locks: LockClient, out: unknown[]): Promise<void> {
  for (const name of Object.keys(EVENT_CHANNELS)) locks.on(name as 'error', (event) => void out.push(event));
  const calls = [
    locks.connect(),
    locks.lock(PAIR),
    locks.tryLock(PAIR),
    locks.exec({ ...PAIR, fn: () => {} }),
    locks.inspect(PAIR),
    locks.list(),
    locks.forceRelease({ ...PAIR, fencingToken: 1, reason: 'a test' }),
  ];
  for (const call of await Promise.allSettled(calls)) out.push(call);
  out.push(locks);
  await locks.close();
}

/** What the driver's own failures become, thrown and in a log. */
async function showFailures(client: MongoClient, loggers: readonly Logger[], out: unknown[]): Promise<void> {
  const [connecting, asking] = await Promise.allSettled([client.connect(), client.db('app').command({ ping: 1 })]);
  for (const settled of [connecting, asking]) {
    if (settled.status === 'fulfilled') continue;
    for (const intent of ['read', 'write'] as const) {
      const error = failureOf(settled.reason, intent);
      out.push(error);
      for (const logger of loggers) {
        safeLogger(logger).tell({ level: 'error', message: 'It failed.', event: 'error', facts: { error } });
        safeLogger(logger).warn('It failed.', { cause: error });
      }
    }
  }
}

function made<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch {
    return undefined;
  }
}

function attempt<T>(out: unknown[], make: () => T): T | undefined {
  try {
    return make();
  } catch (error) {
    out.push(error);
    return undefined;
  }
}

/** The first thing that shows the mark, with what it is in. */
function shownIn(things: readonly unknown[]): string | null {
  for (const thing of things) {
    const everything = everythingOf(thing);
    const mark = findMark(everything);
    if (mark !== null) return `${mark}: ${everything.slice(0, 2_000)}`;
  }
  return null;
}

describe('a secret in any part of a connection string', () => {
  it(
    'is in nothing that comes out',
    async () => {
      await fuzz(
        fc.asyncProperty(oddConnectionString, async (uri) => {
          expect(shownIn(await outcomeOf(uri))).toBeNull();
        }),
        { runs: 400 },
      );
    },
    10 * FUZZ_LIMIT_MS,
  );

  it('would be found where the words of the driver were passed on', async () => {
    const words = async (uri: string): Promise<unknown[]> => {
      try {
        await new MongoClient(uri, { serverSelectionTimeoutMS: SELECTION_MS }).connect();
      } catch (error) {
        return [new Error('It failed.', { cause: (error as Error).message })];
      }
      return [];
    };
    const property = fc.asyncProperty(oddConnectionString, async (uri) => {
      expect(shownIn(await words(uri))).toBeNull();
    });
    expect(await finds(property, 50)).toBe(true);
  });
});
