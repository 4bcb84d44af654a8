/**
 * What the harness sees of the database beside the processes: who holds and who waits, whether a majority write is
 * possible at all, every grant and every guarded write in the order in which a majority has them, and what is left in
 * the end. It reads by connections of its own, which no fault touches.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type ChangeStreamDocument,
  type Db,
  type Document,
  MongoClient,
  MongoServerError,
  type ResumeToken,
} from 'mongodb';
import { readKey } from '#core/protocol/key.js';
import { nowMS } from '../../../packages/examples/src/demo/clock.js';
import { storedLeftovers } from '../../support/leaks.js';
import { GuardedDocuments } from './child/guarded.js';
import type { Guarded } from './child/guards.js';
import type { Disturbances } from './disturbances.js';
import { RESOURCE } from './facts.js';
import type { History } from './history.js';
import { until } from './waiting.js';

const LOCKS = 'dlocks';

/** The processes at one lock, by name. */
export interface QueueView {
  readonly holder: string | null;
  /** The longest waiting first, each once. */
  readonly waiting: readonly string[];
}

/** A grant, the end of one without another, or a guarded write, as a majority of the members has it. */
export interface StoredChange {
  readonly kind: 'grant' | 'free' | 'write';
  readonly key: string;
  /** The grant's text; the token of the write; nothing where the lock is free, or its document is gone. */
  readonly value: string;
  /** When it was written, by the clock of all facts; absent where the servers' clocks differ from the machine's. */
  readonly at?: number;
}

interface LockOrTicket {
  readonly _id: string;
  readonly key?: string;
  readonly grant?: string | null;
  readonly session?: string;
}

export class Observer {
  readonly client: MongoClient;
  readonly db: Db;
  readonly keys: readonly string[];
  readonly guarded: GuardedDocuments;
  readonly #history: History;

  constructor({
    uri,
    dbName,
    ids,
    history,
  }: { uri: string; dbName: string; ids: readonly string[]; history: History }) {
    // Short limits: what it sees of an outage must not be the driver's patience.
    this.client = new MongoClient(uri, {
      serverSelectionTimeoutMS: 1_000,
      connectTimeoutMS: 1_000,
      socketTimeoutMS: 3_000,
      heartbeatFrequencyMS: 500,
    });
    this.db = this.client.db(dbName);
    this.guarded = new GuardedDocuments(this.db);
    this.keys = ids.map((id) => readKey({ resource: RESOURCE, id }));
    this.#history = history;
  }

  /** What the processes need to be there. */
  async prepare(): Promise<void> {
    // Its limits are short, and a machine that is busy may not keep them while the set is young.
    const connects = (): Promise<boolean> =>
      this.client.connect().then(
        () => true,
        () => false,
      );
    await until('the harness is connected', connects);
    await this.guarded.create(this.keys);
    await this.db.collection('slow').insertOne({});
  }

  async queue(key: string): Promise<QueueView> {
    const documents = this.db.collection<LockOrTicket>(LOCKS, { readPreference: 'primary' });
    const [lock, tickets] = await Promise.all([
      documents.findOne({ _id: key }),
      documents.find({ key }).sort({ at: 1, session: 1, n: 1 }).limit(100).toArray(),
    ]);
    const holder = this.#processOf(lock?.grant?.split('/')[0]);
    const waiting = new Set(tickets.flatMap(({ session }) => this.#processOf(session) ?? []));
    if (holder !== null) waiting.delete(holder);
    return { holder, waiting: [...waiting] };
  }

  /** The cursors of the streams that wait for grants, by the member that is primary. */
  async streams(): Promise<{ cursor: unknown; opid: unknown }[]> {
    const stages = [{ $currentOp: { idleCursors: true } }, { $match: { ns: `${this.db.databaseName}.${LOCKS}` } }];
    const found = await this.client.db('admin').aggregate(stages).toArray();
    return found.flatMap(({ cursor, opid }) =>
      cursor?.cursorId === undefined ? [] : { cursor: cursor.cursorId, opid },
    );
  }

  async killCursors(cursors: readonly unknown[]): Promise<void> {
    await this.db.command({ killCursors: LOCKS, cursors });
  }

  async dropLocks(): Promise<void> {
    await this.db.collection(LOCKS).drop();
  }

  async deleteLock(key: string): Promise<void> {
    await this.db.collection<LockOrTicket>(LOCKS).deleteOne({ _id: key }, { writeConcern: { w: 'majority', j: true } });
  }

  readGuarded(): Promise<Guarded[]> {
    return this.guarded.read(this.keys);
  }

  /** What should not be there when all have gone. A session whose lease has lapsed is garbage, which a TTL removes. */
  async leftovers(): Promise<string[]> {
    const left = await storedLeftovers(this.db, LOCKS);
    const lapsed = await this.db
      .collection<{ _id: string }>(`${LOCKS}.sessions`)
      .find({ $expr: { $lt: ['$until', '$$NOW'] } })
      .toArray();
    const garbage = new Set(lapsed.map(({ _id }) => `session ${_id}`));
    return left.filter((each) => !garbage.has(each));
  }

  async close(): Promise<void> {
    await this.client.close();
  }

  #processOf(session: string | undefined): string | null {
    return (session !== undefined && this.#history.processOf.get(session)) || null;
  }
}

/** Writes with majority concern all the time; notes when that was impossible. */
export class Probe {
  /** How long each took. */
  readonly tookMS: number[] = [];
  readonly #db: Db;
  readonly #disturbances: Disturbances;
  readonly #end = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(db: Db, disturbances: Disturbances) {
    this.#db = db;
    this.#disturbances = disturbances;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Stops after the write that is under way. */
  async stop(): Promise<void> {
    this.#end.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const documents = this.#db.collection<{ _id: string; n: number }>('probe');
    const writeConcern = { w: 'majority', j: true, wtimeoutMS: 1_000 } as const;
    let lastAt = nowMS();
    while (!this.#end.signal.aborted) {
      const from = nowMS();
      const answer = await documents
        .updateOne({ _id: 'probe' }, { $inc: { n: 1 } }, { upsert: true, writeConcern })
        .catch(() => null);
      const to = nowMS();
      if (answer?.acknowledged) {
        this.tookMS.push(to - from);
        if (to - lastAt > OUTAGE_MS) this.#disturbances.note('no majority write', { from: lastAt, to });
        lastAt = to;
      }
      await sleep(PROBE_EVERY_MS);
    }
  }
}

const PROBE_EVERY_MS = 100;
/** A write that takes longer than this is an outage, whatever the reason. */
const OUTAGE_MS = 500;
const END = 'end';
/** The oplog does not reach back to where a stream was. */
const POSITION_LOST: ReadonlySet<number> = new Set([136, 260, 280, 286]);

/** Every grant and every guarded write, in the one order that the majority has. */
export class StoredChanges {
  readonly all: StoredChange[] = [];
  /** Whether nothing was missed. */
  complete = true;
  readonly #db: Db;
  readonly #clocks: 'of the machine' | 'of their own';
  readonly #grants = new Map<string, string | null>();
  readonly #stop = new AbortController();
  #seenEnd = false;
  #running: Promise<void> = Promise.resolve();

  constructor(db: Db, { clocks }: { readonly clocks: 'of the machine' | 'of their own' }) {
    this.#db = db;
    this.#clocks = clocks;
  }

  async start(): Promise<void> {
    let opened: () => void = () => {};
    const open = new Promise<void>((resolve) => {
      opened = resolve;
    });
    this.#running = this.#follow(opened);
    await open;
  }

  /** Resolves when everything up to now was seen. */
  async catchUp(limitMS: number): Promise<void> {
    await this.#db.collection<{ _id: string }>(GuardedDocuments.collectionName).insertOne({ _id: END });
    await until('the stored changes were read', () => this.#seenEnd, limitMS);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #follow(opened: () => void): Promise<void> {
    const wanted = { 'ns.coll': { $in: [LOCKS, GuardedDocuments.collectionName] } };
    let seen: ResumeToken | undefined;
    for (let time = 1; !this.#stop.signal.aborted && !this.#seenEnd; time += 1) {
      if (time > 1 && seen === undefined) this.complete = false;
      const after = seen === undefined ? {} : { resumeAfter: seen };
      const stream = this.#db.watch([{ $match: wanted }], { maxAwaitTimeMS: 200, ...after });
      stream.on('error', () => {});
      try {
        // The first look opens it.
        for (let first = true; !this.#seenEnd && !this.#stop.signal.aborted; first = false) {
          const change = await stream.tryNext();
          if (first) opened();
          if (change !== null) this.#take(change);
          seen = stream.resumeToken;
        }
      } catch (error) {
        if (error instanceof MongoServerError && POSITION_LOST.has(Number(error.code))) seen = undefined;
        await sleep(200);
      } finally {
        await stream.close().catch(() => {});
      }
    }
  }

  #take(change: ChangeStreamDocument): void {
    if (change.operationType === 'drop' && change.ns.coll === LOCKS)
      for (const key of this.#grants.keys()) this.#takeGrant(key, null, change);
    if (!('documentKey' in change)) return;
    const { coll } = change.ns as { coll: string };
    const key = String(change.documentKey._id);
    const fields: Document =
      change.operationType === 'update'
        ? (change.updateDescription.updatedFields ?? {})
        : ('fullDocument' in change && change.fullDocument) || {};
    if (coll === LOCKS && change.operationType === 'delete') this.#takeGrant(key, null, change);
    else if (coll === LOCKS) this.#takeGrant(key, fields.grant, change);
    else if (key === END) this.#seenEnd = true;
    else if (typeof fields.by === 'number' && fields.by > 0)
      this.all.push({ kind: 'write', key, value: String(fields.by), ...this.#at(change) });
  }

  /** A document replaced as a whole tells its grant again; an update of something else tells none. */
  #takeGrant(key: string, grant: unknown, change: ChangeStreamDocument): void {
    const before = this.#grants.get(key) ?? null;
    if (grant === before || (typeof grant !== 'string' && grant !== null)) return;
    this.#grants.set(key, grant);
    const kind = grant === null ? 'free' : 'grant';
    this.all.push({ kind, key, value: grant ?? '', ...this.#at(change) });
  }

  #at({ wallTime }: ChangeStreamDocument & { readonly wallTime?: Date }): { readonly at?: number } {
    if (wallTime === undefined || this.#clocks === 'of their own') return {};
    return { at: nowMS() - (Date.now() - wallTime.getTime()) };
  }
}
