/** The logger option with the loggers that people have: pino, which wants the facts first, and console, which wants the message first. */
import { Writable } from 'node:stream';
import { LockClient } from 'mongo-distributed-locks';
import { pino } from 'pino';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { itLeavesNothingBehind, SETTINGS, useDatabase } from '../../support/database.js';
import { eventually, rejection } from '../../support/eventually.js';
import { hooked } from '../../support/hooked-ports.js';

const database = useDatabase(import.meta.url);
const pair = { resource: 'account', id: 7 };
const LEVELS = { debug: 20, warn: 40, error: 50 };

afterEach(() => {
  vi.restoreAllMocks();
});

/** A real pino, and the lines it wrote, parsed. */
function pinoLines(level = 'debug'): { readonly logger: pino.Logger; readonly lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = [];
  const destination = new Writable({
    write: (chunk, _encoding, done) => {
      lines.push(JSON.parse(String(chunk)));
      done();
    },
  });
  return { logger: pino({ level }, destination), lines };
}

/** Hooks with which the first release fails, and is sent again. */
function failingRelease() {
  let failed = false;
  return hooked({
    vacate: async (send) => {
      if (failed) return send();
      failed = true;
      throw new Error('broken on purpose');
    },
  });
}

async function declareDead(session: string): Promise<void> {
  const sessions = database.db.collection<{ _id: string }>('dlocks.sessions');
  await sessions.updateOne({ _id: session }, { $set: { state: 'dead', until: new Date() } });
}

describe('a logger of pino', () => {
  it('is given the facts first: the event, the error as err, and the rest by name', async () => {
    const { logger, lines } = pinoLines();
    const settings = { heartbeatIntervalMS: 100, logger };
    const client = await database.connected(settings, failingRelease());
    await client.locks.exec({ ...pair, fn: () => {} });
    const lock = await client.locks.lock(pair);
    const { session } = client;
    await declareDead(session);
    await eventually(() => lock.signal.aborted);
    const of = (event: string): Record<string, unknown> | undefined => lines.find((line) => line.event === event);
    expect(of('session:opened')).toMatchObject({ level: LEVELS.debug, msg: 'The lock session was opened.', session });
    expect(of('error')).toMatchObject({
      level: LEVELS.error,
      msg: 'A lock operation failed in the background.',
      err: { type: 'Error', message: 'broken on purpose', stack: expect.stringContaining('loggers.test') },
      ...pair,
    });
    expect(of('lost')).toMatchObject({
      level: LEVELS.warn,
      msg: 'A lock was lost.',
      err: { type: 'LockLostError', code: 'LOCK_LOST' },
      fencingToken: lock.fencingToken,
      session,
      ...pair,
    });
    expect(of('session:lost')).toMatchObject({ level: LEVELS.warn, session, cause: expect.any(String) });
  });

  it('keeps its own level, and is known as a child, too', async () => {
    const { logger, lines } = pinoLines('warn');
    const client = await database.connected({ logger: logger.child({ part: 'locks' }) }, failingRelease());
    await client.locks.exec({ ...pair, fn: () => {} });
    expect(lines).toEqual([expect.objectContaining({ part: 'locks', event: 'error', level: LEVELS.error })]);
  });

  it('is told of a listener that fails', async () => {
    const { logger, lines } = pinoLines('warn');
    const client = await database.connected({ logger });
    client.locks.on('granted', () => {
      throw new Error('a listener that throws');
    });
    await client.locks.exec({ ...pair, fn: () => {} });
    expect(lines).toEqual([
      expect.objectContaining({ err: expect.objectContaining({ message: 'a listener that throws' }) }),
    ]);
  });
});

describe('console as a logger', () => {
  it('is given the message first, then the error, then the facts', async () => {
    const methods = ['error', 'warn', 'debug'] as const;
    const said = methods.map((name) => vi.spyOn(console, name).mockImplementation(() => {}));
    const client = await database.connected({ heartbeatIntervalMS: 100, logger: console }, failingRelease());
    await client.locks.exec({ ...pair, fn: () => {} });
    const lock = await client.locks.lock(pair);
    await declareDead(client.session);
    await eventually(() => lock.signal.aborted);
    const [errors, warnings, details] = said.map((spy) => spy.mock.calls);
    expect(errors).toEqual([
      ['A lock operation failed in the background.', expect.objectContaining({ message: 'broken on purpose' }), pair],
    ]);
    expect(warnings).toContainEqual([
      'A lock was lost.',
      lock.signal.reason,
      expect.objectContaining({ ...pair, fencingToken: lock.fencingToken, session: client.session }),
    ]);
    expect(details).toContainEqual(['The lock session was opened.', { session: client.session }]);
  });
});

describe('a connection string', () => {
  it.each([
    ['cannot be reached', 'mongodb://me:geheim@127.0.0.1:1/x?replicaSet=rs0&serverSelectionTimeoutMS=200'],
    ['is refused', null],
  ])('that %s is in no line of any logger', async (_how, unreachable) => {
    const { logger, lines } = pinoLines();
    const said = (['error', 'warn', 'debug'] as const).map((name) =>
      vi.spyOn(console, name).mockImplementation(() => {}),
    );
    const uri = unreachable ?? withCredentials(database.uri);
    for (const each of [logger, console]) {
      const locks = new LockClient({ uri, ...SETTINGS, logger: each });
      expect(await rejection(locks.lock(pair))).toMatchObject({ name: expect.stringContaining('Lock') });
      locks.emit('error', { error: new Error('shown') });
      await locks.close();
    }
    const shown = JSON.stringify([lines, said.map((spy) => spy.mock.calls.map((line) => line.map(String)))]);
    expect(shown).not.toMatch(/geheim|me:/);
  });

  it('is in no line where the database goes away later', async () => {
    const { logger, lines } = pinoLines();
    const uri = new URL(database.uri);
    const locks = new LockClient({ uri: String(uri), ...SETTINGS, logger }, failingRelease());
    await locks.exec({ ...pair, fn: () => {} });
    await locks.close();
    expect(lines.map(({ event }) => event)).toContain('error');
    expect(JSON.stringify(lines)).not.toContain(String(uri));
  });

  /** A user there is not. */
  function withCredentials(given: string): string {
    const uri = new URL(given);
    uri.username = 'me';
    uri.password = 'geheim';
    return String(uri);
  }
});

itLeavesNothingBehind(database);
