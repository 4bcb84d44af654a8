/** What the demo's main process and its contenders say to each other. Types only. */

/** What a caller does with the lock: one guarded turn, or hold it until it is told to release it. */
export type Work = { readonly kind: 'turn'; readonly holdMS: number } | { readonly kind: 'until told' };

/** What a contender is to do. */
export type Order =
  /** All these call at once, each a number of times, one after the other. */
  | {
      readonly kind: 'call';
      readonly number: number;
      readonly callers: readonly string[];
      readonly timesCount: number;
      readonly work: Work;
      readonly timeoutMS?: number;
    }
  | { readonly kind: 'abort'; readonly caller: string }
  | { readonly kind: 'release'; readonly caller: string }
  | { readonly kind: 'close' };

/** What a contender tells; `at` is always on the one clock. */
export type Fact =
  | { readonly kind: 'ready'; readonly at: number }
  | { readonly kind: 'called' | 'arrived' | 'lost' | 'released'; readonly caller: string; readonly at: number }
  | { readonly kind: 'granted'; readonly caller: string; readonly at: number; readonly token: number }
  | {
      readonly kind: 'left';
      readonly caller: string;
      readonly at: number;
      readonly outcome: 'timed out' | 'aborted' | 'failed';
    }
  /** Its session was lost: whoever waited arrives again, behind others. */
  | { readonly kind: 'started over' }
  /** The guarded write of a turn was acknowledged. */
  | { readonly kind: 'wrote'; readonly tookMS: number }
  /** It passed on the locks of a dead process. */
  | { readonly kind: 'reaped'; readonly locksCount: number }
  | { readonly kind: 'trouble'; readonly message: string }
  /** An order with a number was carried out. */
  | { readonly kind: 'done'; readonly number: number };
