/** What stands beside each other in the benchmarks: a lock, its server, and how one process contends for it. Types only; one file each here. */

/** One process that contends for one key. */
export interface Contender {
  /** Resolves, once the lock is held, with what gives it back. */
  acquire(): Promise<() => Promise<unknown>>;
  close(): Promise<void>;
}

/** Where a contender finds its server, and what it contends for. */
export interface ContenderSettings {
  readonly address: string;
  readonly dbName: string;
  readonly key: string;
  readonly options: Readonly<Record<string, unknown>>;
}

export interface Peer {
  readonly name: string;
  /** How it waits, in a few words; for the report. */
  readonly how: string;
  /** Which server it runs on. */
  readonly server: ServerName;
  readonly connect: (settings: ContenderSettings) => Promise<Contender>;
}

/** `none`: it works in one process only. */
export type ServerName = 'mongodb' | 'redis' | 'postgres' | 'etcd' | 'zookeeper' | 'none';

export interface PeerServer {
  readonly address: string;
  readonly stop: () => Promise<void>;
}
