/**
 * `@Locked()`: a method that runs while it holds a lock, and `currentLock()`, by which it sees that lock. It has no client of its
 * own: Nest sets the application's one on the instance. Users put it on methods of providers and controllers.
 */
import 'reflect-metadata';
import { AsyncLocalStorage } from 'node:async_hooks';
import { Inject } from '@nestjs/common';
import { type Lock, LockClient, type LockKeyPart } from 'mongo-distributed-locks';

/** Which lock the calls of a method hold, and how long they wait for it. */
export interface LockedOptions<Args extends unknown[]> {
  /** The kind of thing that is locked. */
  readonly resource: LockKeyPart;
  /** Which one of them, or a function that makes it of the call's first arguments. */
  readonly id: LockKeyPart | ((...args: Args) => LockKeyPart);
  /** How long a call waits, in milliseconds: 0 or more; for ever where it is left out. It does not limit the hold. */
  readonly timeoutMS?: number;
  /** A name for the calls, in events and to those who wait. Up to 256 bytes. */
  readonly label?: string;
}

/** What is decorated: its arguments start with those that `id` is made of. */
type LockedDecorator<Args extends unknown[]> = <Rest extends unknown[], R>(
  target: object,
  name: string | symbol,
  descriptor: TypedPropertyDescriptor<(...args: [...Args, ...Rest]) => Promise<R>>,
) => void;

type AnyMethod = (this: Injected, ...args: unknown[]) => Promise<unknown>;

/** Where Nest puts the client: a property that no class has by chance. */
const CLIENT = Symbol('mongo-distributed-locks-nestjs.client');

interface Injected {
  readonly [CLIENT]?: LockClient;
}

const held = new AsyncLocalStorage<Lock>();

/**
 * Runs each call of the method while it holds the lock, first come, first served among all processes, and unlocks once the call's
 * promise has settled. Put it on asynchronous methods of what Nest makes; `LocksModule` must be imported. Locks are not
 * re-entrant: a method that calls another one with the same key waits for itself.
 *
 * @param options Which lock. `@Locked({ resource: 'account', id: (accountId: string) => accountId })` for
 * `async pay(accountId: string, amount: number)`; the types of the arguments must agree.
 * @returns The decorator. What other decorators have noted on the method is kept, so the order of decorators does not matter.
 * @throws As rejections of the method's calls: what the method throws, and what `LockClient.exec` rejects with: `LOCK_TIMEOUT`
 * after `timeoutMS`, `LOCK_LOST` where the method succeeded although the lock was lost, `LOCK_CLOSED` on shutdown, and so on.
 */
export function Locked<Args extends unknown[] = []>(options: LockedOptions<Args>): LockedDecorator<Args> {
  const { id, ...request } = options;
  return (target, name, descriptor) => {
    const original = descriptor.value as AnyMethod | undefined;
    if (typeof original !== 'function') throw new TypeError(`@Locked() is for methods; "${String(name)}" is none.`);
    Inject(LockClient)(target, CLIENT);
    async function locked(this: Injected, ...args: unknown[]): Promise<unknown> {
      return clientOf(this, name).exec({
        ...request,
        id: typeof id === 'function' ? id(...(args as Args)) : id,
        fn: ({ lock }) => held.run(lock, () => original?.apply(this, args)),
      });
    }
    descriptor.value = looksLike(locked, original) as unknown as NonNullable<typeof descriptor.value>;
  };
}

/**
 * The lock of the `@Locked()` method that is running: its `signal`, to hand on to what the method does, and its `fencingToken`. Of
 * nested methods, the innermost one's.
 *
 * @throws `Error` outside of such a method.
 */
export function currentLock(): Lock {
  const lock = held.getStore();
  if (lock === undefined) throw new Error('currentLock() was called outside of a method with @Locked().');
  return lock;
}

function clientOf(instance: Injected, name: string | symbol): LockClient {
  const client = instance?.[CLIENT];
  if (client !== undefined) return client;
  throw new Error(
    `"${String(name)}" has @Locked(), but Nest did not make its object: there is no LockClient to lock with.`,
  );
}

/** Nest and others note on the method itself what it is for (routes, guards, jobs), and some look at its name. */
function looksLike<F extends object>(copy: F, original: object): F {
  for (const key of Reflect.getMetadataKeys(original)) {
    Reflect.defineMetadata(key, Reflect.getMetadata(key, original), copy);
  }
  for (const property of ['name', 'length']) {
    const described = Object.getOwnPropertyDescriptor(original, property);
    if (described !== undefined) Object.defineProperty(copy, property, described);
  }
  return copy;
}
