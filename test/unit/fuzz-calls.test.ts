/**
 * Any value as an option, an argument, a signal or a callback: the answer is a lock, or the documented error that names what is wrong, before
 * anything is sent; and every call ends. Over ports in memory; what goes over the wire is in `integration/fuzz-commands`.
 */
import fc from 'fast-check';
import DLocks, { Lock, LockClient, LockError } from 'mongo-distributed-locks';
import { describe, expect, it } from 'vitest';
import type { ClientInternals } from '#core/client.js';
import { checkOptions, type LockClientOptions } from '#core/options.js';
import { readKey } from '#core/protocol/key.js';
import { anyNumber, anyText, anyValue, bsonShape, nameText } from '../support/arbitraries.js';
import { FUZZ_LIMIT_MS, fuzz } from '../support/fuzz.js';
import { type StubMode, StubPorts } from '../support/stub-ports.js';

const db = { databaseName: 'app', command: async () => ({}), collection: () => ({}) };
/** Far above any time-out that is drawn here, and nowhere asserted but as "it ends". */
const HANG_MS = 5_000;

const NUMBERS = [
  'leaseDurationMS',
  'heartbeatIntervalMS',
  'patrolIntervalMS',
  'clockSkewMS',
  'idleMS',
  'runMaxCount',
  'waitersMaxCount',
] as const;
const NAMES = [
  ...NUMBERS,
  'db',
  'client',
  'uri',
  'connection',
  'dbName',
  'releaseLostLocks',
  'collectionName',
  'label',
  'logger',
] as const;

const call = (): unknown => ({});
/** Mostly of the right form, so that what is deep inside is looked at. */
function mostly<T>(good: fc.Arbitrary<T>): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 6, arbitrary: good }, anyValue);
}

const version = fc.oneof(anyNumber, anyText, fc.constantFrom('6.20.0', '7.9.0', '5.13.0', '6', '8.0.0'));
const metadata = mostly(fc.record({ driver: mostly(fc.record({ version: mostly(version) })) }));
const facts = fc.record({
  maxPoolSize: mostly(fc.constantFrom(1, 5)),
  loadBalanced: fc.constantFrom(true, false, 1),
  metadata,
});
const driverClient = fc.record({ options: mostly(facts) }).map((client) => ({ ...client, db: call, connect: call }));
const sources: Record<string, fc.Arbitrary<unknown>> = {
  db: fc.oneof(
    fc.constant(db),
    driverClient.map((client) => ({ ...db, client })),
    anyValue.map((client) => ({ ...db, client })),
  ),
  client: driverClient,
  uri: fc.oneof(
    anyText,
    anyText.map((text) => `mongodb://${text}`),
    anyText.map((text) => `mongodb://u:secret@h/${text}?${text}`),
  ),
  connection: fc
    .oneof(
      anyValue,
      version.map((of) => ({ version: of })),
    )
    .map((base) => ({ readyState: 0, name: 'x', asPromise: call, getClient: call, base })),
};
const oneOption = fc.constantFrom(...NAMES, '__proto__', 'constructor', 'leaseDurationMs').chain((name) => {
  const numbers = NUMBERS.includes(name as never) ? fc.oneof(anyNumber, fc.integer({ min: 0, max: 100_000 })) : anyText;
  return fc
    .oneof((Object.hasOwn(sources, name) && sources[name]) || numbers, numbers, anyValue)
    .map((value) => [name, value] as const);
});
const someOptions = fc
  .tuple(fc.constantFrom<object>({ db }, {}), fc.array(oneOption, { maxLength: 4 }))
  .map(([base, options]) => Object.fromEntries([...Object.entries(base), ...options]));

/** What is wrong with options that were taken. */
function tookWrongly(given: unknown): string[] {
  const { options } = checkOptions(given);
  if (options === null) return [];
  const {
    leaseDurationMS: lease,
    heartbeatIntervalMS,
    patrolIntervalMS,
    clockSkewMS,
    idleMS,
    runMaxCount,
    waitersMaxCount,
    releaseLostLocks,
  } = options;
  const holds: Record<string, boolean> = {
    lease: Number.isInteger(lease) && lease >= 1_000 && lease <= 86_400_000,
    heartbeat: heartbeatIntervalMS >= 100 && heartbeatIntervalMS <= lease / 3,
    patrol: patrolIntervalMS >= 50 && patrolIntervalMS <= lease,
    skew: Number.isInteger(clockSkewMS) && clockSkewMS >= 0 && clockSkewMS <= 86_400_000,
    idle: idleMS >= 500 && idleMS <= 86_400_000,
    run: Number.isInteger(runMaxCount) && runMaxCount >= 1 && runMaxCount <= 10_000,
    waiters: Number.isInteger(waitersMaxCount) && waitersMaxCount >= 1 && waitersMaxCount <= 10_000_000,
    lost: ['at-once', 'on-unlock'].includes(releaseLostLocks),
    collection: /^[^$\0]{1,180}$/su.test(options.collectionName) && !options.collectionName.startsWith('system.'),
    label: options.label === undefined || (options.label.length > 0 && Buffer.byteLength(options.label) <= 256),
  };
  return Object.entries(holds).flatMap(([name, fits]) => (fits ? [] : [name]));
}

/** What making a client of options comes to: nothing, or what is wrong with how they were refused. */
function refusalProblem(make: () => unknown): string | null {
  try {
    make();
    return null;
  } catch (error) {
    if (!(error instanceof LockError) || error.code !== 'LOCK_INVALID_OPTION') return `threw ${String(error)}`;
    const problems = (error as unknown as { problems: string[] }).problems;
    if (problems.some((problem) => problem.includes('secret'))) return 'showed a password';
    return problems.length > 0 && problems.every((problem) => /".*"|options|MongoClient|connection/s.test(problem))
      ? null
      : `named nothing: ${problems}`;
  }
}

function facadeCalls(value: unknown): Promise<unknown>[] {
  const given = value as never;
  return [
    DLocks.lock(given),
    DLocks.tryLock(given),
    DLocks.exec(given),
    new DLocks(given).exec(),
    DLocks.unlock(given),
  ];
}

describe('the façade before it was ever configured', () => {
  it(
    'says so, whatever it is called with',
    async () => {
      await fuzz(
        fc.asyncProperty(anyValue, async (value) => {
          for (const started of facadeCalls(value)) {
            expect(await outcome(started)).toMatchObject({ error: { code: 'LOCK_NOT_CONFIGURED' } });
          }
        }),
        { runs: 100 },
      );
    },
    FUZZ_LIMIT_MS,
  );
});

describe('options of any kind', () => {
  it(
    'make a client within the documented ranges, or are refused by name',
    async () => {
      await fuzz(
        fc.property(fc.oneof({ weight: 5, arbitrary: someOptions }, anyValue), (given) => {
          expect(refusalProblem(() => new LockClient(given as never))).toBeNull();
          expect(tookWrongly(given)).toEqual([]);
        }),
        { runs: 1_500 },
      );
    },
    FUZZ_LIMIT_MS,
  );

  it(
    'configure the default client, or are refused by name and leave it to be configured',
    async () => {
      await fuzz(
        fc.asyncProperty(fc.oneof({ weight: 5, arbitrary: someOptions }, anyValue), async (given) => {
          expect(refusalProblem(() => DLocks.configure(given as never))).toBeNull();
          await DLocks.close();
          DLocks.configure({ db });
          await DLocks.close();
        }),
        { runs: 300 },
      );
    },
    FUZZ_LIMIT_MS,
  );
});

const Internal = LockClient as unknown as new (options: LockClientOptions, internals: ClientInternals) => LockClient;

function stubClient(ports: StubPorts): LockClient {
  const logger = { error: () => {} };
  return new Internal({ db, leaseDurationMS: 3_000, patrolIntervalMS: 50, logger }, { wrapPorts: () => ports });
}

/** A signal as some other package makes it: with what the older standard had, or with methods that fail. */
interface SignalPlan {
  readonly kind: 'real' | 'bare' | 'failing-off' | 'failing-on';
  readonly when: 'before' | 'after' | 'never';
  readonly reason: unknown;
}

class OtherSignal extends EventTarget {
  aborted = false;

  abort(): void {
    this.aborted = true;
    this.dispatchEvent(new Event('abort'));
  }
}

function fails(): never {
  throw new RangeError('the signal fails');
}

function makeSignal({ kind, when, reason }: SignalPlan): { signal: unknown; reason: unknown } {
  const controller = new AbortController();
  const other = new OtherSignal();
  if (kind === 'failing-off') other.removeEventListener = fails;
  if (kind === 'failing-on') other.addEventListener = fails;
  const abort = (): void => (kind === 'real' ? controller.abort(reason) : other.abort());
  if (when === 'before') abort();
  if (when === 'after') setImmediate(() => setImmediate(abort));
  return { signal: kind === 'real' ? controller.signal : other, reason: kind === 'real' ? reason : undefined };
}

const signalPlan: fc.Arbitrary<SignalPlan> = fc.record({
  kind: fc.constantFrom('real', 'bare', 'failing-off', 'failing-on'),
  when: fc.constantFrom('before', 'after', 'never'),
  reason: anyValue.filter((reason) => reason !== undefined),
});

const lockValue = fc.oneof({ weight: 3, arbitrary: nameText }, { weight: 2, arbitrary: bsonShape }, anyValue);
const wildRequest = fc.record(
  {
    resource: lockValue,
    id: lockValue,
    timeoutMS: fc.oneof(fc.constantFrom(0, 1, 2.5, 12), anyValue, anyNumber),
    label: fc.oneof(anyText, anyValue),
    signal: anyValue,
  },
  { requiredKeys: ['resource', 'id'] },
);
const extra = fc.option(fc.tuple(fc.oneof(anyText, fc.constantFrom('fn', 'timeoutMs', '__proto__')), anyValue), {
  nil: undefined,
  freq: 6,
});

type Method = 'lock' | 'tryLock' | 'exec';
type Given = Record<string, unknown>;

/** The names of what is wrong in a request, by the documentation and not by the code. */
function wrongIn(given: Given, method: Method): string[] {
  const { resource, id, timeoutMS, label, signal, fn } = given;
  const known = [
    'resource',
    'id',
    'label',
    ...(method === 'tryLock' ? [] : ['timeoutMS', 'signal']),
    ...(method === 'exec' ? ['fn'] : []),
  ];
  const wrong = Object.keys(given).filter((name) => !known.includes(name) && given[name] !== undefined);
  for (const [name, value] of [
    ['resource', resource],
    ['id', id],
  ] as const)
    if (!isName(value)) wrong.push(name);
  if (!wrong.includes('id') && !wrong.includes('resource') && !isKey(resource, id)) wrong.push('resource', 'id');
  if (timeoutMS !== undefined && !(typeof timeoutMS === 'number' && timeoutMS >= 0)) wrong.push('timeoutMS');
  if (label !== undefined && !isLabel(label)) wrong.push('label');
  if (signal !== undefined && typeof (signal as EventTarget | null)?.addEventListener !== 'function')
    wrong.push('signal');
  if (method === 'exec' && typeof fn !== 'function') wrong.push('fn');
  return wrong;
}

function isName(value: unknown): boolean {
  return isKey(value, 1);
}

/** Which values name a lock is what `unit/key` and `unit/fuzz-protocol` are about. */
function isKey(resource: unknown, id: unknown): boolean {
  try {
    return readKey({ resource, id }) !== '';
  } catch {
    return false;
  }
}

function isLabel(label: unknown): boolean {
  return typeof label === 'string' && label !== '' && Buffer.byteLength(label) <= 256 && !/\p{Surrogate}/u.test(label);
}

/** How a call ended; throws where it did not. */
async function outcome(started: Promise<unknown>): Promise<{ value: unknown } | { error: unknown }> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`the call did not end within ${HANG_MS} ms`)), HANG_MS);
  });
  const ended = started.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  return Promise.race([ended, late]).finally(() => clearTimeout(timer));
}

const plan = fc.record({
  mode: fc.constantFrom<StubMode>('down', 'held', 'free'),
  method: fc.constantFrom<Method>('lock', 'tryLock', 'exec'),
  request: wildRequest,
  extra,
  signalPlan: fc.option(signalPlan, { nil: undefined }),
});

describe('arguments of any kind', () => {
  it(
    'are refused by name and nothing is sent, or the call ends as documented',
    async () => {
      await fuzz(
        fc.asyncProperty(plan, async ({ mode, method, request, extra, signalPlan }) => {
          const ports = new StubPorts(mode);
          const client = stubClient(ports);
          const made = signalPlan && method !== 'tryLock' ? makeSignal(signalPlan) : undefined;
          const given: Given = {
            ...request,
            ...(made && { signal: made.signal }),
            ...(method === 'exec' && { fn: () => 'done' }),
          };
          // What functions give or throw is passed on: they have a property of their own.
          if (extra !== undefined && typeof extra[1] !== 'function')
            Object.defineProperty(given, extra[0], { value: extra[1], enumerable: true, configurable: true });
          if (isEndless(given, method, mode)) given.timeoutMS = 3;
          const wrong = wrongIn(given, method);
          const ended = await outcome(client[method](given as never));
          if (wrong.length > 0) {
            expect(ended).toMatchObject({
              error: { code: 'LOCK_INVALID_ARGUMENT', argument: expect.toBeOneOf(wrong) },
            });
            expect(ports.sent).toEqual([]);
          } else {
            await expectDocumented({ ended, mode, method, made, plan: signalPlan });
          }
          await client.close();
          expect(ports.granted).toEqual([]);
        }),
        { runs: 1_500 },
      );
    },
    FUZZ_LIMIT_MS,
  );

  it(
    'make no lock: whatever is unlocked that is none of this client is refused',
    async () => {
      const ports = new StubPorts('free');
      const client = stubClient(ports);
      const stranger = await stubClient(new StubPorts('free')).lock({ resource: 'r', id: 1 });
      const shapes = [
        stranger,
        Object.create(stranger),
        Object.create(Lock.prototype),
        { ...stranger },
        new Proxy(stranger, {}),
      ];
      await fuzz(
        fc.asyncProperty(fc.oneof(anyValue, fc.constantFrom<unknown>(...shapes)), async (value) => {
          const ended = await outcome(client.unlock(value as never));
          expect(ended).toMatchObject({ error: { code: 'LOCK_INVALID_ARGUMENT', argument: 'lock' } });
          expect(ports.sent).toEqual([]);
        }),
        { runs: 300 },
      );
      expect(await stranger.unlock()).toBe(true);
    },
    FUZZ_LIMIT_MS,
  );

  it(
    'of the façade are answered as those of a client',
    async () => {
      DLocks.configure({ db });
      await fuzz(
        fc.asyncProperty(anyValue, async (value) => {
          for (const started of facadeCalls(value)) {
            expect(await outcome(started)).toMatchObject({ error: { code: 'LOCK_INVALID_ARGUMENT' } });
          }
          if (typeof value !== 'function')
            expect(() => DLocks.registerLoggerErrorFn(value as never)).toThrow(LockError);
        }),
        { runs: 200 },
      );
      await DLocks.close();
    },
    FUZZ_LIMIT_MS,
  );
});

/** Whether nothing but a time-out would end it. */
function isEndless({ timeoutMS }: Given, method: Method, mode: StubMode): boolean {
  const waits = mode === 'held' && method !== 'tryLock';
  return waits && (timeoutMS === undefined || (typeof timeoutMS === 'number' && timeoutMS > 50));
}

interface Documented {
  readonly ended: { value: unknown } | { error: unknown };
  readonly mode: StubMode;
  readonly method: Method;
  readonly made: { reason: unknown } | undefined;
  readonly plan: SignalPlan | undefined;
}

async function expectDocumented({ ended, mode, method, made, plan }: Documented): Promise<void> {
  if ('error' in ended) {
    const { error } = ended;
    // A reason may be any value, and is the caller's own.
    const aborted = made !== undefined && plan?.when !== 'never' && Object.is(error, made.reason);
    const signalFails = plan?.kind === 'failing-on' && error instanceof RangeError;
    const codes = { down: ['LOCK_UNAVAILABLE', 'LOCK_TIMEOUT'], held: ['LOCK_TIMEOUT'], free: ['LOCK_TIMEOUT'] }[mode];
    const coded = error instanceof LockError && codes.includes(error.code);
    expect(aborted || signalFails || coded ? 'documented' : error).toBe('documented');
    return;
  }
  const { value } = ended;
  if (mode === 'held') expect([method, value]).toEqual(['tryLock', null]);
  else if (method === 'exec') expect(value).toBe('done');
  else {
    const lock = value as Lock;
    expect(lock).toBeInstanceOf(Lock);
    expect(await outcome(lock.unlock())).toEqual({ value: true });
  }
}

describe('a function of any kind', () => {
  const ending = fc.record({
    how: fc.constantFrom('returns', 'throws', 'rejects', 'thenable', 'fails-to-be-awaited'),
    value: anyValue,
  });

  it(
    'gives back what it gave or threw, and the lock is free then',
    async () => {
      await fuzz(
        fc.asyncProperty(ending, nameText, async ({ how, value }, id) => {
          const ports = new StubPorts('free');
          const client = stubClient(ports);
          const inert = isThenable(value) ? 'a promise' : value;
          const fn = (): unknown => {
            if (how === 'throws') throw inert;
            if (how === 'rejects') return Promise.reject(inert);
            if (how === 'thenable')
              return Object.defineProperty({}, 'then', { value: (done: (given: unknown) => void) => done(inert) });
            return how === 'returns' ? inert : Object.defineProperty({}, 'then', { get: fails });
          };
          const ended = await outcome(client.exec({ resource: 'r', id, fn }));
          if (how === 'fails-to-be-awaited') expect(ended).toMatchObject({ error: expect.any(RangeError) });
          else expect(Object.is('value' in ended ? ended.value : ended.error, inert)).toBe(true);
          expect('value' in ended).toBe(how === 'returns' || how === 'thenable');
          expect(ports.granted).toEqual([]);
          await client.close();
        }),
        { runs: 200 },
      );
    },
    FUZZ_LIMIT_MS,
  );

  it(
    'that listens is refused where it is none, and harms nothing where it is',
    async () => {
      await fuzz(
        fc.asyncProperty(anyText, anyValue, async (name, listener) => {
          const client = stubClient(new StubPorts('free'));
          const add = (): unknown => client.on(name as 'lost', listener as never);
          if (typeof listener === 'function') expect(add()).toBe(client);
          else expect(add).toThrow(TypeError);
          expect(client.off(name as 'lost', listener as never)).toBe(client);
          expect(client.listenerCount(name as 'lost')).toBe(0);
          expect(await client.exec({ resource: 'r', id: 1, fn: () => 1 })).toBe(1);
          await client.close();
        }),
        { runs: 100 },
      );
    },
    FUZZ_LIMIT_MS,
  );
});

function isThenable(value: unknown): boolean {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function';
}
