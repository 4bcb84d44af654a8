/**
 * The request: what a caller asks the engine for. Made and checked by the api; the engine only reads it.
 */

/** What a caller asks for; checked before it comes here. */
export interface AcquireRequest {
  readonly key: string;
  /** The caller's own value. */
  readonly resource: unknown;
  /** The caller's own value. */
  readonly id: unknown;
  readonly label?: string;
  /** How long to wait for the grant; `Infinity` for ever. */
  readonly timeoutMS: number;
  /** Ends the wait; without effect after the grant. */
  readonly signal?: AbortSignal;
  /** The api's own: handed back with every event that is about this call. Whoever follows the call may write into it. */
  readonly acquisition?: {
    /** By which span the lock was held, for whoever holds it next. */
    readonly traceparent?: string;
  };
}
