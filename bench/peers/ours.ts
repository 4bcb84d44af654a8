/** Our own library, and polling of its documents: what callers would get who only had `tryLock`. */
import { LockClient, type LockSettings } from 'mongo-distributed-locks';
import { pause } from '../clock.js';
import type { ContenderSettings, Peer } from './peer.js';

/** Streams stay open until the bare writes beside are measured; nothing is written to the console. */
const QUIET: LockSettings = { idleMS: 60_000, logger: { error: () => {} } };

/** The `_id` of the lock document, whose tickets are counted. */
export function lockId(key: string): string {
  return `lock:bench/${key}`;
}

function clientOf({ address, dbName, options }: ContenderSettings): LockClient {
  return new LockClient({ uri: address, dbName, ...QUIET, ...options });
}

export const OURS: Peer = {
  name: 'this library',
  how: 'queue of tickets, change stream',
  server: 'mongodb',
  async connect(settings) {
    const locks = clientOf(settings);
    await locks.connect();
    return {
      async acquire() {
        const lock = await locks.lock({ resource: 'bench', id: settings.key });
        return () => lock.unlock();
      },
      close: () => locks.close(),
    };
  },
};

export function pollingEvery(intervalMS: number): Peer {
  return {
    name: `polling every ${intervalMS} ms`,
    how: `\`tryLock\` of this library every ${intervalMS} ms`,
    server: 'mongodb',
    async connect(settings) {
      const locks = clientOf(settings);
      await locks.connect();
      return {
        async acquire() {
          for (;;) {
            const lock = await locks.tryLock({ resource: 'bench', id: settings.key });
            if (lock !== null) return () => lock.unlock();
            await pause(intervalMS);
          }
        },
        close: () => locks.close(),
      };
    },
  };
}
