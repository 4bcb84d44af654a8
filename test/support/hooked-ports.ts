/**
 * Something between the engine and the real server: a test puts a function in front of a command of the store, or of a fact of the stream, and
 * delays, drops, repeats or refuses it there. What it does not name passes untouched. Given to a client as its internals.
 */
import type { ClientInternals } from '#core/client.js';
import type { ChangeFeed, FeedListener, GrantFact, LockStore } from '#core/ports.js';

type Answer<M extends keyof LockStore> = ReturnType<LockStore[M]>;

/** In front of a command: `send` sends it, any number of times. */
export type StoreHooks = {
  [M in keyof LockStore]?: (send: () => Answer<M>, request: Parameters<LockStore[M]>[0]) => Answer<M>;
};

/** In front of a fact: `deliver` hands it on. */
export type FactHook = (deliver: () => void, fact: GrantFact) => void;

/** Internals of a client with these hooks; they may be changed at any time. */
export function hooked(hooks: StoreHooks & { fact?: FactHook }): ClientInternals {
  return {
    wrapPorts: ({ store, feed }) => ({ store: hookStore(store, hooks), feed: hookFeed(feed, hooks) }),
  };
}

function hookStore(store: LockStore, hooks: StoreHooks): LockStore {
  return new Proxy(store, {
    get: (_, name) => (request: never) => {
      const method = store[name as keyof LockStore] as (request: never) => Promise<never>;
      const hook = hooks[name as keyof LockStore] as
        | ((send: () => Promise<never>, request: never) => Promise<never>)
        | undefined;
      const send = (): Promise<never> => method.call(store, request);
      return hook === undefined ? send() : hook(send, request);
    },
  });
}

function hookFeed(feed: ChangeFeed, hooks: { fact?: FactHook }): ChangeFeed {
  return {
    open: ({ session, listener }) => {
      const onFact: FeedListener['onFact'] = (fact) => {
        const deliver = (): void => listener.onFact(fact);
        if (hooks.fact === undefined) deliver();
        else hooks.fact(deliver, fact);
      };
      const wrapped: FeedListener = {
        onFact,
        onOpened: () => listener.onOpened(),
        onInterrupted: (cause) => listener.onInterrupted(cause),
        onRefused: (error) => listener.onRefused(error),
      };
      return feed.open({ session, listener: wrapped });
    },
    watch: (request) => feed.watch(request),
  };
}

/** Something to wait at until a test lets go; it says how many have come. */
export class Gate {
  arrivedCount = 0;
  #open = false;
  #waiting: (() => void)[] = [];

  /** Resolves when the gate is open. */
  async pass(): Promise<void> {
    this.arrivedCount += 1;
    if (!this.#open) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** Lets everybody through, from now on too. */
  open(): void {
    this.#open = true;
    for (const go of this.#waiting.splice(0)) go();
  }
}
