/**
 * Another tool writes into the collections of the locks, before and while they are used: rubbish in any field of lock, ticket and session
 * documents. Whoever meets it is told within its limits, or served; nobody else notices; no two hold; nothing of ours stays behind. The pure
 * readers of the same documents are in `unit/fuzz-protocol`.
 */
import fc from 'fast-check';
import { Lock, LockError } from 'mongo-distributed-locks';
import { Long, Timestamp } from 'mongodb';
import { describe, expect, it } from 'vitest';
import { DOCUMENT_VERSION, readLock } from '#core/protocol/documents.js';
import { parseGrant } from '#core/protocol/grant.js';
import { readKey } from '#core/protocol/key.js';
import { anyText, storedValue } from '../support/arbitraries.js';
import { itLeavesNothingBehind, type TestClient, useDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { FUZZ_LIMIT_MS, fuzz } from '../support/fuzz.js';

const database = useDatabase(import.meta.url);
const SETTINGS = {
  leaseDurationMS: 1_500,
  patrolIntervalMS: 100,
  heartbeatIntervalMS: 200,
  clockSkewMS: 0,
  idleMS: 60_000,
};
const TIMEOUT_MS = 250;
/** An answer is waited for half a lease, and a caller at most until the local deadline: with what a busy machine adds. */
const CALL_LIMIT_MS = SETTINGS.leaseDurationMS + 4_000;

type Document = Record<string, unknown>;

/** What another tool does to the documents of one key. */
interface Plan {
  /** Before anybody uses it. */
  readonly lock: Document | null;
  readonly tickets: readonly Document[];
  readonly session: Document | null;
  /** While it is held: fields that are overwritten, or all of it gone. */
  readonly during: { readonly fields: Document; readonly vanishes: boolean; readonly grant: unknown };
}

/** Well formed: of a span that nobody knows. */
const TRACE = `5/00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
const field = fc.option(storedValue, { nil: undefined, freq: 2 });
const lockFields = {
  v: fc.option(fc.oneof(storedValue, fc.constantFrom(1, 2, 0, 1.5, Long.fromNumber(2 ** 40))), {
    nil: undefined,
    freq: 3,
  }),
  fence: fc.option(fc.oneof(storedValue, fc.constant(Long.fromNumber(5))), { nil: undefined, freq: 3 }),
  arrivals: field,
  born: field,
  firstArrival: fc.option(fc.oneof(storedValue, fc.constantFrom('1/x/1:1', '2/nobody/1:1', '1//', '/', '99/x/9:9')), {
    nil: undefined,
  }),
  grantedAt: field,
  vacantAt: field,
  trace: fc.option(
    fc.oneof(
      storedValue,
      anyText.map((text) => `5/${text}`),
      fc.constantFrom(TRACE, `${TRACE}0`, TRACE.replace('5/', '99/'), `5/00-${'0'.repeat(32)}-${'0'.repeat(16)}-00`),
    ),
    { nil: undefined, freq: 2 },
  ),
};
const foreign = fc.dictionary(
  fc.constantFrom('key', 'at', 'n', 'session', 'callers', 'x', 'constructor', 'toString'),
  storedValue,
  { maxKeys: 2 },
);
const someFields = fc
  .tuple(fc.record(lockFields, { requiredKeys: [] }), foreign)
  .map(([own, other]) => withoutAbsent({ ...other, ...own }));
const grant = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    undefined,
    'dead/7/1:1',
    'dead/7/1:1,2:9',
    '',
    '/',
    'dead/0/1:1',
    'dead/9007199254740992/1:1',
    'a/1/1:1/',
  ),
  storedValue,
  anyText.map((text) => `${text}/5/1:1`),
);
const ticket = fc.record(
  {
    at: fc.oneof(storedValue, fc.constant(new Timestamp({ t: 1, i: 1 }))),
    n: fc.oneof(storedValue, fc.constantFrom(Long.fromNumber(1), Long.fromNumber(7))),
    callers: fc.oneof(storedValue, fc.constantFrom(Long.ONE, Long.fromNumber(2 ** 31), [Long.ONE])),
    session: fc.oneof(fc.constantFrom<unknown>('dead', 'gone', 'x'.repeat(65)), storedValue),
  },
  { requiredKeys: [] },
);
const session = fc.record(
  {
    state: fc.oneof(fc.constantFrom<unknown>('alive', 'dead'), storedValue),
    until: fc.oneof(storedValue, fc.constantFrom<unknown>(new Date(0))),
    beats: field,
    leaseMS: field,
    v: field,
    host: field,
    pid: field,
    label: field,
  },
  { requiredKeys: [] },
);

const anyPlan: fc.Arbitrary<Plan> = fc.record({
  lock: fc.option(
    fc.tuple(someFields, grant).map(([fields, text]) => withoutAbsent({ ...fields, grant: text })),
    { freq: 4 },
  ),
  tickets: fc.array(ticket.map(withoutAbsent), { maxLength: 3 }),
  session: fc.option(session.map(withoutAbsent), { freq: 2 }),
  during: fc.record({
    fields: someFields,
    vanishes: fc.boolean(),
    grant: fc.option(grant, { freq: 3, nil: undefined }),
  }),
});

/** One field that is wrong where all else is right: most of the others hide behind each other. */
const oneField: fc.Arbitrary<Document> = fc
  .tuple(
    fc.constantFrom('v', 'fence', 'arrivals', 'born', 'firstArrival'),
    fc.oneof(storedValue, fc.constant(Long.fromNumber(5))),
  )
  .map(([name, value]) => ({ [name]: value }));
const nothing = { tickets: [], session: null, during: { fields: {}, vanishes: false, grant: undefined } };

const plan: fc.Arbitrary<Plan> = fc.oneof(
  anyPlan,
  oneField.map((fields) => ({ ...nothing, lock: { v: 1, grant: null, fence: Long.fromNumber(7), ...fields } })),
  oneField.map((fields) => ({ ...nothing, lock: null, during: { ...nothing.during, fields } })),
);

function withoutAbsent(fields: Document): Document {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

const locks = () => database.db.collection<{ _id: string; [name: string]: unknown }>('dlocks');
const sessions = () => database.db.collection<{ _id: string; [name: string]: unknown }>('dlocks.sessions');

/** Holds of one key as their callers saw them. */
class Holds {
  readonly tokens: number[] = [];
  readonly problems: string[] = [];
  #held: Lock | null = null;

  took(lock: Lock): void {
    if (this.#held?.held) this.problems.push(`token ${lock.fencingToken} while ${this.#held.fencingToken} is held`);
    const last = this.tokens.at(-1) ?? 0;
    if (lock.fencingToken <= last) this.problems.push(`token ${lock.fencingToken} after ${last}`);
    this.tokens.push(lock.fencingToken);
    this.#held = lock;
  }
}

const CODES = ['LOCK_TIMEOUT', 'LOCK_NEWER_VERSION', 'LOCK_INVALID_OPTION', 'LOCK_OUTCOME_UNKNOWN'];

/** What a call came to: a lock, null, or the code of its error; a call that does not end, or ends otherwise, is a problem. */
async function ended<T>(what: string, started: Promise<T>, problems: string[]): Promise<T | string> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve('late'), CALL_LIMIT_MS);
  });
  const outcome = await Promise.race([
    late,
    started.catch((error: unknown) => (error instanceof LockError ? error.code : `threw ${String(error)}`)),
  ]);
  clearTimeout(timer);
  if (typeof outcome === 'string' && !CODES.includes(outcome)) problems.push(`${what}: ${outcome}`);
  return outcome;
}

let keysCount = 0;

/** One key that another tool spoils, used by two clients. Gives what went wrong. */
async function spoilt(
  { lock, tickets, session: foreignSession, during }: Plan,
  [a, b]: readonly [TestClient, TestClient],
): Promise<string[]> {
  keysCount += 1;
  const pair = { resource: 'spoilt', id: keysCount };
  const key = readKey(pair);
  const own = `dead${keysCount}`;
  const holds = new Holds();
  const { problems } = holds;
  const named = (value: unknown): unknown => (typeof value === 'string' ? value.replaceAll('dead', own) : value);
  if (foreignSession !== null) await sessions().insertOne({ ...foreignSession, _id: own });
  if (lock !== null)
    await locks()
      .insertOne({ ...lock, grant: named(lock.grant), _id: key })
      .catch(isRefused);
  for (const [index, given] of tickets.entries()) {
    const who = named(given.session);
    await locks()
      .insertOne({
        key,
        ...given,
        session: who,
        _id: `${String(who)}/${String(given.n)}${index === 0 ? '' : `/${index}/${key}`}`,
      })
      .catch(isRefused);
  }
  const lastsSpoilt = await untouchedSpoilt(key, during);
  const use = async (client: TestClient, timeoutMS: number | null): Promise<void> => {
    const started = timeoutMS === null ? client.locks.tryLock(pair) : client.locks.lock({ ...pair, timeoutMS });
    const got = await ended('acquire', started, problems);
    if (got === 'LOCK_TIMEOUT' && (await lastsSpoilt())) {
      const again = await ended('asked', client.locks.lock({ ...pair, timeoutMS: CALL_LIMIT_MS - 1_000 }), problems);
      if (again === 'LOCK_TIMEOUT') problems.push('a time-out where it cannot be read');
    }
    if (typeof got === 'string' || got === null) return;
    holds.took(got);
    await spoilWhileHeld(key, during, named);
    const released = await ended('unlock', got.unlock(), problems);
    if (typeof released !== 'boolean') problems.push(`unlock gave ${released}`);
  };
  await Promise.all([use(a, TIMEOUT_MS), use(b, TIMEOUT_MS), use(a, null)]);
  await use(b, TIMEOUT_MS);
  await leftOf({ key, clients: [a, b], excuses: !isLeftAlone(during) }, problems);
  await locks().deleteMany({ $or: [{ _id: key }, { key }] });
  await sessions().deleteOne({ _id: own });
  // Whoever wrote another grant has said that the hold is over, whatever its holder knows yet.
  return during.grant === undefined && !during.vanishes
    ? problems
    : problems.filter((problem) => !/token/.test(problem));
}

async function spoilWhileHeld(
  key: string,
  { fields, vanishes, grant }: Plan['during'],
  named: (value: unknown) => unknown,
): Promise<void> {
  const set = { ...fields, ...(grant !== undefined && { grant: named(grant) }) };
  if (vanishes) await locks().deleteOne({ _id: key });
  else if (Object.keys(set).length > 0) await locks().updateOne({ _id: key }, { $set: set }).catch(isRefused);
}

/** The other tool's write breaks a rule of the server: an `_id` that is taken, two lists in fields of one index. */
function isRefused(error: { code?: unknown }): void {
  if (error.code !== 11_000 && error.code !== 171) throw error;
}

/** INV-08: when all calls have ended no ticket of ours waits, and no live session of ours is named where it can be read. */
async function leftOf(
  { key, clients, excuses }: { key: string; clients: readonly TestClient[]; excuses: boolean },
  problems: string[],
): Promise<void> {
  const ours = new RegExp(`^(${clients.map(({ session: id }) => id).join('|')})/`);
  let left: Document[] = [];
  const look = async (): Promise<boolean> => {
    const found = await locks()
      .find({
        $or: [
          { _id: ours, key },
          { _id: key, grant: ours },
        ],
      })
      .toArray();
    left = found.filter((document) => document._id !== key || !excuses || isReadable(document));
    return left.length === 0;
  };
  await eventually(look, 2 * SETTINGS.leaseDurationMS).catch(() => {});
  if (left.length > 0) problems.push(`left behind: ${JSON.stringify(left)}`);
}

/** What is spoilt under its holder stays until it is put right, or its session ends. */
function isReadable(document: Document): boolean {
  const lock = readLock(document);
  if (lock === null || lock.version > DOCUMENT_VERSION) return false;
  return lock.grant === null || parseGrant(lock.grant) !== null;
}

/** Whether nothing is done to a document while it is held. */
function isLeftAlone({ fields, vanishes, grant: other }: Plan['during']): boolean {
  return Object.keys(fields).length === 0 && !vanishes && other === undefined;
}

/** Whether a document could not be read before, and still cannot: then whoever asks must be told so, and nothing else. */
async function untouchedSpoilt(key: string, during: Plan['during']): Promise<() => Promise<boolean>> {
  const isSpoilt = async (): Promise<boolean> => {
    const found = await locks().findOne({ _id: key });
    return found !== null && !isReadable(found);
  };
  const before = await isSpoilt();
  return async () => isLeftAlone(during) && before && (await isSpoilt());
}

/** Keys nobody spoils, used by the same clients meanwhile: taken and passed on as always. */
async function untouched([a, b]: readonly [TestClient, TestClient], which: string): Promise<string[]> {
  const pair = { resource: 'untouched', id: which };
  const holds = new Holds();
  const { problems } = holds;
  for (let round = 0; round < 3; round += 1) {
    const calls = [a, b, a, b].map(async (client, index) => {
      const got = await ended(`untouched ${index}`, client.locks.lock({ ...pair, timeoutMS: CALL_LIMIT_MS }), problems);
      if (typeof got === 'string') return problems.push(`untouched ${index}: ${got}`);
      holds.took(got);
      await null;
      const released = await ended('untouched unlock', got.unlock(), problems);
      return released === true ? 0 : problems.push(`untouched unlock gave ${released}`);
    });
    await Promise.all(calls);
  }
  return problems;
}

/** A key whose holder has died while others look at what was spoilt: passed on as always. */
async function orphaned(client: TestClient, which: string): Promise<string[]> {
  const pair = { resource: 'orphaned', id: which };
  const problems: string[] = [];
  const session = `orphan-${which.replaceAll(' ', '-')}`;
  await sessions().insertOne({ _id: session, v: 1, state: 'alive', until: new Date(0), leaseMS: 1_000, beats: 1 });
  await locks().insertOne({
    _id: readKey(pair),
    v: 1,
    grant: `${session}/7/1:1`,
    fence: Long.fromNumber(7),
    arrivals: 0,
  });
  const got = await ended('orphaned', client.locks.lock({ ...pair, timeoutMS: CALL_LIMIT_MS }), problems);
  if (typeof got === 'string') return [...problems, `orphaned: ${got}`];
  if (got.fencingToken <= 7) problems.push(`orphaned: token ${got.fencingToken}`);
  await got.unlock();
  return problems;
}

/** On a machine that cannot renew a lease in time holds are lost, as they must be: what is left to judge is who held. */
function wasTooSlow(clients: readonly TestClient[]): boolean {
  return clients.some((client) => client.seen('session:lost').some(({ cause }) => String(cause).includes('in time')));
}

describe('documents that another tool writes', () => {
  it(
    'are refused or healed within limits, cost no other key anything, and never give two the lock',
    async () => {
      const clients = [await database.connected(SETTINGS), await database.connected(SETTINGS)] as const;
      let round = 0;
      const property = fc.asyncProperty(fc.array(plan, { minLength: 24, maxLength: 24 }), async (plans) => {
        round += 1;
        const others = Promise.all([
          untouched(clients, `${round}`),
          ...clients.map((client, index) => orphaned(client, `${round}-${index}`)),
        ]);
        const problems = await Promise.all(plans.map((each) => spoilt(each, clients)));
        const said = problems.flatMap((some, index) => (some.length > 0 ? [...some, fc.stringify(plans[index])] : []));
        const all = [...said, ...(await others).flat()].filter(
          (problem) => !wasTooSlow(clients) || /token/.test(problem),
        );
        // Said whole: an assertion would cut it short.
        if (all.length > 0) throw new Error(all.join('\n'));
        expect(all).toEqual([]);
      });
      try {
        await fuzz(property, { runs: 3, shrinks: false });
      } finally {
        for (const client of clients) client.expectsErrors = client.logged.length > 0;
      }
    },
    FUZZ_LIMIT_MS,
  );

  it(
    'of sessions that hold something keep nobody from having the dead of other keys passed on',
    async () => {
      const client = await database.connected(SETTINGS);
      let round = 0;
      const property = fc.asyncProperty(
        fc.array(session.map(withoutAbsent), { minLength: 8, maxLength: 8 }),
        async (all) => {
          round += 1;
          const leaving = new AbortController();
          const problems: string[] = [];
          const waiting = all.map(async (given, index) => {
            const pair = { resource: 'of a session', id: `${round}-${index}` };
            await sessions().insertOne({ ...given, _id: `bad${round}-${index}` });
            const grant = `bad${round}-${index}/7/1:1`;
            await locks().insertOne({ _id: readKey(pair), v: 1, grant, fence: Long.fromNumber(7), arrivals: 0 });
            const got = await client.locks.lock({ ...pair, signal: leaving.signal }).catch((reason: unknown) => reason);
            if (got instanceof Lock) await got.unlock();
            else if (got !== 'left' && !(got instanceof LockError)) problems.push(String(got));
          });
          problems.push(...(await orphaned(client, `beside ${round}`)));
          leaving.abort('left');
          await Promise.all(waiting);
          await locks().deleteMany({ grant: /^bad/ });
          await sessions().deleteMany({ _id: /^bad/ });
          if (problems.length > 0) throw new Error([...problems, ...all.map((each) => fc.stringify(each))].join('\n'));
          expect(problems).toEqual([]);
        },
      );
      try {
        await fuzz(property, { runs: 4, shrinks: false });
      } finally {
        client.expectsErrors = client.logged.length > 0;
      }
    },
    FUZZ_LIMIT_MS,
  );

  it('of which no index can be made are refused when a client connects', async () => {
    const at = [Timestamp.fromBits(1, 1), Timestamp.fromBits(2, 1)];
    await database.db
      .collection<{ _id: string; [name: string]: unknown }>('lists')
      .insertOne({ _id: 'x', key: ['a', 'b'], at });
    const client = database.client({ ...SETTINGS, collectionName: 'lists' });
    expect(await ended('connect', client.locks.connect(), [])).toBe('LOCK_INVALID_OPTION');
  });
});

itLeavesNothingBehind(database);
