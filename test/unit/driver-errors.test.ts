/**
 * What is said of failures of the driver: hosts by their place, codes, and the server's own words; nothing of the
 * driver's. That no secret is in it, whatever the connection string, is `fuzz-secrets`.
 */
import { LockClient } from 'mongo-distributed-locks';
import { describeFailure } from 'mongo-distributed-locks/safe-messages';
import { MongoClient, MongoServerError } from 'mongodb';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { failureOf } from '#core/mongo/failures.js';
import { rejection } from '../support/eventually.js';
import { withoutDns } from '../support/no-dns.js';
import { everythingOf } from '../support/odd-connection-strings.js';

const SELECTION = 'no suitable server was found in time (MongoServerSelectionError)';

beforeEach(withoutDns);
afterEach(() => {
  vi.restoreAllMocks();
});

interface Member {
  readonly type?: string;
  readonly error?: unknown;
}

/** What the driver throws where it finds no primary, by what it knows of each host. */
function selectionError(members: Readonly<Record<string, Member>>): Error {
  const servers = new Map(
    Object.entries(members).map(([address, member]) => [address, { type: 'Unknown', ...member }]),
  );
  return Object.assign(new Error('the words of the driver'), {
    name: 'MongoServerSelectionError',
    reason: { servers },
  });
}

function networkError(code: string, syscall: string): Error {
  const cause = Object.assign(new Error(`${syscall} ${code} hunter2`), { code, syscall });
  return Object.assign(new Error(cause.message, { cause }), { name: 'MongoNetworkError' });
}

describe('a host', () => {
  const refused = { error: networkError('ECONNREFUSED', 'connect') };
  const clientOf = (uri: string): MongoClient => new MongoClient(uri);

  it('that the connection string names is called by its place there', async () => {
    const uri = 'mongodb://first,localhost:1,third/?serverSelectionTimeoutMS=500';
    const locks = new LockClient({ uri });
    const error = await rejection(locks.connect());
    const states =
      'host 1 of the connection string: getaddrinfo ENOTFOUND; host 2 of the connection string (localhost): connect ECONNREFUSED';
    const described = `${SELECTION}: ${states}; host 3 of the connection string: getaddrinfo ENOTFOUND`;
    expect(error).toMatchObject({
      code: 'LOCK_UNAVAILABLE',
      message: `The database could not be reached: ${described}`,
      cause: { name: 'MongoServerSelectionError', message: described },
    });
    await locks.close();
  });

  it('that the replica set or the DNS has named is called by its name', () => {
    const members = { 'db-1.example:27017': refused, 'seed:27017': {}, 'db-2.example:27017': { type: 'RSSecondary' } };
    const error = selectionError(members);
    expect(describeFailure(error, clientOf('mongodb://seed'))).toBe(
      `${SELECTION}: db-1.example:27017: connect ECONNREFUSED; host 1 of the connection string: no answer yet; db-2.example:27017: a secondary`,
    );
    const ofDns = describeFailure(
      selectionError({ 'db-1.example:27017': refused }),
      clientOf('mongodb+srv://a.b.example'),
    );
    expect(ofDns).toBe(`${SELECTION}: db-1.example:27017: connect ECONNREFUSED`);
  });

  it('of which nothing is known is not named', () => {
    for (const client of [undefined, null, 7, {}, { options: {} }])
      expect(describeFailure(selectionError({ 'hunter2:27017': refused }), client)).toBe(
        `${SELECTION}: a host: connect ECONNREFUSED`,
      );
  });

  it('is shown where it is an address, without its port, and not where it is a number', () => {
    const names = ['127.0.0.1:9', '[::1]:27017', '29173:27017', '[fe80::1%hunter2]:27017', '/var/run/hunter2.sock'];
    const described = describeFailure(selectionError(Object.fromEntries(names.map((name) => [name, refused]))));
    expect(described.match(/(?<=[:;] )a host( \([\w.:]+\))?: connect/g)).toEqual(
      ['a host (127.0.0.1)', 'a host (::1)', 'a host', 'a host', 'a host'].map((name) => `${name}: connect`),
    );
  });

  it('is missing where the set is another one', () => {
    expect(describeFailure(selectionError({}))).toMatch(/no host is a member of the replica set/);
  });

  it('of many is left out', () => {
    const members = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`10.0.0.${index}:27017`, {}]));
    expect(describeFailure(selectionError(members))).toMatch(/\(10\.0\.0\.9\): no answer yet; …$/);
  });
});

describe('the words', () => {
  it('of the server are passed on, cut, and without a connection string that somebody has stored', () => {
    const errmsg = `not authorized, see mongodb://u:hunter2@h/x ${'and so on '.repeat(100)}`;
    const error = failureOf(new MongoServerError({ errmsg, code: 13, codeName: 'Unauthorized' }), 'write');
    expect(error.message).toContain('not authorized, see <connection string> and so on');
    expect(error.message.length).toBeLessThan(700);
    expect(error.cause).toMatchObject({ name: 'MongoServerError', code: 13, codeName: 'Unauthorized' });
    expect(everythingOf(error)).not.toContain('hunter2');
  });

  it.each([
    ['a file', Object.assign(new Error("open '/hunter2'"), { code: 'ENOENT', syscall: 'open', path: '/hunter2' })],
    ['a value of Node', Object.assign(new TypeError("Received 'hunter2'"), { code: 'ERR_INVALID_ARG_TYPE' })],
    ['a name that is none', Object.assign(new Error('hunter2'), { name: 'hunter2 word' })],
    ['a code that is none', Object.assign(new Error('hunter2'), { code: 'hunter2', syscall: 'spawn /hunter2' })],
    ['text alone', 'hunter2'],
    [
      'a package',
      Object.assign(new Error('hunter2'), { name: 'MongoMissingDependencyError', dependencyName: 'hunter2' }),
    ],
    ['an aggregate', new AggregateError([networkError('EACCES', 'connect')], 'hunter2')],
  ])('of all others are not: %s', (_what, error) => {
    const failure = failureOf(error, 'read');
    expect(everythingOf(failure)).not.toContain('hunter2');
    expect(failure.message).toMatch(/^The database could not be reached: \w/);
  });

  it('are replaced by what the error is, with its code', () => {
    const file = Object.assign(new Error('x'), { code: 'ENOENT', syscall: 'open' });
    expect(describeFailure(file)).toBe('a file that an option names cannot be read (Error): open ENOENT');
    expect(describeFailure(networkError('ECONNRESET', 'read'))).toBe(
      'the connection failed (MongoNetworkError): read ECONNRESET',
    );
    const missing = { name: 'MongoMissingDependencyError', dependencyName: 'kerberos' };
    expect(describeFailure(Object.assign(new Error('x'), missing))).toMatch(/: kerberos$/);
    expect(describeFailure(Object.assign(new Error('x'), { name: 'MongooseServerSelectionError' }))).toBe(
      'no suitable server was found in time (MongooseServerSelectionError)',
    );
  });

  it('of a cause do not come back by its stack, its labels, or what it holds', () => {
    const raw = Object.assign(new Error('hunter2\n    at hunter2 (hunter2.js:1:1)'), {
      name: 'MongoNetworkError',
      code: 89,
      errorLabels: ['RetryableWriteError', 'a hunter2 label'],
      cause: new Error('hunter2'),
      options: { password: 'hunter2' },
    });
    const { cause } = failureOf(raw, 'write');
    expect(cause).toMatchObject({ name: 'MongoNetworkError', code: 89, errorLabels: ['RetryableWriteError'] });
    expect(everythingOf(cause)).not.toContain('hunter2');
  });
});
