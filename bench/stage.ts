/**
 * Where the questions are asked: one replica set, the servers of the peers (each started when it is first needed), the contending processes, and
 * what the server says of itself. Everything it started ends with it.
 */
import { randomBytes } from 'node:crypto';
import { type Collection, type Db, MongoClient, Timestamp } from 'mongodb';
import { Fleet } from './fleet.js';
import type { Peer, PeerServer, ServerName } from './peers/peer.js';
import { isStarted, startPeerServer } from './peers/servers.js';
import type { Scale } from './scale.js';

/** Commands that the server has carried out, whoever sent them; what streams and connections need is not among them. */
export interface ServerCommands {
  readonly writes: number;
  readonly reads: number;
}

const WRITES = ['findAndModify', 'update', 'delete', 'insert'];
const READS = ['find', 'aggregate'];

export interface StageSettings {
  readonly uri: string;
  readonly membersCount: number;
  /** The server's processes, the primary among them; none where the server was there before. */
  readonly serverPids: readonly number[];
  readonly scale: Scale;
  readonly say: (line: string) => void;
}

export class Stage {
  readonly uri: string;
  readonly membersCount: number;
  readonly serverPids: readonly number[];
  readonly scale: Scale;
  readonly say: (line: string) => void;
  readonly fleet: Fleet = new Fleet();
  readonly mongo: MongoClient;
  readonly dbName: string = `bench_${randomBytes(4).toString('hex')}`;
  /** Peers that are not measured, with the reason. */
  readonly leftOut: Map<string, string> = new Map();
  readonly #servers = new Map<ServerName, Promise<PeerServer>>();
  #keysCount = 0;

  constructor({ uri, membersCount, serverPids, scale, say }: StageSettings) {
    this.uri = uri;
    this.membersCount = membersCount;
    this.serverPids = serverPids;
    this.scale = scale;
    this.say = say;
    this.mongo = new MongoClient(uri);
  }

  get db(): Db {
    return this.mongo.db(this.dbName);
  }

  /** Of the bare writes: majority and journalled, as every write of the library is. */
  get bare(): Collection<{ _id: string }> {
    return this.db.collection<{ _id: string }>('bare', { writeConcern: { w: 'majority', journal: true } });
  }

  freshKey(): string {
    this.#keysCount += 1;
    return `key-${this.#keysCount}`;
  }

  /** Where the peer's server is, which is started first where it must be; null, with a line, where it is missing. */
  async addressFor({ name, server }: Peer): Promise<string | null> {
    if (server === 'mongodb') return this.uri;
    if (!isStarted(server)) return '';
    try {
      const starting = this.#servers.get(server) ?? startPeerServer(server, this.membersCount);
      this.#servers.set(server, starting);
      return (await starting).address;
    } catch (error) {
      this.leaveOut(name, error);
      return null;
    }
  }

  leaveOut(name: string, error: unknown): void {
    const reason = (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
    if (!this.leftOut.has(name)) this.say(`left out: ${name}: ${reason}`);
    this.leftOut.set(name, reason);
  }

  /** Host and port of the primary, as it names itself. */
  async primary(): Promise<string> {
    const { primary } = await this.mongo.db('admin').command({ hello: 1 });
    return String(primary);
  }

  async serverCommands(): Promise<ServerCommands> {
    const { metrics } = await this.mongo.db('admin').command({ serverStatus: 1 });
    const total = (names: readonly string[]): number =>
      names.reduce((count, name) => count + Number(metrics.commands[name]?.total ?? 0), 0);
    return { writes: total(WRITES), reads: total(READS) };
  }

  /** The end of the oplog now. */
  async oplogEnd(): Promise<Timestamp> {
    const last = await this.#oplog.find().sort({ $natural: -1 }).limit(1).next();
    return last?.ts ?? new Timestamp({ t: 0, i: 0 });
  }

  /** What was written to the locks and sessions of this stage since then. */
  async oplogSince(since: Timestamp): Promise<readonly OplogEntry[]> {
    const entries = await this.#oplog.find({ ts: { $gt: since } }).toArray();
    return entries
      .flatMap((entry) => (entry.o?.applyOps as readonly OplogEntry[] | undefined) ?? [entry])
      .filter(({ op, ns }) => ns.startsWith(`${this.dbName}.dlocks`) && 'iud'.includes(op));
  }

  get #oplog(): Collection<OplogEntry & { readonly ts: Timestamp }> {
    return this.mongo.db('local').collection('oplog.rs');
  }

  async close(): Promise<void> {
    this.fleet.end();
    const stops = [...this.#servers.values()].map((starting) => starting.then(({ stop }) => stop()).catch(() => {}));
    await Promise.all(stops);
    await this.db.dropDatabase().catch(() => {});
    await this.mongo.close();
  }
}

/** One write as the server logs it. */
export interface OplogEntry {
  readonly op: string;
  readonly ns: string;
  readonly o?: Readonly<Record<string, unknown>>;
  readonly o2?: Readonly<Record<string, unknown>>;
}
