/**
 * Nothing of a caller that left stays, also where the release that follows knows of it from the lock document alone.
 */
import { describe, expect, it } from 'vitest';
import { itLeavesNothingBehind, useDatabase } from '../../support/database.js';

const database = useDatabase(import.meta.url);
const PAIR = { resource: 'account', id: 7 };

/** Waits in the queue until told to leave; then its client is closed, too. */
async function visitor(): Promise<{ leave(): Promise<void> }> {
  const { locks } = await database.connected();
  const controller = new AbortController();
  const ending = expect(locks.lock({ ...PAIR, signal: controller.signal })).rejects.toBe('gone');
  await database.untilWaiting(PAIR, 1);
  const leave = async (): Promise<void> => {
    controller.abort('gone');
    await ending;
    await locks.close();
  };
  return { leave };
}

describe('INV-08: the first caller that came during a hold, and left with its client', () => {
  it('is not granted the lock by the release', async () => {
    const holder = await (await database.connected()).locks.lock(PAIR);
    await (await visitor()).leave();
    expect(await holder.unlock()).toBe(true);
    expect(await database.stored(PAIR)).toMatchObject({ grant: null });
  });

  it('takes nothing from the one who came behind it', async () => {
    const holder = await (await database.connected()).locks.lock(PAIR);
    const waiter = await database.connected();
    const first = await visitor();
    const waiting = waiter.locks.lock(PAIR);
    await database.untilWaiting(PAIR, 2);
    await first.leave();
    expect(await holder.unlock()).toBe(true);
    const next = await waiting;
    expect(next.fencingToken).toBe(holder.fencingToken + 1);
    await next.unlock();
  });
});

itLeavesNothingBehind(database);
