/**
 * Nothing of a caller that left stays, also where the release that follows knows of it from the lock document alone.
 */
import { describe, expect, it } from 'vitest';
import { itLeavesNothingBehind, useDatabase } from '../../support/database.js';

const database = useDatabase(import.meta.url);
const PAIR = { resource: 'account', id: 7 };

async function leave(): Promise<void> {
  const { locks } = await database.connected();
  await expect(locks.lock({ ...PAIR, timeoutMS: 100 })).rejects.toMatchObject({ code: 'LOCK_TIMEOUT' });
  await locks.close();
}

describe('INV-08: the first caller that came during a hold, and left with its client', () => {
  it('is not granted the lock by the release', async () => {
    const holder = await (await database.connected()).locks.lock(PAIR);
    await leave();
    expect(await holder.unlock()).toBe(true);
    expect(await database.stored(PAIR)).toMatchObject({ grant: null });
  });

  it('takes nothing from the one who came behind it', async () => {
    const holder = await (await database.connected()).locks.lock(PAIR);
    const waiter = await database.connected();
    const leaving = leave();
    await database.untilWaiting(PAIR, 1);
    const waiting = waiter.locks.lock(PAIR);
    await database.untilWaiting(PAIR, 2);
    await leaving;
    expect(await holder.unlock()).toBe(true);
    const next = await waiting;
    expect(next.fencingToken).toBe(holder.fencingToken + 1);
    await next.unlock();
  });
});

itLeavesNothingBehind(database);
