/** The key: which values may be locked by, and that no two pairs of texts share a key. */

import fc from 'fast-check';
import { Binary, ObjectId, UUID } from 'mongodb';
import { describe, expect, it } from 'vitest';
import { LockInvalidArgumentError } from '#core/errors.js';
import { decodeKey, encodeKey, KEY_MAX_BYTES, readKey, readLockValue } from '#core/protocol/key.js';

const UUID_TEXT = '2f1c6a0e-5b7d-4c3e-9a8b-0123456789ab';
const UUID_HEX = UUID_TEXT.replaceAll('-', '');

function refusal(call: () => unknown): LockInvalidArgumentError {
  try {
    call();
  } catch (error) {
    if (error instanceof LockInvalidArgumentError) return error;
    throw error;
  }
  throw new Error('It was accepted.');
}

/** Texts with what the encoding treats specially, and any other. */
const texts = fc.oneof(
  fc.string({
    minLength: 1,
    maxLength: 40,
    unit: fc.constantFrom('a', '-', '/', '%', '2', 'F', '5', ':', '.', '$', '\0'),
  }),
  fc.string({ minLength: 1, maxLength: 40, unit: 'binary' }),
);
const pairs = fc.record({ resource: texts, id: texts });

describe('the key of a pair', () => {
  it('differs wherever the pairs differ', () => {
    fc.assert(
      fc.property(pairs, pairs, (a, b) => {
        const same = a.resource === b.resource && a.id === b.id;
        expect(encodeKey(a) === encodeKey(b)).toBe(same);
      }),
      { numRuns: 2_000 },
    );
  });

  it('gives the pair back', () => {
    fc.assert(
      fc.property(pairs, (pair) => {
        expect(decodeKey(encodeKey(pair))).toEqual(pair);
      }),
      { numRuns: 2_000 },
    );
  });

  it('is the only text that stands for its pair', () => {
    fc.assert(
      fc.property(texts, (text) => {
        const pair = decodeKey(`lock:${text}`);
        expect(pair === null ? null : encodeKey(pair)).toBe(pair === null ? null : `lock:${text}`);
      }),
      { numRuns: 2_000 },
    );
  });

  it('keeps apart what the older package confused', () => {
    expect(readKey({ resource: 'a-b', id: 'c' })).not.toBe(readKey({ resource: 'a', id: 'b-c' }));
    expect(readKey({ resource: 'a/b', id: 'c' })).not.toBe(readKey({ resource: 'a', id: 'b/c' }));
    expect(readKey({ resource: 'a%2F', id: 'c' })).not.toBe(readKey({ resource: 'a/', id: 'c' }));
  });

  it('never looks like the _id of a ticket, which has no colon', () => {
    expect(readKey({ resource: 'r', id: 1 })).toBe('lock:r/1');
  });

  it.each(['', 'lock:', 'lock:a', 'lock:a/', 'lock:/a', 'a/b', 'lock:%2f/a', 'lock:100%/a'])('is not %j', (text) => {
    expect(decodeKey(text)).toBeNull();
  });
});

describe('a value to lock by', () => {
  it.each([
    ['a string', 'user.$1', 'user.$1'],
    ['a number', 1, '1'],
    ['a fraction', -0.5, '-0.5'],
    ['minus zero', -0, '0'],
    ['a large number', 1e21, '1e+21'],
    ['a bigint', 10n ** 30n, `1${'0'.repeat(30)}`],
    ['an ObjectId', new ObjectId('0123456789ABCDEF01234567'), '0123456789abcdef01234567'],
    ['a UUID', new UUID(UUID_TEXT.toUpperCase()), UUID_TEXT],
    ['a Binary of sub type 4', new Binary(Buffer.from(UUID_HEX, 'hex'), 4), UUID_TEXT],
    ['a character beyond the first plane', '😀', '😀'],
  ])('may be %s', (_, value, text) => {
    expect(readLockValue('id', value)).toBe(text);
  });

  it('is one lock with every value of the same text', () => {
    const keys = [1, 1n, '1'].map((id) => readKey({ resource: 'r', id }));
    expect(new Set(keys).size).toBe(1);
    const uuid = new UUID(UUID_TEXT);
    expect(readKey({ resource: uuid, id: 1 })).toBe(readKey({ resource: UUID_TEXT, id: 1 }));
  });

  it('is known by what it says it is, whichever copy of the driver made it', () => {
    const hex = '0123456789abcdef01234567';
    const older = { _bsontype: 'ObjectID', toHexString: () => hex };
    expect(readLockValue('id', older)).toBe(hex);
    const olderUuid = { _bsontype: 'UUID', toHexString: () => UUID_TEXT.toUpperCase() };
    expect(readLockValue('id', olderUuid)).toBe(UUID_TEXT);
    const grown = { _bsontype: 'Binary', sub_type: 4, position: 16, buffer: Buffer.from(`${UUID_HEX}ffff`, 'hex') };
    expect(readLockValue('id', grown)).toBe(UUID_TEXT);
  });

  it.each([
    ['undefined', undefined],
    ['null', null],
    ['an empty string', ''],
    ['true', true],
    ['NaN', Number.NaN],
    ['infinity', Number.POSITIVE_INFINITY],
    ['a symbol', Symbol('x')],
    ['a function', () => 'x'],
    ['an array', ['a']],
    ['a date', new Date(0)],
    ['an object', { toString: () => 'x' }],
    ['a boxed string', Object('x')],
    ['a Binary of another sub type', new Binary(Buffer.alloc(16), 0)],
    ['an old UUID of sub type 3', new Binary(Buffer.alloc(16), 3)],
    ['a Binary of another length', new Binary(Buffer.alloc(15), 4)],
    ['what only says it is an ObjectId', { _bsontype: 'ObjectId', toHexString: () => 'zz' }],
    [
      'what throws when asked',
      {
        _bsontype: 'ObjectId',
        toHexString: () => {
          throw new Error('no');
        },
      },
    ],
    ['half of a surrogate pair', 'a\uD83D'],
    ['the other half', '\uDE00a'],
  ])('is not %s, and the refusal names the argument', (_, value) => {
    for (const name of ['resource', 'id'] as const) {
      const given = { resource: 'r', id: 'i', [name]: value };
      const error = refusal(() => readKey(given));
      expect(error.code).toBe('LOCK_INVALID_ARGUMENT');
      expect(error.argument).toBe(name);
      expect(error.message).toContain(`"${name}"`);
    }
  });

  it('is not normalised: two ways to write one character are two locks', () => {
    expect(readKey({ resource: 'r', id: '\u00e9' })).not.toBe(readKey({ resource: 'r', id: 'e\u0301' }));
  });

  it('may have 512 bytes of UTF-8 together with the other, and not one more', () => {
    const half = '€'.repeat(85); // 255 bytes
    expect(readKey({ resource: half, id: `${half}ab` })).toBe(`lock:${half}/${half}ab`);
    expect(refusal(() => readKey({ resource: half, id: `${half}abc` })).argument).toBe('id');
    expect(refusal(() => readKey({ resource: `${half}abcd`, id: half })).argument).toBe('resource');
    expect(refusal(() => readKey({ resource: 'r', id: 'x'.repeat(KEY_MAX_BYTES) })).message).toContain('513 bytes');
    expect(refusal(() => readKey({ resource: 'x'.repeat(10_000_000), id: 1 })).argument).toBe('resource');
  });
});
