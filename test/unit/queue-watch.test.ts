/** The watch of a client: when its stream is opened, of which keys, and when it is closed. */
import { describe, expect, it } from 'vitest';
import { QueueWatch } from '#core/engine/queue-watch.js';
import type { ChangedFact, WatchListener } from '#core/ports.js';
import { HandClock } from '../support/hand-clock.js';

interface Opened {
  readonly keys: readonly string[];
  readonly listener: WatchListener;
  closed: boolean;
}

function arranged() {
  const clock = new HandClock();
  const streams: Opened[] = [];
  const wanted = new Set<string>();
  const changes: ChangedFact[] = [];
  const looked: string[][] = [];
  const closings: Promise<void>[] = [];
  const watch = new QueueWatch({
    clock,
    feed: {
      open: () => {
        throw new Error('It opens no stream of a session.');
      },
      watch: ({ keys, listener }) => {
        const stream: Opened = { keys, listener, closed: false };
        streams.push(stream);
        return {
          close: async () => {
            stream.closed = true;
          },
        };
      },
    },
    keys: () => wanted,
    onChanged: (fact) => changes.push(fact),
    onOpened: (keys) => looked.push([...keys]),
    onClosing: (closing) => closings.push(closing),
  });
  const openKeys = (): (readonly string[])[] => streams.filter(({ closed }) => !closed).map(({ keys }) => keys);
  /** Somebody wants to know of the key "a", for long enough. */
  const openForA = (): void => {
    wanted.add('a');
    watch.look();
    clock.advance(100);
  };
  return { clock, streams, wanted, changes, looked, closings, watch, openKeys, openForA };
}

describe('the watch', () => {
  it('opens no stream for what is over within 100 ms', () => {
    const { clock, streams, wanted, watch } = arranged();
    wanted.add('a');
    watch.look();
    clock.advance(99);
    wanted.clear();
    clock.advance(10_000);
    expect([streams.length, clock.timersCount]).toEqual([0, 0]);
  });

  it('opens one for all keys together, tells what it says, and closes it when nobody wants it any more', () => {
    const { clock, streams, wanted, changes, looked, closings, watch, openKeys } = arranged();
    for (const key of ['a', 'b']) {
      wanted.add(key);
      watch.look();
    }
    clock.advance(100);
    expect(openKeys()).toEqual([['a', 'b']]);
    streams[0]?.listener.onOpened();
    streams[0]?.listener.onChanged({ key: 'a', fence: 3 });
    expect([looked, changes]).toEqual([[['a', 'b']], [{ key: 'a', fence: 3 }]]);
    wanted.clear();
    clock.advance(1_000);
    expect([openKeys(), clock.timersCount, closings.length]).toEqual([[], 0, 1]);
  });

  it('opens another for another key, once a second at most, and keeps the one that has them all', () => {
    const { clock, streams, wanted, watch, openKeys, openForA } = arranged();
    openForA();
    for (const key of ['b', 'c']) {
      wanted.add(key);
      watch.look();
      clock.advance(400);
    }
    expect(openKeys()).toEqual([['a']]);
    clock.advance(1_000);
    expect(openKeys()).toEqual([['a', 'b', 'c']]);
    wanted.delete('b');
    clock.advance(60_000);
    expect([openKeys(), streams.length]).toEqual([[['a', 'b', 'c']], 2]);
  });

  it('asks for 200 keys at most', () => {
    const { clock, streams, wanted, watch } = arranged();
    for (let n = 0; n < 300; n += 1) wanted.add(`k${n}`);
    watch.look();
    clock.advance(100);
    expect(streams[0]?.keys).toHaveLength(200);
  });

  it('is not tried again once it was refused', () => {
    const { clock, streams, watch, openKeys, openForA } = arranged();
    openForA();
    streams[0]?.listener.onRefused(new Error('not authorized'));
    clock.advance(1_000);
    watch.look();
    clock.advance(60_000);
    expect([openKeys(), streams.length, clock.timersCount]).toEqual([[], 1, 0]);
  });

  it('is closed by stop, with its timer', () => {
    const { clock, watch, openKeys, openForA } = arranged();
    openForA();
    watch.stop();
    clock.advance(60_000);
    expect([openKeys(), clock.timersCount]).toEqual([[], 0]);
  });
});
