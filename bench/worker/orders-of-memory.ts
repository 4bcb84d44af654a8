/** What a process that is weighed is told, and what it tells. Types only. */

export interface WeighedSettings {
  readonly uri: string;
  readonly dbName: string;
  readonly key: string;
  readonly what: 'held locks' | 'waiters';
  readonly count: number;
  /** For how long it is watched once all are there. */
  readonly watchMS: number;
}

export interface Weighed {
  /** Of the heap, after collection, for each of them. */
  readonly bytesEach: number;
  /** Of the client's processor, for each of them, to get there. */
  readonly cpuMicrosEach: number;
  readonly watchedMS: number;
  readonly heartbeatsCount: number;
  readonly writesCount: number;
  readonly readsCount: number;
  readonly cpuMSPerSecond: number;
}
