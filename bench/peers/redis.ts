/** Locks over one redis-server that keeps nothing on disk: redlock 5 beta and redis-semaphore, each with its own defaults for waiting. */
import { packageOfPeer } from './package-of-peer.js';
import type { Peer } from './peer.js';

interface Redis {
  quit(): Promise<unknown>;
  ping(): Promise<unknown>;
}

interface RedisPackage {
  readonly Redis: new (address: string) => Redis;
}

interface RedlockPackage {
  readonly default: new (
    clients: readonly Redis[],
    settings: Readonly<Record<string, number>>,
  ) => { acquire(keys: readonly string[], durationMS: number): Promise<{ release(): Promise<unknown> }> };
}

interface SemaphorePackage {
  readonly Mutex: new (
    client: Redis,
    key: string,
    options: Readonly<Record<string, number>>,
  ) => { acquire(): Promise<void>; release(): Promise<void> };
}

const LEASE_MS = 30_000;
const FOR_EVER_MS = 3_600_000;

async function connected(address: string): Promise<Redis> {
  const client = new (packageOfPeer<RedisPackage>('ioredis').Redis)(address);
  await client.ping();
  return client;
}

export const REDLOCK: Peer = {
  name: 'redlock 5.0.0-beta.2',
  how: 'tries every 200 ms, give or take 100',
  server: 'redis',
  async connect({ address, key }) {
    const client = await connected(address);
    // Its default is to give up after ten tries; the interval is the default.
    const redlock = new (packageOfPeer<RedlockPackage>('redlock').default)([client], { retryCount: -1 });
    return {
      async acquire() {
        const lock = await redlock.acquire([key], LEASE_MS);
        return () => lock.release();
      },
      close: async () => void (await client.quit()),
    };
  },
};

export const REDIS_SEMAPHORE: Peer = {
  name: 'redis-semaphore 5.8.0',
  how: 'tries every 10 ms',
  server: 'redis',
  async connect({ address, key }) {
    const client = await connected(address);
    const { Mutex } = packageOfPeer<SemaphorePackage>('redis-semaphore');
    return {
      async acquire() {
        const mutex = new Mutex(client, key, { lockTimeout: LEASE_MS, acquireTimeout: FOR_EVER_MS });
        await mutex.acquire();
        return () => mutex.release();
      },
      close: async () => void (await client.quit()),
    };
  },
};
