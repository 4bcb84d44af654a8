/**
 * The key of a lock: which values `resource` and `id` may be, their text, and the one string that a pair of texts
 * becomes as the `_id` of its lock document. Pure; the api calls it before anything is sent.
 */
import { LockInvalidArgumentError } from '../errors.js';

/** An ObjectId or a UUID of any copy of the driver or of mongoose; a `Binary` must be of sub type 4. */
export interface BsonId {
  /** What the driver's classes call themselves. */
  readonly _bsontype: 'ObjectId' | 'ObjectID' | 'UUID' | 'Binary';
}

/**
 * What one may lock by: a non-empty string, a finite number, a bigint, an ObjectId or a UUID. Values of the same text
 * (`1`, `1n` and `'1'`) are the same; strings are taken as they are, without normalisation.
 */
export type LockKeyPart = string | number | bigint | BsonId;

/** What the caller locks by, as texts. */
export interface KeyTexts {
  readonly resource: string;
  readonly id: string;
}

/** How long `resource` and `id` may be together, in bytes of UTF-8. */
export const KEY_MAX_BYTES = 512;

/** Lock documents share a collection with tickets, whose `_id`s have no colon. */
const PREFIX = 'lock:';
const ACCEPTED = 'a non-empty string, a finite number, a bigint, an ObjectId or a UUID';

/**
 * The key of what a caller gave; throws `LockInvalidArgumentError`, naming the argument, where it cannot be one. Values
 * of the same text (`1`, `1n`, `'1'`) give the same key, and different pairs of texts different ones.
 */
export function readKey(given: { readonly resource: unknown; readonly id: unknown }): string {
  const texts = { resource: readLockValue('resource', given.resource), id: readLockValue('id', given.id) };
  const bytesCount = Buffer.byteLength(texts.resource) + Buffer.byteLength(texts.id);
  if (bytesCount <= KEY_MAX_BYTES) return encodeKey(texts);
  const argument = texts.resource.length > texts.id.length ? 'resource' : 'id';
  throw refused(
    argument,
    `"resource" and "id" are ${bytesCount} bytes of UTF-8 together; ${KEY_MAX_BYTES} are allowed.`,
  );
}

/** The text of one value; throws `LockInvalidArgumentError` where it has none. */
export function readLockValue(name: 'resource' | 'id', value: unknown): string {
  const text = textOf(value);
  if (text === null) throw refused(name, `"${name}" must be ${ACCEPTED}; got ${describe(value)}.`);
  if (text === '') throw refused(name, `"${name}" must not be empty.`);
  // Before anything reads a text that may be megabytes; a unit of UTF-16 is at least a byte of UTF-8.
  if (text.length > KEY_MAX_BYTES) throw refused(name, `"${name}" is longer than ${KEY_MAX_BYTES} bytes of UTF-8.`);
  if (/\p{Surrogate}/u.test(text)) throw refused(name, `"${name}" has half of a surrogate pair, which is no text.`);
  return text;
}

/** One string for two texts. Only `resource` is escaped: its end is then the first slash, and `id` is the rest. */
export function encodeKey({ resource, id }: KeyTexts): string {
  return `${PREFIX}${escaped(resource)}/${id}`;
}

function escaped(resource: string): string {
  return resource.replaceAll('%', '%25').replaceAll('/', '%2F');
}

/** What the keys of all resources that begin with a text begin with. */
export function keyPrefix(resourcePrefix: string): string {
  return `${PREFIX}${escaped(resourcePrefix)}`;
}

/** The texts of a key; null where `encodeKey` does not give it (another tool wrote it). */
export function decodeKey(key: string): KeyTexts | null {
  const end = key.indexOf('/');
  if (!key.startsWith(PREFIX) || end === -1) return null;
  const resource = key.slice(PREFIX.length, end).replaceAll('%2F', '/').replaceAll('%25', '%');
  const id = key.slice(end + 1);
  return resource !== '' && id !== '' && encodeKey({ resource, id }) === key ? { resource, id } : null;
}

function textOf(value: unknown): string | null {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : null;
  if (typeof value === 'bigint') return String(value);
  return typeof value === 'object' && value !== null ? bsonTextOf(value) : null;
}

type BsonLike = Readonly<Record<string, unknown>>;

/** Known by `_bsontype`, never by `instanceof`: the caller's driver may be another copy than ours. */
function bsonTextOf(value: object): string | null {
  try {
    const bson = value as BsonLike;
    if (bson._bsontype === 'ObjectId' || bson._bsontype === 'ObjectID') return objectIdText(bson);
    if (bson._bsontype === 'UUID') return uuidText(bson);
    return bson._bsontype === 'Binary' && bson.sub_type === 4 ? uuidText(bson) : null;
  } catch {
    return null; // it only looked like one
  }
}

function objectIdText(bson: BsonLike): string | null {
  const hex = hexOf(bson);
  return hex !== null && /^[0-9a-f]{24}$/.test(hex) ? hex : null;
}

function uuidText(bson: BsonLike): string | null {
  const match = /^(.{8})(.{4})(.{4})(.{4})(.{12})$/.exec(hexOf(bson) ?? '');
  return match === null || !/^[0-9a-f]+$/.test(match[0]) ? null : match.slice(1).join('-');
}

/** Every ObjectId and UUID class there was has `toHexString`; a plain `Binary` has its bytes, and a longer buffer. */
function hexOf(bson: BsonLike): string | null {
  if (typeof bson.toHexString === 'function') return String(bson.toHexString()).replaceAll('-', '').toLowerCase();
  const { buffer, position } = bson;
  if (!(buffer instanceof Uint8Array) || typeof position !== 'number') return null;
  return Buffer.from(buffer.subarray(0, position)).toString('hex');
}

function describe(value: unknown): string {
  if (value === null || value === undefined || typeof value === 'boolean') return String(value);
  if (typeof value === 'number') return String(value);
  return Array.isArray(value) ? 'an array' : `a value of type ${typeof value}`;
}

function refused(argument: 'resource' | 'id', message: string): LockInvalidArgumentError {
  return new LockInvalidArgumentError(message, { argument });
}
