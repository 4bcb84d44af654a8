/**
 * Calls that only try, while the first change stream of their client is still being opened for somebody who has stopped
 * waiting: they are answered, and do not take the place of the one who left. The stream's opening is held back at the port.
 */
import { describe, expect, it } from 'vitest';
import type { ClientInternals } from '#core/client.js';
import type { FeedListener } from '#core/ports.js';
import { itLeavesNothingBehind, type TestClient, useDatabase } from '../../support/database.js';
import { eventually, rejection } from '../../support/eventually.js';

const database = useDatabase(import.meta.url);
const PAIR = { resource: 'account', id: 7 };
const LIMIT_MS = 3_000;

/** Internals of a client whose stream is said to be open only when `open` is called. */
function slowToOpen(): { internals: ClientInternals; opening: () => boolean; open: () => void } {
  let listener: FeedListener | undefined;
  let opened = false;
  const internals: ClientInternals = {
    wrapPorts: ({ store, feed }) => ({
      store,
      feed: {
        watch: (request) => feed.watch(request),
        open: (request) => {
          listener = request.listener;
          const { onFact, onInterrupted, onRefused } = listener;
          return feed.open({
            ...request,
            listener: { onFact, onInterrupted, onRefused, onOpened: () => opened && request.listener.onOpened() },
          });
        },
      },
    }),
  };
  const open = (): void => {
    opened = true;
    listener?.onOpened();
  };
  return { internals, opening: () => listener !== undefined, open };
}

/** A client of which one caller gave up while the stream was being opened for it. */
async function clientWithOneGone(): Promise<{ client: TestClient; open: () => void }> {
  const { internals, opening, open } = slowToOpen();
  const client = await database.connected({}, internals);
  const controller = new AbortController();
  const gone = rejection(client.locks.lock({ ...PAIR, signal: controller.signal }));
  await eventually(opening);
  controller.abort(new Error('no longer wanted'));
  expect(String(await gone)).toContain('no longer wanted');
  return { client, open };
}

describe('a call that does not wait, while the stream is being opened for one who has left', () => {
  it.each([
    ['tryLock', ({ locks }: TestClient) => locks.tryLock(PAIR).then((lock) => (lock === null ? 'refused' : 'granted'))],
    [
      'lock with timeoutMS 0',
      ({ locks }: TestClient) =>
        locks.lock({ ...PAIR, timeoutMS: 0 }).then(
          () => 'granted',
          ({ code }) => (code === 'LOCK_TIMEOUT' ? 'refused' : code),
        ),
    ],
  ])('%s is refused where the lock is held', async (_, attempt) => {
    const holder = await (await database.connected()).locks.lock(PAIR);
    const { client, open } = await clientWithOneGone();
    const outcome = attempt(client);
    open();
    let answer: unknown;
    outcome.then(
      (value) => {
        answer = value;
      },
      () => {},
    );
    await eventually(() => answer !== undefined, LIMIT_MS);
    expect(answer).toBe('refused');
    expect(client.seen('waiting')).toEqual([]);
    await holder.unlock();
  });

  it('a caller that waits is served after all', async () => {
    const holder = await (await database.connected()).locks.lock(PAIR);
    const { client, open } = await clientWithOneGone();
    const next = client.locks.lock(PAIR);
    open();
    await database.untilWaiting(PAIR, 1);
    await holder.unlock();
    expect((await next).held).toBe(true);
    await (await next).unlock();
  });
});

itLeavesNothingBehind(database);
