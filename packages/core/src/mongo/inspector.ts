/**
 * What the locks look like now, for people and tools: one read each. It decides nothing and changes nothing; the client
 * calls it while its engine has the database open.
 */
import { DOCUMENT_VERSION, readLock } from '../protocol/documents.js';
import type { LockInspection, LockPage, LockSummary } from '../protocol/inspection.js';
import { readForced, readHolder, readWaiter } from '../protocol/inspection.js';
import { decodeKey, encodeKey, keyPrefix } from '../protocol/key.js';
import type { CollectionNames } from './commands.js';
import type { Connection, Reply } from './connection.js';
import { inspectCommand, listCommand } from './inspect-commands.js';
import { isDocument, lockOf } from './stored.js';

export class Inspector {
  readonly #connection: Connection;
  readonly #names: CollectionNames;

  constructor(connection: Connection, names: CollectionNames) {
    this.#connection = connection;
    this.#names = names;
  }

  /** One lock, held or not. */
  async inspect(subject: { readonly resource: string; readonly id: string }): Promise<LockInspection> {
    const { documents } = await this.#connection.read(inspectCommand(this.#names, encodeKey(subject)));
    const [found] = documents;
    if (found === undefined || !isDocument(found.lock)) {
      return { ...subject, holder: null, waiters: [], waitersCount: 0, forced: null };
    }
    const lock = lockOf(found.lock, this.#names.locks);
    const { grantedAt, forcedAt } = found.lock;
    return {
      ...subject,
      holder: readHolder(lock, { grantedAt, sessions: found.sessions }),
      waiters: listOf(found.waiters).flatMap((raw) => readWaiter(raw) ?? []),
      waitersCount: countIn(found.counted),
      forced: readForced(lock, forcedAt),
    };
  }

  /** A page of the locks that are held. What another tool has spoilt, or a newer version wrote, is left out. */
  async list(request: {
    readonly prefix: string;
    readonly after: string | null;
    readonly limit: number;
  }): Promise<LockPage> {
    const { prefix, after, limit } = request;
    const command = listCommand(this.#names, { prefix: keyPrefix(prefix), after, limit });
    const { documents, more } = await this.#connection.read(command);
    const last = documents.at(-1)?.lock;
    const full = more || documents.length >= limit;
    return {
      locks: documents.flatMap((raw) => summaryOf(raw) ?? []),
      after: full && isDocument(last) ? String(last._id) : null,
    };
  }
}

/** null: another tool has spoilt it, or a newer version wrote it, which `inspect` says. */
function summaryOf(raw: Reply): LockSummary | null {
  const lock = isDocument(raw.lock) ? readLock(raw.lock) : null;
  if (lock === null || lock.version > DOCUMENT_VERSION || !isDocument(raw.lock)) return null;
  const subject = decodeKey(lock.key);
  const holder = readHolder(lock, { grantedAt: raw.lock.grantedAt, sessions: raw.sessions });
  return subject === null || holder === null ? null : { ...subject, holder, waitersCount: countIn(raw.counted) };
}

function listOf(value: unknown): readonly Reply[] {
  return Array.isArray(value) ? value.filter(isDocument) : [];
}

function countIn(counted: unknown): number {
  const [group] = listOf(counted);
  return typeof group?.callers === 'number' ? group.callers : 0;
}
