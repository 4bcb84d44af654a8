/** A process that holds a lock until a line comes in, under `shutdownOnSignal`. Prints what it did. Started by `making-room.test.ts`. */
import { once } from 'node:events';
import { LockClient, shutdownOnSignal } from 'mongo-distributed-locks';

const [, , uri = ''] = process.argv;
const locks = new LockClient({ uri, leaseDurationMS: 60_000 });
shutdownOnSignal(locks, { graceMS: 30_000 });
process.once('SIGTERM', () => {
  locks.lock({ resource: 'account', id: 8 }).catch(() => console.log('refused'));
});
await locks.exec({
  resource: 'account',
  id: 7,
  fn: async ({ lock }) => {
    console.log('held');
    await once(process.stdin, 'data');
    console.log(`finished, held ${lock.held}`);
  },
});
