/** The options: defaults, ranges, relations, sources; every problem at once, and no secret in any message. */

import { describe, expect, it } from 'vitest';
import { checkOptions, NUMBER_OPTIONS, type ResolvedOptions } from '#core/options.js';

const SECRET = 'mongodb://user:s3cret@db.example/app';
const uri = 'mongodb://localhost/app';

function resolved(given: Record<string, unknown>): ResolvedOptions {
  const { options, problems } = checkOptions({ uri, ...given });
  expect(problems).toEqual([]);
  if (options === null) throw new Error('unreachable');
  return options;
}

function problemsOf(given: unknown): readonly string[] {
  const { options, source, problems } = checkOptions(given);
  expect({ options, source }).toEqual({ options: null, source: null });
  return problems;
}

const db = { databaseName: 'app', command: async () => ({}), collection: () => ({}) };
const client = { db: () => db, connect: async () => {} };
const connection = { readyState: 1, name: 'app', asPromise: async () => {}, getClient: () => client };

describe('the settings', () => {
  it('have the documented defaults', () => {
    const { logger, ...plain } = resolved({});
    expect(plain).toEqual({
      leaseDurationMS: 30_000,
      heartbeatIntervalMS: 10_000,
      patrolIntervalMS: 5_000,
      clockSkewMS: 10_000,
      idleMS: 10_000,
      runMaxCount: 1_024,
      waitersMaxCount: 100_000,
      releaseLostLocks: 'at-once',
      collectionName: 'dlocks',
      deadlineMarginMS: 3_000,
    });
    expect(Object.keys(logger)).toEqual(['error', 'warn', 'debug', 'tell']);
  });

  it('follow a given lease where they derive from it', () => {
    const { heartbeatIntervalMS, patrolIntervalMS, deadlineMarginMS } = resolved({ leaseDurationMS: 1_500 });
    expect({ heartbeatIntervalMS, patrolIntervalMS, deadlineMarginMS }).toEqual({
      heartbeatIntervalMS: 500,
      patrolIntervalMS: 500,
      deadlineMarginMS: 150,
    });
    expect(resolved({ leaseDurationMS: 60_000 }).patrolIntervalMS).toBe(5_000);
    expect(resolved({ leaseDurationMS: 60_000 }).heartbeatIntervalMS).toBe(20_000);
  });

  it('are frozen, and what is done to the given object later changes nothing', () => {
    const given = { uri, idleMS: 700 };
    const { options, source } = checkOptions(given);
    given.idleMS = 1;
    given.uri = 'mongodb://elsewhere';
    expect(Object.isFrozen(options)).toBe(true);
    expect(options?.idleMS).toBe(700);
    expect(source).toEqual({ kind: 'uri', uri });
  });

  it('take undefined for not given', () => {
    expect(
      resolved({ idleMS: undefined, label: undefined, dbName: undefined, logger: undefined, db: undefined }).idleMS,
    ).toBe(10_000);
  });

  it.each([
    ['leaseDurationMS', 1_000, 999],
    ['leaseDurationMS', 86_400_000, 86_400_001],
    ['leaseDurationMS', 1_001, 1_000.5],
    ['heartbeatIntervalMS', 10_000, 10_001],
    ['heartbeatIntervalMS', 100, 99],
    ['patrolIntervalMS', 30_000, 30_001],
    ['patrolIntervalMS', 50, 49],
    ['clockSkewMS', 0, -1],
    ['idleMS', 500, 499],
    ['runMaxCount', 1, 0],
    ['runMaxCount', 2, 1.5],
    ['waitersMaxCount', 1, 0],
    ['waitersMaxCount', 7, Number.NaN],
    ['waitersMaxCount', 7, Number.POSITIVE_INFINITY],
  ] as const)('%s may be %d and not %d', (name, good, bad) => {
    expect(resolved({ [name]: good })[name]).toBe(good);
    const [problem, ...more] = problemsOf({ uri, [name]: bad });
    expect(problem).toContain(`"${name}"`);
    expect(problem).toContain(`got ${bad}`);
    expect(problem).toContain(NUMBER_OPTIONS[name].reason);
    expect(more).toEqual([]);
  });

  it.each([null, '5000', 5000n, true, {}, [5000]])('take no %s for a number', (value) => {
    for (const name of Object.keys(NUMBER_OPTIONS)) {
      expect(problemsOf({ uri, [name]: value })[0]).toContain(`"${name}" must be a`);
    }
  });

  it('allow a heartbeat of exactly a third of a lease that three does not divide', () => {
    expect(resolved({ leaseDurationMS: 1_000, heartbeatIntervalMS: 1_000 / 3 }).heartbeatIntervalMS).toBe(1_000 / 3);
  });

  it('compare with the lease in force: the given one, or the default where the given one is wrong', () => {
    expect(problemsOf({ uri, leaseDurationMS: 3_000, heartbeatIntervalMS: 1_500 })).toHaveLength(1);
    expect(problemsOf({ uri, leaseDurationMS: 3, heartbeatIntervalMS: 1_500 })).toHaveLength(1);
  });

  it.each(['locks', 'a.b', 'sperren-ü', 'x'.repeat(180)])('collectionName may be %j', (collectionName) => {
    expect(resolved({ collectionName }).collectionName).toBe(collectionName);
  });

  it.each([
    '',
    'a$b',
    'a\0b',
    'system.locks',
    '.a',
    'a.',
    'a..b',
    'dlocks.sessions',
    'x'.repeat(181),
    '\uD800',
    7,
    null,
  ])('collectionName may not be %j', (collectionName) => {
    expect(problemsOf({ uri, collectionName })).toEqual([expect.stringContaining('"collectionName"')]);
  });

  it('take a label of up to 256 bytes', () => {
    expect(resolved({ label: 'ü'.repeat(128) }).label).toBe('ü'.repeat(128));
    for (const label of ['', 'ü'.repeat(129), 7, '\uDC00']) {
      expect(problemsOf({ uri, label })).toEqual([expect.stringContaining('"label"')]);
    }
  });
});

describe('the logger', () => {
  it('must have a function error; warn and debug are optional', () => {
    expect(problemsOf({ uri, logger: {} })).toEqual([expect.stringContaining('"error"')]);
    expect(problemsOf({ uri, logger: console.error })).toHaveLength(1);
    expect(problemsOf({ uri, logger: { error: () => {}, warn: 1, debug: null } })).toHaveLength(2);
  });

  it('is called as a method, with all it is given', () => {
    const logger = {
      lines: [] as unknown[][],
      error(...line: unknown[]): void {
        this.lines.push(line);
      },
    };
    const error = new Error('x');
    const safe = resolved({ logger }).logger;
    safe.error('failed', error, 7);
    safe.warn('nobody');
    safe.debug('nobody');
    expect(logger.lines).toEqual([['failed', error, 7]]);
  });

  it('harms nothing when it throws or rejects', async () => {
    const calls: string[] = [];
    const logger = {
      error(): void {
        calls.push('error');
        throw new Error('broken');
      },
      async warn(): Promise<void> {
        calls.push('warn');
        throw new Error('broken later');
      },
    };
    const safe = resolved({ logger }).logger;
    safe.error('x');
    safe.warn('x');
    await new Promise((resolve) => setImmediate(resolve));
    expect(calls).toEqual(['error', 'warn']);
  });
});

describe('the source', () => {
  it.each([
    ['db', { db }, { kind: 'db', db }],
    ['client', { client }, { kind: 'client', client }],
    ['client with dbName', { client, dbName: 'app' }, { kind: 'client', client, dbName: 'app' }],
    ['uri', { uri }, { kind: 'uri', uri }],
    [
      'uri with dbName',
      { uri: 'mongodb+srv://x', dbName: 'app' },
      { kind: 'uri', uri: 'mongodb+srv://x', dbName: 'app' },
    ],
    ['connection', { connection }, { kind: 'connection', connection }],
  ])('may be %s', (_, given, source) => {
    const checked = checkOptions(given);
    expect(checked.problems).toEqual([]);
    expect(checked.source).toEqual(source);
  });

  it('must be one', () => {
    expect(problemsOf({})).toEqual(['Give one of "db", "client", "uri" and "connection".']);
    expect(problemsOf({ db, uri })).toEqual(['Give only one of "db" and "uri".']);
  });

  it.each([
    ['db', { db: client }],
    ['db', { db: null }],
    ['client', { client: db }],
    ['client', { client: uri }],
    ['uri', { uri: 'localhost' }],
    ['uri', { uri: 'mongodb://' }],
    ['uri', { uri: 7 }],
    ['connection', { connection: client }],
    ['dbName', { db, dbName: 'app' }],
    ['dbName', { connection, dbName: 'app' }],
    ['dbName', { uri, dbName: '' }],
    ['dbName', { uri, dbName: 'a.b' }],
    ['dbName', { uri, dbName: 'a'.repeat(64) }],
  ])('names %s where it cannot be used', (name, given) => {
    expect(problemsOf(given)).toEqual([expect.stringContaining(`"${name}"`)]);
  });

  it('says what to do about a mongoose that is too old', () => {
    expect(problemsOf({ connection: { readyState: 1 } })[0]).toMatch(/mongoose 8 or later.*"uri"/);
  });
});

describe('the report', () => {
  it('has every problem at once', () => {
    const problems = problemsOf({
      leaseDurationMS: 5,
      heartbeatIntervalMS: 'x',
      clockSkewMS: -1,
      releaseLostLocks: 'never',
      collectionName: '$',
      label: '',
      logger: 1,
      dbName: '/',
      timeout: 5,
    });
    expect(problems).toHaveLength(11);
  });

  it.each([
    ['leaseDurationMs', 'leaseDurationMS'],
    ['leaseMS', null],
    ['heartbeatInterval', 'heartbeatIntervalMS'],
    ['collection', 'collectionName'],
    ['releaseLost', 'releaseLostLocks'],
    ['waitersMax', 'waitersMaxCount'],
    ['dbname', 'dbName'],
    ['retryCount', null],
    ['x'.repeat(10_000), null],
  ])('refuses the unknown name %.20s', (name, hint) => {
    const [problem, ...more] = problemsOf({ uri, [name]: 1 });
    expect(problem).toContain('There is no option');
    expect(problem?.includes('did you mean')).toBe(hint !== null);
    if (hint !== null) expect(problem).toContain(`"${hint}"`);
    expect(more).toEqual([]);
  });

  it.each([undefined, null, 7, 'mongodb://localhost', [], () => {}])('refuses options that are no object', (given) => {
    expect(problemsOf(given)).toEqual(['The options must be an object.']);
  });

  it('shows no connection string, wherever one was put', () => {
    const given = {
      uri: ` ${SECRET}`,
      db: SECRET,
      client: SECRET,
      connection: SECRET,
      dbName: SECRET.repeat(2),
      collectionName: `${SECRET}$`,
      label: SECRET.repeat(10),
      logger: SECRET,
      idleMS: SECRET,
    };
    expect(problemsOf(given).join('\n')).not.toContain('s3cret');
  });
});
