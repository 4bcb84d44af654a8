/** What the benchmark's main process and its contending processes say to each other. Types only. */

/** How a contender is connected; see `peers/peer.ts`. */
export interface ConnectSettings {
  readonly peer: string;
  /** Where the peer's server is; the peer knows how to read it. */
  readonly address: string;
  /** What all callers contend for. */
  readonly key: string;
  /** Of the peer: for our own library its options. */
  readonly options: Readonly<Record<string, unknown>>;
  /** For the bare writes, whatever the peer is. */
  readonly mongodbUri: string;
  readonly dbName: string;
}

export type Order =
  | { readonly kind: 'connect'; readonly settings: ConnectSettings }
  /** These callers take the lock again and again, until the stop. */
  | { readonly kind: 'contend'; readonly callers: readonly number[]; readonly holdMS: number }
  /** Callers come at these instants, once each; how long they wait is counted from then, however late they could call. */
  | { readonly kind: 'arrive'; readonly instants: readonly number[]; readonly holdMS: number }
  /** Hands over the records; callers that still wait go on, release at once when granted, and end. */
  | { readonly kind: 'stop' }
  /** Waits until they have ended. */
  | { readonly kind: 'drain' }
  /** One bare majority write; answers how long it took, in milliseconds. */
  | { readonly kind: 'write' }
  | { readonly kind: 'close' };

/** One call: caller, called, granted, just before it was released, and release answered; NaN where that did not happen before the stop. */
export type CallTuple = readonly [
  caller: number,
  calledAt: number,
  grantedAt: number,
  releasedAt: number,
  answeredAt: number,
];

export interface Envelope {
  readonly number: number;
  readonly order: Order;
}

export type Reply =
  | { readonly ready: true; readonly at: number }
  | { readonly number: number; readonly value: unknown }
  | { readonly number: number; readonly error: string };
