/** Reading lock documents that must be ours: what is not is said to be so. `store.ts` and `inspector.ts` call it. */
import { LockInvalidOptionError, LockNewerVersionError } from '../errors.js';
import { DOCUMENT_VERSION, type LockState, readLock } from '../protocol/documents.js';
import type { Reply } from './connection.js';

/** The lock document; throws `LOCK_NEWER_VERSION` and `LOCK_INVALID_OPTION`. */
export function lockOf(raw: unknown, collection: string): LockState {
  const lock = isDocument(raw) ? readLock(raw) : null;
  if (lock === null) throw foreign(raw, collection);
  if (lock.version > DOCUMENT_VERSION) throw newer(collection);
  return lock;
}

export function isDocument(value: unknown): value is Reply {
  return typeof value === 'object' && value !== null;
}

/** A newer version of this library is at work. */
export function newer(collection: string): LockNewerVersionError {
  return new LockNewerVersionError(
    `The collection "${collection}" is used by a newer version of this library: upgrade this process.`,
  );
}

/** Somebody else's document. */
export function foreign(raw: unknown, collection: string): LockInvalidOptionError {
  const id = isDocument(raw) ? JSON.stringify(raw._id) : 'unknown';
  return new LockInvalidOptionError([
    `The document with _id ${id} in the collection "${collection}" was not written by this library. ` +
      'Give the locks a collection of their own (collectionName).',
  ]);
}
