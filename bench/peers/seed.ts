/** The package that this library replaces, as it is on npm: a unique index, and tries at random intervals of 100 to 1,000 ms. */
import { packageOfPeer } from './package-of-peer.js';
import type { Peer } from './peer.js';

interface Seed {
  lock(request: { resource: string; id: string }): Promise<unknown>;
  unlock(lock: unknown): Promise<unknown>;
  registerLoggerErrorFn(log: () => void): void;
}

interface Mongoose {
  connect(uri: string, options: Readonly<Record<string, unknown>>): Promise<unknown>;
  disconnect(): Promise<void>;
  model(name: string): { init(): Promise<unknown> };
}

const DRIVER = { useNewUrlParser: true, useUnifiedTopology: true, useCreateIndex: true, poolSize: 50 };

export const SEED: Peer = {
  name: 'mongo-distributed-locks 2.0.3',
  how: 'tries every 100 to 1,000 ms, at random',
  server: 'mongodb',
  async connect({ address, dbName, key }) {
    const mongoose = packageOfPeer<Mongoose>('mongoose', { of: 'seed' });
    const locks = packageOfPeer<Seed>('seed');
    locks.registerLoggerErrorFn(() => {});
    await mongoose.connect(address, { ...DRIVER, dbName });
    await mongoose.model('lock').init();
    return {
      async acquire() {
        const lock = await locks.lock({ resource: 'bench', id: key });
        return () => locks.unlock(lock);
      },
      close: () => mongoose.disconnect(),
    };
  },
};
