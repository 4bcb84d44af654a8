/**
 * What is said of a connection string that cannot be used: which part is wrong, and no piece of it. What the driver
 * accepts and the locks refuse all the same is in here, too. That nothing shows a secret, whatever the string, is
 * `fuzz-secrets`.
 */
import fc from 'fast-check';
import { LockClient, type LockInvalidOptionError } from 'mongo-distributed-locks';
import { MongoClient } from 'mongodb';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { uriProblems } from '#core/mongo/connect.js';
import { acceptedStringProblems, connectionStringProblems } from '#core/mongo/connection-string.js';
import { FUZZ_LIMIT_MS, fuzz } from '../support/fuzz.js';
import { oddConnectionString } from '../support/odd-connection-strings.js';

const SECRET = 'hunter2';

// The driver warns of options that are deprecated.
beforeEach(() => void vi.spyOn(process, 'emitWarning').mockImplementation(() => {}));
afterEach(() => {
  vi.restoreAllMocks();
});

function accepts(uri: string): boolean {
  try {
    new MongoClient(uri);
    return true;
  } catch {
    return false;
  }
}

function refusalOf(make: () => unknown): LockInvalidOptionError {
  try {
    make();
  } catch (error) {
    return error as LockInvalidOptionError;
  }
  throw new Error('It was accepted.');
}

describe('a connection string that the driver does not accept', () => {
  it.each([
    ['a forgotten host', `mongodb://admin:${SECRET}/shop`, /^Host 1 has a port .* "@" and the host are missing/],
    ['the same with mongodb+srv', `mongodb+srv://admin:${SECRET}/shop`, /^Host 1 must have no port .* are missing/],
    ['a port that is a password', `mongodb://user@host:${SECRET}`, /^Host 1 has a port that is not a number/],
    ['such a port in a list', `mongodb://u:p@a:1,b:${SECRET},c/`, /^Host 2 has a port/],
    ['a port out of range', 'mongodb://u:p@host:65536', /^Host 1 has a port/],
    ['port 0', 'mongodb://u:p@host:0', /^Host 1 has a port/],
    ['a slash in a password', `mongodb://u:a/${SECRET}@host`, /^The password is not percent-encoded/],
    ['a stray % in a password', `mongodb://u:%${SECRET}@host`, /^The password is not percent-encoded/],
    ['a slash in a user name', `mongodb://${SECRET}/u:p@host`, /^The user name, or what stands before the first "@"/],
    ['no user name', `mongodb://:${SECRET}@host`, /^There is no user name/],
    ['no host', `mongodb://u:${SECRET}@/shop`, /^There is no host after the "@"/],
    ['a raw path of a socket', `mongodb://u:p@/tmp/${SECRET}.sock`, /^There is no host .* "%2F" for each "\/"/],
    ['a host with an odd character', `mongodb://u:p@a^${SECRET}`, /^Host 1 is not the name or the address of a host/],
    ['a broken address', `mongodb://u:p@[::1${SECRET}]`, /^Host 1 is not the name or the address of a host/],
    [
      'several hosts of one name',
      `mongodb+srv://u:p@a.b.c,${SECRET}.b.c`,
      /^With "mongodb\+srv:\/\/" there is one host/,
    ],
    ['a stray % in the database', `mongodb://u:p@host/%${SECRET}`, /^The name of the database has a "%"/],
    ['an unknown option', `mongodb://u:p@host/?${SECRET}=1`, /^Option 1 is none that a connection string may have/],
    ['an option without a value', `mongodb://u:p@host/?w=1&${SECRET}`, /^Option 2 has no value/],
    ['an option without its name', `mongodb://u:p@host/?tls`, /^The option "tls" has no value/],
    [
      'an option given twice',
      `mongodb://host/?appName=a&appName=${SECRET}`,
      /^The option "appName" is there more than once/,
    ],
    ['a value of an option', `mongodb://u:p@host/?TLS=${SECRET}`, /^The option "tls" has a value/],
    ['a mechanism', `mongodb://u:p@host/?authMechanism=${SECRET}`, /^The option "authMechanism" has a value/],
    [
      'options that do not go together',
      `mongodb://u:p@a,b/?directConnection=true&appName=${SECRET}`,
      /^Its options do not go together, .*: "directConnection", "appName"\.$/,
    ],
    ['a piece of a password as options', `mongodb://u:a@b?${SECRET}@host/`, /There is an "@" behind the hosts/],
  ])('is refused with the part that is wrong, here %s', (_what, uri, named) => {
    expect(accepts(uri)).toBe(false);
    const problems = uriProblems(uri);
    expect(problems.join(' ')).toMatch(named);
    expect(refusalOf(() => new LockClient({ uri }))).toMatchObject({
      code: 'LOCK_INVALID_OPTION',
      problems: problems.map((problem) => `"uri": ${problem}`),
      message: expect.not.stringContaining(SECRET),
    });
  });

  it(
    'is always refused with a problem, and mostly with the part that is wrong',
    async () => {
      let vagueCount = 0;
      let refusedCount = 0;
      await fuzz(
        fc.property(oddConnectionString, (uri) => {
          const refused = uri.startsWith('mongodb') && !accepts(uri);
          if (!refused) return;
          const problems = connectionStringProblems(uri, accepts);
          expect(problems).not.toEqual([]);
          refusedCount += 1;
          if (/^Its options/.test(problems.join(' '))) vagueCount += 1;
        }),
        { runs: 500 },
      );
      expect(refusedCount).toBeGreaterThan(100);
      expect(vagueCount / refusedCount).toBeLessThan(0.1);
    },
    FUZZ_LIMIT_MS,
  );
});

describe('a connection string that the driver accepts', () => {
  it.each([
    ['no host after a comma', 'mongodb://u:p@host,/'],
    ['an encoded bracket', `mongodb://u:p@host,a%5B${SECRET}/`],
    ['a space', `mongodb://u:p@${SECRET} x/`],
    ['a quotation mark', `mongodb://u:p@"${SECRET}"/`],
  ])('and that has no host is refused: the driver fails outside of every call, here with %s', (_what, uri) => {
    expect(accepts(uri)).toBe(true);
    const client = new MongoClient(uri);
    for (const options of [{ uri }, { client }, { db: client.db('app') }]) {
      const { message } = refusalOf(() => new LockClient(options));
      expect(message).toMatch(/Host [12] of the connection string is not a host name/);
      expect(message).not.toContain(SECRET);
    }
  });

  // By 7 or later.
  it('or not is refused where it has more than one "@"', () => {
    const uri = `mongodb://u:a@${SECRET}@host`;
    const { problems } = refusalOf(() => new LockClient({ uri }));
    expect(problems).toEqual(['"uri": There is more than one "@": write "%40" in the user name and the password.']);
    expect(acceptedStringProblems(uri)).toHaveLength(1);
  });

  it('is refused where its database is a piece of a password, unless another one is given', () => {
    const uri = `mongodb://user:a@b/${SECRET}/c@host/shop`;
    const client = new MongoClient(uri);
    for (const options of [{ uri }, { client }]) {
      const { message } = refusalOf(() => new LockClient(options));
      expect(message).toMatch(/names a database by a name that no database can have/);
      expect(message).not.toContain(SECRET);
      expect(() => new LockClient({ ...options, dbName: 'shop' })).not.toThrow();
    }
  });

  it.each([
    'mongodb://localhost',
    'mongodb://user:p%40ss%2Fword@a.example:27017,b-2.example,10.0.0.1:1,[::1]:27018/app?replicaSet=rs0',
    'mongodb://me%40example.com:x@mongo_1.internal./app?authSource=admin&tls=true',
    'mongodb://%2Ftmp%2Fmongodb-27017.sock/app',
    'mongodb+srv://user:x@cluster0.abcde.mongodb.net/app?retryWrites=true&w=majority',
    'mongodb://u:p@münchen.example/app?appName=a@b',
    'mongodb://user@host/app-1_ü?authMechanism=MONGODB-X509&tls=true',
  ])('is taken where it is an ordinary one: %s', (uri) => {
    expect(uriProblems(uri)).toEqual([]);
    expect(() => new LockClient({ uri })).not.toThrow();
  });
});
