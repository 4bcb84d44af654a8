/**
 * What all command builders share: the concerns, the limits, the version conditions and the pieces of pipelines. Pure.
 * The builders beside it (`lock-commands`, `queue-commands`, `session-commands`) return whole command documents;
 * `store.ts` sends them through `connection.ts`.
 */
import type { LockStore } from '../ports.js';
import { DOCUMENT_VERSION } from '../protocol/documents.js';

/** The two collections. */
export interface CollectionNames {
  readonly locks: string;
  readonly sessions: string;
}

/** What a method of the store is asked. */
export type RequestOf<Method extends keyof LockStore> = Parameters<LockStore[Method]>[0];

/** A command document, as the server takes it. */
export type Command = Record<string, unknown>;

/**
 * The longest any command may run on the server. For TRY and ARRIVE it must stay far below `IDLE_TTL_SECONDS`: none may
 * be applied after the document it was sent for was removed and made anew.
 */
export const COMMAND_LIMIT_MS = 30_000;

/** What every write asks for, whatever the defaults of the connection. Without `j` a one-member set delays the event by up to 100 ms. */
export const MAJORITY: Command = { w: 'majority', j: true };

/** "Version at most ours" in a query; a missing one counts as 1. */
export const VERSION_MATCHES: Command = { $not: { $gt: DOCUMENT_VERSION } };

/** The same in a pipeline, where a missing field sorts below every number. */
export const VERSION_IS_OURS: Command = { $not: [{ $gt: ['$v', DOCUMENT_VERSION] }] };

/** A text or number as a value: without `$literal` a pipeline would read `$…` as a field. */
export function literal(value: unknown): Command {
  return { $literal: value };
}

/** A 64-bit integer: a plain number above 2³¹ would be stored as a double. */
export function long(value: number): bigint {
  return BigInt(value);
}

/** A stored counter as a 64-bit integer, or `absent` where there is none. */
export function counter(field: string, absent: unknown = 0n): Command {
  return { $toLong: { $ifNull: [`$${field}`, absent] } };
}

/** The value beside the first condition that holds, else the last one. */
export function choose(cases: readonly (readonly [condition: Command, value: unknown])[], otherwise: unknown): unknown {
  return cases.reduceRight((rest, [condition, value]) => ({ $cond: [condition, value, rest] }), otherwise);
}

/** The stored document with `set` on top. */
export function changed(set: Command): Command {
  return { $mergeObjects: ['$$ROOT', set] };
}
