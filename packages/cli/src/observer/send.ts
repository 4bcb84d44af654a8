/**
 * Sending the observer's reads: from the primary, with BSON options of its own whatever the connection string says, and
 * never for longer than a limit. Its stream and its first read call it.
 */
import type { ClientSession, Db } from 'mongodb';
import { OwnError } from '../exit-codes.js';

/** A reply of the server. */
export type Reply = Readonly<Record<string, unknown>>;

export interface SendOptions {
  readonly session?: ClientSession;
  readonly limitMS: number;
  /** Ends the wait at once. */
  readonly signal?: AbortSignal;
}

const OPTIONS = {
  raw: false,
  useBigInt64: false,
  promoteLongs: true,
  promoteValues: true,
  promoteBuffers: false,
  readPreference: 'primary',
} as const;

/** Rejects with what the driver throws; after `limitMS` with an error that says so, and the answer is not heard. */
export async function send(db: Db, command: Reply, { session, limitMS, signal }: SendOptions): Promise<Reply> {
  const limit = AbortSignal.timeout(limitMS);
  const either = signal === undefined ? limit : AbortSignal.any([limit, signal]);
  try {
    return await db.command({ ...command }, { ...OPTIONS, signal: either, ...(session && { session }) });
  } catch (error) {
    if (limit.aborted) throw new OwnError(`The server did not answer within ${limitMS / 1_000} s.`, { cause: error });
    throw error;
  }
}
