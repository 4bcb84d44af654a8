/** Arguments over a real connection: what is refused is refused before anything is sent, and equal texts are one lock. */
import { Lock, LockInvalidArgumentError } from 'mongo-distributed-locks';
import { Binary, ObjectId, UUID } from 'mongodb';
import { describe, expect, it } from 'vitest';
import { GRANTED_FIELDS, given, itLeavesNothingBehind, useDatabase } from '../../support/database.js';
import { rejection } from '../../support/eventually.js';

const database = useDatabase(import.meta.url);
const pair = { resource: 'account', id: 7 };
const fn = (): number => 1;

/** What no lock may be named by. */
const NO_NAMES: readonly (readonly [string, unknown])[] = [
  ['nothing', undefined],
  ['null', null],
  ['an empty string', ''],
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['true', true],
  ['a symbol', Symbol('name')],
  ['a date', new Date(0)],
  ['an array', ['a']],
  ['a plain object', { name: 'a' }],
  ['a function', () => 'a'],
  ['half of a surrogate pair', 'a\uD800b'],
  ['the other half', '\uDC00'],
  ['a Binary that is no UUID', new Binary(Buffer.alloc(16), 0)],
  ['513 bytes', 'a'.repeat(513)],
  ['a megabyte', 'a'.repeat(2 ** 20)],
];

const NO_TIMEOUTS: readonly unknown[] = [-1, -0.5, Number.NaN, Number.NEGATIVE_INFINITY, '100', 100n, null, {}];

describe('before anything is sent', () => {
  it.each(NO_NAMES)('a resource or an id that is %s is refused by name', async (_what, value) => {
    const { locks, commands } = await database.connected();
    for (const argument of ['resource', 'id'] as const) {
      const request = { ...pair, [argument]: value } as never;
      const errors = await Promise.all([
        rejection(locks.lock(request)),
        rejection(locks.tryLock(request)),
        rejection(locks.exec({ ...(request as object), fn } as never)),
      ]);
      expect(errors).toEqual(errors.map(() => expect.objectContaining({ code: 'LOCK_INVALID_ARGUMENT', argument })));
      expect(errors[0]).toBeInstanceOf(LockInvalidArgumentError);
    }
    expect(commands.all).toEqual([]);
  });

  it.each(NO_TIMEOUTS)('a timeoutMS of %s is refused by name', async (timeoutMS) => {
    const { locks, commands } = await database.connected();
    const request = { ...pair, timeoutMS } as never;
    for (const call of [locks.lock(request), locks.exec({ ...(request as object), fn } as never)]) {
      expect(await rejection(call)).toMatchObject({ code: 'LOCK_INVALID_ARGUMENT', argument: 'timeoutMS' });
    }
    expect(commands.all).toEqual([]);
  });

  it.each([
    ['signal', { ...pair, signal: {} }],
    ['label', { ...pair, label: 7 }],
    ['timeOutMS', { ...pair, timeOutMS: 7 }],
    ['request', null],
    ['request', 'account'],
  ] as const)('what is wrong with %s is refused by name', async (argument, request) => {
    const { locks, commands } = await database.connected();
    const error = await rejection(locks.lock(request as never));
    expect(error).toMatchObject({ code: 'LOCK_INVALID_ARGUMENT', argument, retryable: false });
    expect((error as Error).message).toContain(argument === 'request' ? 'object' : argument);
    expect(commands.all).toEqual([]);
  });

  it('an fn that is no function is refused by name', async () => {
    const { locks, commands } = await database.connected();
    const error = await rejection(locks.exec({ ...pair, fn: 'book' } as never));
    expect(error).toMatchObject({ code: 'LOCK_INVALID_ARGUMENT', argument: 'fn' });
    expect(commands.all).toEqual([]);
  });

  it('tryLock refuses a timeoutMS and a signal, which would do nothing', async () => {
    const { locks, commands } = await database.connected();
    const { signal } = new AbortController();
    for (const extra of [{ timeoutMS: 5 }, { signal }]) {
      const error = await rejection(locks.tryLock({ ...pair, ...extra } as never));
      expect(error).toMatchObject({ code: 'LOCK_INVALID_ARGUMENT', argument: Object.keys(extra)[0] });
    }
    expect(commands.all).toEqual([]);
  });

  it('a client that never connected does not connect for it either', async () => {
    const { locks, commands } = database.client();
    await rejection(locks.lock({ resource: '', id: 7 }));
    expect(commands.all).toEqual([]);
  });
});

describe('a lock is named by', () => {
  const texts = { objectId: '0123456789abcdef01234567', uuid: '01234567-89ab-4def-8123-456789abcdef' };
  const oneLock: readonly (readonly [string, readonly unknown[]])[] = [
    ['a number, a bigint and a string of the same text', [1, 1n, '1']],
    ['a large number and bigint', [2 ** 53, 9_007_199_254_740_992n, '9007199254740992']],
    ['minus zero and zero', [-0, 0, '0']],
    [
      'an ObjectId of the driver, of another copy by its shape, and its text',
      [
        new ObjectId(texts.objectId),
        { _bsontype: 'ObjectId', toHexString: () => texts.objectId },
        { _bsontype: 'ObjectID', toHexString: () => texts.objectId },
        texts.objectId,
      ],
    ],
    [
      'a UUID of the driver, as a Binary, of another copy by its shape, and its text',
      [
        new UUID(texts.uuid),
        new Binary(Buffer.from(texts.uuid.replaceAll('-', ''), 'hex'), 4),
        { _bsontype: 'Binary', sub_type: 4, toHexString: () => texts.uuid },
        texts.uuid,
      ],
    ],
  ];

  it.each(oneLock)('%s, which are one lock', async (_what, values) => {
    const { locks } = await database.connected();
    for (const id of values) {
      const lock = given(await locks.tryLock({ resource: 'account', id: id as never }));
      expect(lock.id).toBe(id);
      for (const other of values) expect(await locks.tryLock({ resource: 'account', id: other as never })).toBeNull();
      expect(await lock.unlock()).toBe(true);
    }
  });

  it.each([
    [
      { resource: 'a-b', id: 'c' },
      { resource: 'a', id: 'b-c' },
    ],
    [
      { resource: 'a/b', id: 'c' },
      { resource: 'a', id: 'b/c' },
    ],
    [
      { resource: 'a%2Fb', id: 'c' },
      { resource: 'a/b', id: 'c' },
    ],
    [
      { resource: 'a', id: 'A' },
      { resource: 'a', id: 'a' },
    ],
    [
      { resource: 'a', id: 'e\u0301' },
      { resource: 'a', id: '\u00e9' },
    ],
    [
      { resource: 'a', id: '1' },
      { resource: 'a', id: '1.0' },
    ],
    [
      { resource: 'a', id: 'x' },
      { resource: 'x', id: 'a' },
    ],
  ])('a pair that no other pair collides with: %j and %j', async (one, other) => {
    const { locks } = await database.connected();
    const first = given(await locks.tryLock(one));
    const second = given(await locks.tryLock(other));
    expect([first.held, second.held]).toEqual([true, true]);
    await Promise.all([first.unlock(), second.unlock()]);
  });

  it.each([
    '$where',
    'a.b.c',
    '$$ROOT',
    '__proto__',
    'constructor',
    '\u0000',
    '"',
    '\\',
    '../..',
    'ключ 🔑',
    'a'.repeat(255),
  ])('the text %j, stored as a value (Q4)', async (text) => {
    const { locks } = await database.connected();
    const named = { resource: text, id: text };
    const lock = given(await locks.tryLock(named));
    const fields = Object.keys((await database.stored(named)) ?? {});
    expect(fields.sort()).toEqual(GRANTED_FIELDS);
    expect(await lock.unlock()).toBe(true);
  });

  it('512 bytes of UTF-8 in all, and no more', async () => {
    const { locks } = await database.connected();
    const resource = 'ä'.repeat(128);
    const lock = given(await locks.tryLock({ resource, id: 'a'.repeat(256) }));
    expect(await lock.unlock()).toBe(true);
    const error = await rejection(locks.tryLock({ resource, id: 'a'.repeat(257) }));
    expect(error).toMatchObject({ code: 'LOCK_INVALID_ARGUMENT', message: expect.stringContaining('513') });
  });
});

describe('timeoutMS', () => {
  it.each([0, 10_000, 2 ** 31, 2 ** 53, Number.MAX_VALUE, Number.POSITIVE_INFINITY, undefined])(
    'may be %s, and a free lock is given at once',
    async (timeoutMS) => {
      const { locks } = await database.connected();
      const lock = await locks.lock({ ...pair, timeoutMS });
      expect(lock.held).toBe(true);
      expect(await lock.unlock()).toBe(true);
    },
  );

  it.each([Number.MIN_VALUE, 0.5, 1])('may be %s: the lock is given in that time, or not at all', async (timeoutMS) => {
    const { locks } = await database.connected();
    const lock = await locks.lock({ ...pair, timeoutMS }).catch((error: unknown) => error);
    if (lock instanceof Lock) expect(await lock.unlock()).toBe(true);
    else expect(lock).toMatchObject({ code: 'LOCK_TIMEOUT' });
  });
});

itLeavesNothingBehind(database);
