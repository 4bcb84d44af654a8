/**
 * The watch of a client: one stream of the lock documents that somebody here wants to see move, open only while somebody
 * does. What it tells are hints, for those who wait and for holders who would make room; no grant depends on it, and where
 * it fails the patrol's look is what is left. The engine owns it.
 */
import type { Clock, Timer } from '../base/clock.js';
import type { ChangedFact, ChangeFeed, FeedHandle } from '../ports.js';

export interface QueueWatchHost {
  readonly clock: Clock;
  readonly feed: ChangeFeed;
  /** The keys that somebody wants to see move now. */
  keys(): Iterable<string>;
  onChanged(fact: ChangedFact): void;
  /** Something may have been missed up to now. */
  onOpened(keys: ReadonlySet<string>): void;
  /** A stream is being closed; never rejects. */
  onClosing(closing: Promise<void>): void;
}

/** How many keys one stream is asked for; what is over is left to the patrol. */
const KEYS_MAX = 200;
/** Whoever wants to know for a shorter time needs no stream. */
const OPENS_AFTER_MS = 100;
/** How often it is looked whether it is still the right stream: each other set of keys is another one. */
const LOOKS_EVERY_MS = 1_000;

export class QueueWatch {
  readonly #host: QueueWatchHost;
  #stream: { readonly keys: ReadonlySet<string>; readonly handle: FeedHandle } | null = null;
  #timer: Timer | null = null;
  /** It was refused, as the next would be before something has changed; the patrol's look is what is left. */
  #refused = false;

  constructor(host: QueueWatchHost) {
    this.#host = host;
  }

  /** Somebody wants to see another lock move. */
  look(): void {
    if (this.#timer === null && !this.#refused) this.#lookIn(OPENS_AFTER_MS);
  }

  /** Nobody wants to see anything any more. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#refused = false;
    this.#close();
  }

  #lookIn(delayMS: number): void {
    this.#timer = this.#host.clock.setTimer(() => this.#follow(), delayMS);
  }

  #follow(): void {
    this.#timer = null;
    const wanted = [...new Set(this.#host.keys())].slice(0, KEYS_MAX);
    if (wanted.length === 0 || this.#refused) {
      this.#close();
      return;
    }
    const { keys } = this.#stream ?? {};
    if (!wanted.every((key) => keys?.has(key))) this.#open(new Set(wanted));
    this.#lookIn(LOOKS_EVERY_MS);
  }

  #open(keys: ReadonlySet<string>): void {
    this.#close();
    const handle = this.#host.feed.watch({
      keys: [...keys],
      listener: {
        onChanged: (fact) => this.#host.onChanged(fact),
        onOpened: () => this.#host.onOpened(keys),
        // It opens again by itself, and tells; until then the patrol looks.
        onInterrupted: () => {},
        onRefused: () => {
          this.#refused = true;
        },
      },
    });
    this.#stream = { keys, handle };
  }

  #close(): void {
    const { handle } = this.#stream ?? {};
    this.#stream = null;
    if (handle !== undefined) this.#host.onClosing(handle.close());
  }
}
