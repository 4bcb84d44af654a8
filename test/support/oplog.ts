/** What a database writes to the replica set: entries of the oplog between two moments. Used by tests that count. */
import { type MongoClient, Timestamp } from 'mongodb';

/** A moment from which on to count. */
export interface OplogMark {
  readonly ts: Timestamp;
}

/** The end of the oplog now. */
export async function oplogEnd(observer: MongoClient): Promise<OplogMark> {
  const oplog = observer.db('local').collection<{ ts: Timestamp }>('oplog.rs');
  const last = await oplog.find().sort({ $natural: -1 }).limit(1).next();
  return { ts: last?.ts ?? new Timestamp({ t: 0, i: 0 }) };
}

/** The entries of one database since then, as `<operation> <collection>`, where `operation` is `i`, `u` or `d`. */
export async function oplogSince(observer: MongoClient, database: string, { ts }: OplogMark): Promise<string[]> {
  const oplog = observer.db('local').collection<OplogEntry>('oplog.rs');
  const entries = await oplog.find({ ts: { $gt: ts } }).toArray();
  return entries
    .flatMap((entry) => entry.o?.applyOps ?? [entry])
    .filter(({ op, ns }) => ns.startsWith(`${database}.`) && op !== 'n' && op !== 'c')
    .map(({ op, ns }) => `${op} ${ns.slice(database.length + 1)}`);
}

interface OplogEntry {
  readonly ts: Timestamp;
  readonly op: string;
  readonly ns: string;
  /** Several operations that were written together. */
  readonly o?: { readonly applyOps?: readonly { readonly op: string; readonly ns: string }[] };
}
