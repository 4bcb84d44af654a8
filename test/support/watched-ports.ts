/**
 * Counts what a lock client has open at its ports and in its clock: change streams, commands on their way, timers. Passed to a client as its
 * internals; tests ask it for what is left.
 */
import { type Clock, systemClock } from '#core/base/clock.js';
import type { ClientInternals, Ports } from '#core/client.js';
import type { ChangeFeed, FeedHandle, LockStore } from '#core/ports.js';

/** What one client has open. */
export class WatchedPorts {
  streamsCount = 0;
  commandsCount = 0;
  timersCount = 0;
  readonly #given: ClientInternals;

  /** `given` are internals of a test's own: they go on top of the real ports, below the counting. */
  constructor(given: ClientInternals = {}) {
    this.#given = given;
  }

  /** What is open, as words; empty where nothing is. */
  get open(): string[] {
    const counts = { streams: this.streamsCount, commands: this.commandsCount, timers: this.timersCount };
    return Object.entries(counts).flatMap(([name, count]) => (count === 0 ? [] : [`${count} ${name}`]));
  }

  get internals(): ClientInternals {
    const { wrapPorts = (ports: Ports): Ports => ports, clock = systemClock } = this.#given;
    const wrap = (ports: Ports): Ports => {
      const { store, feed } = wrapPorts(ports);
      return { store: this.#watchStore(store), feed: this.#watchFeed(feed) };
    };
    return { ...this.#given, wrapPorts: wrap, clock: this.#watchClock(clock) };
  }

  #watchStore(store: LockStore): LockStore {
    const answered = (): void => {
      this.commandsCount -= 1;
    };
    return new Proxy(store, {
      get: (_, name) => {
        const method = store[name as keyof LockStore] as (request: unknown) => Promise<unknown>;
        return (request: unknown): Promise<unknown> => {
          this.commandsCount += 1;
          const answer = method.call(store, request);
          answer.then(answered, answered);
          return answer;
        };
      },
    });
  }

  #watchFeed(feed: ChangeFeed): ChangeFeed {
    const count = (handle: FeedHandle): FeedHandle => {
      let open = true;
      this.streamsCount += 1;
      return {
        close: async () => {
          await handle.close();
          if (open) this.streamsCount -= 1;
          open = false;
        },
      };
    };
    return {
      open: (request) => count(feed.open(request)),
      watch: (request) => count(feed.watch(request)),
    };
  }

  #watchClock(clock: Clock): Clock {
    return {
      nowMS: () => clock.nowMS(),
      nextTurn: () => clock.nextTurn(),
      setTimer: (callback, delayMS) => {
        let open = true;
        const end = (): void => {
          if (open) this.timersCount -= 1;
          open = false;
        };
        this.timersCount += 1;
        const fire = (): void => {
          end();
          callback();
        };
        const timer = clock.setTimer(fire, delayMS);
        return {
          cancel: () => {
            end();
            timer.cancel();
          },
        };
      },
    };
  }
}
