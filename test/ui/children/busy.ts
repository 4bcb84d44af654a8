/**
 * A process that takes locks again and again, for the pictures of the live page: label, seed and connection string come as arguments. It ends when
 * whoever started it closes its standard input.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { LockClient } from 'mongo-distributed-locks';

const [label = '', seed = '1', uri = ''] = process.argv.slice(2);
const locks = new LockClient({ uri, label, leaseDurationMS: 3_000, clockSkewMS: 500, logger: { error: () => {} } });
const RESOURCES = ['invoice', 'invoice', 'customer'] as const;
const CALLERS_COUNT = 12;

let state = Number(seed);

/** The same numbers each time: the pictures differ by time alone. */
function random(): number {
  state = (state * 48_271) % 2_147_483_647;
  return state / 2_147_483_647;
}

/** The first caller of each process has long work under one lock; the others short work under some. */
async function contend(caller: number): Promise<void> {
  for (;;) {
    const isReport = caller === 0;
    const resource = isReport ? 'report' : (RESOURCES[Math.floor(random() * RESOURCES.length)] ?? 'invoice');
    const id = isReport ? 'monthly' : 1_000 + Math.floor(random() ** 2 * 6);
    const holdMS = isReport ? 2_500 : 10 + 900 * random() ** 4;
    const fn = (): Promise<void> => pause(holdMS);
    await locks.exec({ resource, id, label: `${resource} of ${label}`, fn }).catch(() => {});
    // The load itself; no order hangs on it.
    await pause(400 * random());
  }
}

process.stdin.resume().on('end', () => process.exit());
for (let caller = 0; caller < CALLERS_COUNT; caller += 1) void contend(caller);
