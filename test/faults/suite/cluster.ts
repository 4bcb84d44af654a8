/**
 * A replica set of three real servers whose members can be killed, suspended and started again, be given clocks of their
 * own, and be made to talk to each other through the bridge. (The sets of the other tests come from `tools/`; those are
 * started and stopped, and that is all.) Everything is killed when this process ends.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type Document, MongoClient } from 'mongodb';
import { Bridge } from './bridge.js';
import { until, within } from './waiting.js';

const MEMBERS_COUNT = 3;
const SET_NAME = 'faults';
const ANSWER_LIMIT_MS = 1_000;
const START_LIMIT_MS = 30_000;
const LOCALHOST = '127.0.0.1';

export interface ClusterSettings {
  readonly binary: string;
  /** Where the data lives while the set does; the caller removes it. */
  readonly folder: string;
  /** Whether members too talk through the bridge, so that they can be parted from each other. */
  readonly bridgedMembers?: boolean;
  readonly oplogSizeMB?: number;
  /** When members end driver sessions that nobody uses, with the cursors in them, where not after half an hour. */
  readonly sessionTimeoutMinutes?: number;
  /** When members end transactions that are not committed, where not after a minute. */
  readonly transactionLifetimeS?: number;
  /** By how much the clock of each member is wrong, at first; needs the library in the second field. */
  readonly clocks?: { readonly library: string; readonly offsetsMS: readonly [number, number, number] };
}

type MemberState = 'running' | 'paused' | 'killed';

/** One server of the set. */
export class Member {
  readonly index: number;
  readonly port: number;
  /** The port the set knows it by. */
  readonly knownPort: number;
  readonly #settings: ClusterSettings;
  readonly #folder: string;
  #child: ChildProcess | null = null;
  #client: MongoClient | null = null;
  #state: MemberState = 'killed';

  constructor(index: number, ports: { port: number; knownPort: number }, settings: ClusterSettings) {
    this.index = index;
    this.port = ports.port;
    this.knownPort = ports.knownPort;
    this.#settings = settings;
    this.#folder = join(settings.folder, `member-${index}`);
  }

  get state(): MemberState {
    return this.#state;
  }

  async start(): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    this.#child = spawn(this.#settings.binary, this.#arguments(), {
      // A terminal's Ctrl-C is for the harness, which then ends them.
      detached: true,
      stdio: 'ignore',
      env: { ...process.env, ...(await this.#clockEnvironment()) },
    });
    this.#state = 'running';
    const child = this.#child;
    const answers = async (): Promise<unknown> => {
      if (child.exitCode !== null) throw new Error(`member ${this.index} ended: ${await this.#lastWords()}`);
      return this.command({ ping: 1 }).catch(() => null);
    };
    await until(`member ${this.index} answers`, answers, START_LIMIT_MS).catch(async (error: Error) => {
      throw new Error(`${error.message}; its log ends with ${await this.#lastWords()}`);
    });
  }

  async #lastWords(): Promise<string> {
    const log = await readFile(this.#logFile, 'utf8').catch(() => '(no log)');
    return log.trim().split('\n').slice(-3).join('\n').slice(0, 2_000);
  }

  get #logFile(): string {
    return join(this.#folder, 'log');
  }

  /** By how much its clock is wrong from now on (within a second). */
  async setClock(offsetMS: number): Promise<void> {
    await writeFile(this.#clockFile, `${offsetMS < 0 ? '-' : '+'}${Math.abs(offsetMS) / 1_000}s\n`);
  }

  /** A command to this member alone; rejects where it does not answer at once. */
  async command(command: Document): Promise<Document> {
    const ask = async (): Promise<Document> => (await this.#connected()).db('admin').command(command);
    return within(ANSWER_LIMIT_MS, `member ${this.index}`, ask());
  }

  /** A client whose first connect has failed would never connect again by itself: only one that has is kept. */
  async #connected(): Promise<MongoClient> {
    if (this.#client !== null) return this.#client;
    const client = new MongoClient(`mongodb://${LOCALHOST}:${this.port}/?directConnection=true`, {
      serverSelectionTimeoutMS: ANSWER_LIMIT_MS,
      connectTimeoutMS: ANSWER_LIMIT_MS,
      socketTimeoutMS: 10_000,
    });
    try {
      await client.connect();
    } catch (error) {
      await client.close();
      throw error;
    }
    if (this.#client !== null) await client.close();
    this.#client ??= client;
    return this.#client;
  }

  get client(): MongoClient {
    if (this.#client === null) throw new Error(`Member ${this.index} was never started`);
    return this.#client;
  }

  pause(): void {
    this.#child?.kill('SIGSTOP');
    this.#state = 'paused';
  }

  resume(): void {
    this.#child?.kill('SIGCONT');
    if (this.#state === 'paused') this.#state = 'running';
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#state = 'killed';
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
    await this.#removeClockMemory();
  }

  killAtOnce(): void {
    this.#child?.kill('SIGKILL');
  }

  async end(): Promise<void> {
    await this.#client?.close().catch(() => {});
    await this.kill();
  }

  #arguments(): string[] {
    const { oplogSizeMB, sessionTimeoutMinutes, transactionLifetimeS } = this.#settings;
    const parameters = ['enableTestCommands=1', 'diagnosticDataCollectionEnabled=false'];
    if (sessionTimeoutMinutes !== undefined)
      parameters.push(
        `localLogicalSessionTimeoutMinutes=${sessionTimeoutMinutes}`,
        'logicalSessionRefreshMillis=5000',
        'ttlMonitorSleepSecs=5',
      );
    if (transactionLifetimeS !== undefined) parameters.push(`transactionLifetimeLimitSeconds=${transactionLifetimeS}`);
    const options = {
      port: this.port,
      dbpath: this.#folder,
      bind_ip: LOCALHOST,
      replSet: SET_NAME,
      wiredTigerCacheSizeGB: 0.25,
      logpath: this.#logFile,
      ...(oplogSizeMB !== undefined && { oplogSize: oplogSizeMB }),
    };
    return [
      '--nounixsocket',
      '--quiet',
      '--logappend',
      ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]),
      ...parameters.flatMap((parameter) => ['--setParameter', parameter]),
    ];
  }

  get #clockFile(): string {
    return join(this.#folder, 'clock');
  }

  async #clockEnvironment(): Promise<Record<string, string>> {
    const { clocks } = this.#settings;
    if (clocks === undefined) return {};
    // Started again, it keeps the clock it had.
    if (this.#child === null) await this.setClock(clocks.offsetsMS[this.index] ?? 0);
    return {
      LD_PRELOAD: clocks.library,
      FAKETIME_TIMESTAMP_FILE: this.#clockFile,
      FAKETIME_CACHE_DURATION: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      // Else every timed wait of the server ends at once, and it does nothing but wait.
      FAKETIME_FORCE_MONOTONIC_FIX: '0',
      DONT_FAKE_MONOTONIC: '1',
    };
  }

  /** What the clock library shares between processes stays behind when one is killed. */
  async #removeClockMemory(): Promise<void> {
    if (this.#settings.clocks === undefined) return;
    const pid = this.#child?.pid;
    for (const name of [`faketime_shm_${pid}`, `sem.faketime_sem_${pid}`])
      await rm(join('/dev/shm', name), { force: true });
  }
}

/** The set. */
export class Cluster {
  readonly members: readonly Member[];
  readonly bridge: Bridge;

  private constructor(members: readonly Member[], bridge: Bridge) {
    this.members = members;
    this.bridge = bridge;
    process.once('exit', this.#killAtOnce);
  }

  /** Starts three members and waits until one of them is primary. Leaves nothing running where that fails. */
  static async start(settings: ClusterSettings): Promise<Cluster> {
    const ports = await freePorts(2 * MEMBERS_COUNT);
    const members = Array.from({ length: MEMBERS_COUNT }, (_, index) => {
      const port = ports[index] as number;
      const knownPort = settings.bridgedMembers ? (ports[index + MEMBERS_COUNT] as number) : port;
      return new Member(index, { port, knownPort }, settings);
    });
    const cluster = new Cluster(members, new Bridge(members.map(({ port }) => port)));
    try {
      await cluster.#begin(settings);
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  /** For clients; what `localhost` is to them they decide themselves. */
  get uri(): string {
    const hosts = this.members.map(({ knownPort }) => `localhost:${knownPort}`).join(',');
    return `mongodb://${hosts}/?replicaSet=${SET_NAME}`;
  }

  get running(): Member[] {
    return this.members.filter(({ state }) => state === 'running');
  }

  /** The member that is primary and can reach a majority, as far as is to be seen; null: there is none now. */
  async primary(): Promise<Member | null> {
    const answers = await Promise.all(
      this.running.map(async (member) => ({ member, hello: await member.command({ hello: 1 }).catch(() => null) })),
    );
    const primaries = answers.filter(({ hello }) => hello?.isWritablePrimary === true);
    const newest = primaries.sort((a, b) => (termOf(b.hello) > termOf(a.hello) ? 1 : -1))[0];
    return newest?.member ?? null;
  }

  async secondaries(): Promise<Member[]> {
    const primary = await this.primary();
    return this.running.filter((member) => member !== primary);
  }

  /** Brings everything back: members run, links are open, and one is primary. */
  async heal(): Promise<void> {
    this.bridge.heal();
    for (const member of this.members) {
      member.resume();
      if (member.state === 'killed') await member.start();
    }
    await until('there is a primary', () => this.primary(), START_LIMIT_MS);
    await this.allFollow();
  }

  /** Gives a process an address at which it finds every member. */
  async admit(name: string, address: string): Promise<void> {
    for (const { index, port, knownPort } of this.members)
      await this.bridge.listen({ address, port: knownPort, source: name, target: index, targetPort: port });
  }

  async stop(): Promise<void> {
    this.bridge.close();
    await Promise.all(this.members.map((member) => member.end()));
    process.off('exit', this.#killAtOnce);
  }

  readonly #killAtOnce = (): void => {
    for (const member of this.members) member.killAtOnce();
  };

  async #begin(settings: ClusterSettings): Promise<void> {
    if (settings.bridgedMembers)
      for (const { index, port, knownPort } of this.members)
        await this.bridge.listen({
          address: LOCALHOST,
          port: knownPort,
          source: null,
          target: index,
          targetPort: port,
        });
    await Promise.all(this.members.map((member) => member.start()));
    const members = this.members.map(({ index, knownPort }) => ({ _id: index, host: `localhost:${knownPort}` }));
    const timing = { electionTimeoutMillis: 1_000, heartbeatIntervalMillis: 200 };
    await this.members[0]?.client
      .db('admin')
      .command({ replSetInitiate: { _id: SET_NAME, members, settings: timing } });
    await until('there is a primary', () => this.primary(), START_LIMIT_MS);
    await this.allFollow();
  }

  /** Resolves when one is primary and the others are its secondaries. */
  async allFollow(): Promise<void> {
    await until('all members follow', () => this.#allServe(), START_LIMIT_MS);
  }

  async #allServe(): Promise<boolean> {
    const states = await Promise.all(
      this.members.map((member) => member.command({ hello: 1 }).catch(() => ({}) as Document)),
    );
    return states.every(({ isWritablePrimary, secondary }) => isWritablePrimary || secondary);
  }
}

/** Elections are counted in the last eight bytes of the election's id. */
function termOf(hello: Document | null): bigint {
  const id: unknown = hello?.electionId;
  return id === undefined ? -1n : BigInt(`0x${String(id).slice(8)}`);
}

/** Ports that nobody listens on, as far as can be known. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, LOCALHOST));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
