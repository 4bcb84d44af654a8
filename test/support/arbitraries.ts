/**
 * Values that nobody should give and somebody will: texts that mean something elsewhere, values of every kind of JavaScript and of BSON, and
 * failures of every shape. Made for the fuzz tests; what must follow from them is said there.
 */
import fc from 'fast-check';
import {
  Binary,
  BSONRegExp,
  BSONSymbol,
  Code,
  Decimal128,
  Double,
  Int32,
  Long,
  MaxKey,
  MinKey,
  ObjectId,
  Timestamp,
  UUID,
} from 'mongodb';

/** Texts that are operators, paths, names every object has, encodings of others, too long, or no text at all. */
const TEXTS_OF_NOTE: readonly string[] = [
  ...[
    '',
    ' ',
    '$',
    '$where',
    '$gt',
    '$$ROOT',
    '$$NOW',
    '$literal',
    '$session',
    'a.b',
    '.',
    'grant',
    '$grant',
    '_id',
    'at',
  ],
  ...[
    '__proto__',
    'constructor',
    'prototype',
    'toString',
    'hasOwnProperty',
    'then',
    'toJSON',
    '_bsontype',
    'null',
    'NaN',
  ],
  ...[
    '{"$gt":""}',
    '\0',
    'a\0b',
    '\uD800',
    'a\uDC00',
    '%',
    '%2F',
    '/',
    'lock:',
    'lock:a/b',
    ',',
    ':',
    '^',
    '.*',
    '[',
    '\\',
  ],
  ...[
    'x'.repeat(180),
    'x'.repeat(256),
    'x'.repeat(257),
    'x'.repeat(511),
    'x'.repeat(512),
    '字'.repeat(170),
    '😀'.repeat(64),
  ],
];

/** Any text, well formed or not. */
export const anyText: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(...TEXTS_OF_NOTE),
  fc.string({ maxLength: 20, unit: 'binary' }),
  fc.string({ maxLength: 20 }),
);

/** A text that a lock may be named by. */
export const nameText: fc.Arbitrary<string> = anyText
  .map((text) => text.replace(/\p{Surrogate}/gu, '?'))
  .filter((text) => text !== '' && Buffer.byteLength(text) <= 250);

/** Numbers at every edge. */
export const anyNumber: fc.Arbitrary<number> = fc.oneof(
  fc.constantFrom(0, -0, 1, -1, 0.5, 1.5, -7, 1e-320, 2 ** 31, 2 ** 53, 2 ** 53 - 1, 2 ** 63, 1e21, 1e308, Number.NaN),
  fc.constantFrom(Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY),
  fc.double(),
  fc.integer(),
);

/** What another driver, or a query, may put where a plain value is meant. */
export const bsonShape: fc.Arbitrary<object> = fc.oneof(
  fc.record({ _bsontype: fc.constantFrom('ObjectId', 'ObjectID', 'UUID', 'Binary', 'Long') }),
  fc
    .record({
      _bsontype: fc.constantFrom('ObjectId', 'UUID'),
      hex: fc.constantFrom('a'.repeat(24), 'b'.repeat(32), 'zz', ''),
    })
    .map(({ _bsontype, hex }) => ({ _bsontype, toHexString: () => hex })),
  fc
    .constantFrom('a'.repeat(24))
    .map((hex) => Object.assign(Object.create(null), { _bsontype: 'ObjectId', toHexString: () => hex })),
  fc.constant({ _bsontype: 'UUID', toHexString: () => ({ toString: null }) }),
  fc.constant({ _bsontype: 'ObjectId', toHexString: fail, toString: fail }),
  fc.record({
    _bsontype: fc.constant('Binary'),
    sub_type: fc.constant(4),
    buffer: fc.uint8Array(),
    position: anyNumber,
  }),
);

/** Operators and names, as a value parsed from a request has them. */
const operatorShape: fc.Arbitrary<object> = fc
  .dictionary(
    fc.oneof(fc.constantFrom('$gt', '$ne', '$where', '$in', '$regex', 'a.b'), anyText),
    fc.constantFrom('', null, 1),
    { maxKeys: 3 },
  )
  .map((given) => JSON.parse(JSON.stringify(given)) as object);

const ownNames: fc.Arbitrary<object> = fc.constantFrom(
  ...['{"__proto__":{"resource":"r","id":1}}', '{"constructor":{"prototype":{"x":1}}}', '{"__proto__":null}'].map(
    (text) => JSON.parse(text) as object,
  ),
);

/** Any value of JavaScript. */
export const anyValue: fc.Arbitrary<unknown> = fc.oneof(
  anyText,
  anyNumber,
  fc.bigInt(),
  fc.constantFrom<unknown>(
    undefined,
    null,
    true,
    false,
    Symbol('s'),
    () => 'x',
    class X {},
    Promise.resolve(),
    globalThis,
  ),
  fc.anything({
    maxDepth: 2,
    withBigInt: true,
    withBoxedValues: true,
    withDate: true,
    withMap: true,
    withNullPrototype: true,
  }),
  bsonShape,
  operatorShape,
  ownNames,
);

/** Any value that can be stored, by its kind: each of BSON's, and numbers of each type at every edge. */
export const storedValue: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 3, arbitrary: storedNumber() },
  fc.constantFrom<unknown>(null, true, false, '', 'x', '12', '-1', 'NaN', '$grant', '{"$gt":""}', 'x'.repeat(2_000)),
  fc.constantFrom<unknown>(
    [],
    [1],
    ['x'],
    [[Long.ONE]],
    [null],
    {},
    { $gt: '' },
    { a: { b: 1 } },
    { __proto__x: 1, constructor: 1 },
  ),
  fc.constantFrom<unknown>(new Date(0), new Date(8.64e15), new Date(-8.64e15), new Timestamp({ t: 1, i: 1 })),
  fc.constantFrom<unknown>(
    new ObjectId('a'.repeat(24)),
    new UUID('0'.repeat(32)),
    new Binary(Buffer.from('x')),
    new MinKey(),
  ),
  fc.constantFrom<unknown>(new MaxKey(), new Code('1'), new BSONRegExp('.*'), new BSONSymbol('x'), [new Date(0)]),
);

function storedNumber(): fc.Arbitrary<unknown> {
  return fc.oneof(
    fc.constantFrom(0, 1, 2, -1, 2 ** 31 - 1).map((value) => new Int32(value)),
    anyNumber.map((value) => new Double(value)),
    fc
      .constantFrom(0n, 1n, -1n, 2n ** 53n, 2n ** 53n - 1n, 2n ** 63n - 1n, -(2n ** 63n), 9_000_000_000_000_000n)
      .map(Long.fromBigInt),
    fc.constantFrom('0', '1', '1.5', 'NaN', '-1', 'Infinity', '1E6000').map((text) => Decimal128.fromString(text)),
  );
}

/** Failures of every shape: what a driver of any copy throws, what others throw, and what only looks like an error. */
export const anyFailure: fc.Arbitrary<unknown> = fc.oneof(
  anyValue,
  fc
    .record({
      name: fc.oneof(
        anyText,
        anyValue,
        fc.constantFrom('MongoServerError', 'MongoWriteConcernError', 'MongoNotConnectedError'),
      ),
      code: fc.oneof(
        anyNumber,
        fc.constantFrom(11, 13, 59, 64, 91, 112, 121, 136, 189, 241, 286, 10107, 11000, 16554),
        anyValue,
      ),
      codeName: fc.oneof(anyText, fc.constantFrom('Location16554')),
      message: fc.oneof(anyText, anyValue, fc.constant('at mongodb://u:secret@h/ there')),
      hasErrorLabel: fc.constantFrom<unknown>(
        () => true,
        () => false,
        fail,
        7,
        undefined,
      ),
      cause: anyValue,
    })
    .map((marks) => Object.assign(new Error('x'), marks)),
  fc.constantFrom<unknown>(
    Object.create(null),
    { message: Object.create(null) },
    { message: { toString: fail } },
    { toString: fail },
    throwingAt('name'),
    throwingAt('code'),
    throwingAt('message'),
    throwingAt('codeName'),
    throwingAt('hasErrorLabel'),
  ),
);

function throwingAt(name: string): object {
  return Object.defineProperty({}, name, { get: fail, enumerable: true });
}

/** What throws when it is called or asked. */
function fail(): never {
  throw new RangeError('asked what must not be asked');
}
