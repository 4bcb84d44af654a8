/** A change stream at the port, and everything it has said. Used by tests of the stream; they close it. */
import type { ChangeFeed, FeedHandle, GrantFact } from '#core/ports.js';

/** One stream and its listener. */
export class SeenFeed implements FeedHandle {
  readonly session: string;
  /** What was called, in order. */
  readonly calls: ('fact' | 'opened' | 'interrupted' | 'refused')[] = [];
  readonly facts: GrantFact[] = [];
  readonly causes: unknown[] = [];
  readonly #handle: FeedHandle;

  constructor(feed: ChangeFeed, session: string) {
    this.session = session;
    this.#handle = feed.open({
      session,
      listener: {
        onFact: (fact) => {
          this.calls.push('fact');
          this.facts.push(fact);
        },
        onOpened: () => void this.calls.push('opened'),
        onInterrupted: (cause) => {
          this.calls.push('interrupted');
          this.causes.push(cause);
        },
        onRefused: (error) => {
          this.calls.push('refused');
          this.causes.push(error);
        },
      },
    });
  }

  /** How often the stream was opened so far. */
  get openedCount(): number {
    return this.calls.filter((call) => call === 'opened').length;
  }

  /** What was called but for facts, in order. */
  get turns(): readonly string[] {
    return this.calls.filter((call) => call !== 'fact');
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}
