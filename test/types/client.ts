/**
 * What the types allow and what they refuse, compiled (never run) against the installed tarball by every compiler the package tests know. A line
 * marked as an error that is none fails the compilation.
 */
import DLocks, {
  type ExecContext,
  type Lock,
  type LockClient,
  type LockClientOptions,
  LockError,
  LockLostError,
  LockTimeoutError,
} from 'mongo-distributed-locks';
import { type Db, type MongoClient, ObjectId, UUID } from 'mongodb';

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Same<A, B>): void => {};

declare const db: Db;
declare const client: MongoClient;

/** One source, and only what goes with it. */
export const sources: LockClientOptions[] = [
  { db },
  { client },
  { client, dbName: 'a' },
  { uri: 'mongodb://localhost' },
  { uri: 'mongodb://localhost', dbName: 'a', leaseDurationMS: 5_000 },
  // @ts-expect-error: no source
  {},
  // @ts-expect-error: no source, only settings
  { leaseDurationMS: 5_000 },
  // @ts-expect-error: two sources
  { db, client },
  // @ts-expect-error: a Db has its name
  { db, dbName: 'a' },
  // @ts-expect-error: no such option
  { db, leaseMS: 5_000 },
  // @ts-expect-error: a number
  { db, leaseDurationMS: '5s' },
  // @ts-expect-error: a logger has at least error
  { db, logger: { warn: () => {} } },
];

export async function results(locks: LockClient): Promise<void> {
  const number = await locks.exec({ resource: 'a', id: 1, fn: () => 1 as number });
  same<typeof number, number>(true);
  const text = await locks.exec({ resource: 'a', id: 1n, fn: async () => 'x' as string });
  same<typeof text, string>(true);
  const nothing = await locks.exec({ resource: new ObjectId(), id: new UUID(), fn: () => {} });
  same<typeof nothing, void>(true);
  const maybe = await locks.tryLock({ resource: 'a', id: 1 });
  same<typeof maybe, Lock | null>(true);
  const lock = await locks.lock({
    resource: 'a',
    id: 1,
    timeoutMS: Number.POSITIVE_INFINITY,
    signal: new AbortController().signal,
    label: 'x',
  });
  same<typeof lock.fencingToken, number>(true);
  same<typeof lock.signal, AbortSignal>(true);
  same<typeof lock.held, boolean>(true);
  const released = await locks.unlock(lock);
  same<typeof released, boolean>(true);
  same<Awaited<ReturnType<typeof lock.unlock>>, boolean>(true);
  same<Awaited<ReturnType<typeof locks.connect>>, void>(true);
  same<Awaited<ReturnType<typeof locks.close>>, void>(true);
}

export async function refusals(locks: LockClient, lock: Lock): Promise<void> {
  // @ts-expect-error: no id
  await locks.lock({ resource: 'a' });
  // @ts-expect-error: exec needs a function
  await locks.exec({ resource: 'a', id: 1 });
  // @ts-expect-error: tryLock never waits
  await locks.tryLock({ resource: 'a', id: 1, timeoutMS: 5 });
  // @ts-expect-error: a key, not a Lock
  await locks.unlock({ resource: 'a', id: 1 });
  // @ts-expect-error: a fact, not a switch
  lock.held = false;
  // @ts-expect-error: a Lock is granted, not made
  new (lock.constructor as typeof Lock)();
}

export function events(locks: LockClient): void {
  locks.on('lost', ({ fencingToken, error }) => {
    same<typeof fencingToken, number>(true);
    same<typeof error, LockLostError>(true);
  });
  // @ts-expect-error: no such event
  locks.on('stolen', () => {});
  // @ts-expect-error: the payload is no text
  locks.on('granted', (text: string) => text);
}

export function errors(error: unknown): string | undefined {
  if (error instanceof LockTimeoutError) {
    same<typeof error.waitedMS, number>(true);
    return error.holder?.session;
  }
  if (error instanceof LockLostError) return typeof error.result;
  return error instanceof LockError ? `${error.code} ${error.retryable}` : undefined;
}

/** The seed's surface. */
export async function seed(): Promise<number> {
  DLocks.configure({ db });
  DLocks.registerLoggerErrorFn(console.error);
  const lock = await DLocks.lock({ resource: 'a', id: 1, fn: () => 1 });
  await DLocks.unlock(lock);
  const value: number = await new DLocks({ resource: 'a', id: 1, fn: () => 1 }).exec();
  const context: number = await DLocks.exec({ resource: 'a', id: 1, fn: (ctx: ExecContext) => ctx.lock.fencingToken });
  same<typeof DLocks.LockClient, typeof LockClient>(true);
  await DLocks.close();
  return value + context;
}
