/**
 * The servers of the peers: each started once, on loopback, in a folder of its own, and killed by its id at the end. What is not installed is
 * said in one line, and its peers are left out. The stage owns it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { access, chmod, chown, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../tools/command.mjs';
import { nowMS, pause } from '../clock.js';
import type { PeerServer, ServerName } from './peer.js';

const START_LIMIT_MS = 20_000;
const ZOOKEEPER_JARS = '/usr/share/java';

interface Grounds {
  readonly folder: string;
  readonly membersCount: number;
  /** Ended by its id when the server stops. */
  readonly start: (program: string, args: readonly string[], port: number) => Promise<void>;
}

type Starter = (grounds: Grounds) => Promise<string>;

/** Starts the server of that name. Rejects with what is missing. */
export async function startPeerServer(name: keyof typeof STARTERS, membersCount: number): Promise<PeerServer> {
  const folder = await mkdtemp(join(tmpdir(), `bench-${name}-`));
  const children: ChildProcess[] = [];
  const stop = async (): Promise<void> => {
    for (const child of children) child.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  };
  const start: Grounds['start'] = async (program, args, port) => {
    const child = spawn(program, args, { cwd: folder, stdio: 'ignore' });
    children.push(child);
    await untilListening(child, { program, port });
  };
  try {
    return { address: await STARTERS[name]({ folder, membersCount, start }), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

export function isStarted(name: ServerName): name is keyof typeof STARTERS {
  return name in STARTERS;
}

const STARTERS = { redis, postgres, etcd, zookeeper } satisfies Partial<Record<ServerName, Starter>>;

async function redis({ folder, start }: Grounds): Promise<string> {
  const [port] = await freePorts(1);
  const options = { port, bind: '127.0.0.1', save: '', appendonly: 'no', dir: folder };
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
  await start('redis-server', args, Number(port));
  return `redis://127.0.0.1:${port}`;
}

async function postgres({ folder, start }: Grounds): Promise<string> {
  const binaries = await newestPostgres();
  const [port] = await freePorts(1);
  const data = join(folder, 'data');
  await mkdir(data, { mode: 0o700 });
  const as = await unprivileged(folder, data);
  const [program = '', ...args] = [...as, join(binaries, 'initdb'), '-D', data, '-A', 'trust', '-U', 'bench'];
  const made = await run(program, args, { cwd: folder });
  if (made.code !== 0) throw new Error(`initdb failed: ${made.output.trim().split('\n').at(-1)}`);
  const settings = ['listen_addresses=127.0.0.1', 'unix_socket_directories=', 'max_connections=300'];
  const server = [...as, join(binaries, 'postgres'), '-D', data, '-p', String(port)];
  const [first = '', ...rest] = [...server, ...settings.flatMap((setting) => ['-c', setting])];
  await start(first, rest, Number(port));
  return `postgres://bench@127.0.0.1:${port}/postgres`;
}

/** PostgreSQL refuses to run as root: the words that make it run as its own user, who must get at its folder. */
async function unprivileged(folder: string, data: string): Promise<string[]> {
  if (process.getuid?.() !== 0) return [];
  const id = async (option: string): Promise<string> => (await run('id', [option, 'postgres'])).stdout.trim();
  const [user, group] = [await id('-u'), await id('-g')];
  for (const path of [tmpdir(), folder]) {
    const { mode } = await stat(path);
    if ((mode & 0o001) === 0) await chmod(path, mode | 0o011);
  }
  await chown(data, Number(user), Number(group));
  return ['setpriv', `--reuid=${user}`, `--regid=${group}`, '--clear-groups'];
}

async function newestPostgres(): Promise<string> {
  const root = '/usr/lib/postgresql';
  const versions = (await readdir(root).catch(() => [])).map(Number).filter((version) => version > 0);
  if (versions.length === 0) throw new Error('no postgresql server is installed');
  return join(root, String(Math.max(...versions)), 'bin');
}

async function etcd({ folder, membersCount, start }: Grounds): Promise<string> {
  const ports = await freePorts(2 * membersCount);
  const members = Array.from({ length: membersCount }, (_, index) => ({
    name: `m${index}`,
    client: ports[2 * index] ?? 0,
    peer: `http://127.0.0.1:${ports[2 * index + 1]}`,
  }));
  const cluster = members.map(({ name, peer }) => `${name}=${peer}`).join(',');
  await Promise.all(
    members.map(({ name, client, peer }) => {
      const address = `http://127.0.0.1:${client}`;
      const options = {
        name,
        'data-dir': join(folder, name),
        'listen-client-urls': address,
        'advertise-client-urls': address,
        'listen-peer-urls': peer,
        'initial-advertise-peer-urls': peer,
        'initial-cluster': cluster,
        'log-level': 'error',
      };
      const args = Object.entries(options).map(([option, value]) => `--${option}=${value}`);
      return start('etcd', args, client);
    }),
  );
  return members.map(({ client }) => `http://127.0.0.1:${client}`).join(',');
}

async function zookeeper({ folder, start }: Grounds): Promise<string> {
  await access(join(ZOOKEEPER_JARS, 'zookeeper.jar')).catch(() => {
    throw new Error('no zookeeper is installed');
  });
  const [port] = await freePorts(1);
  const settings = {
    tickTime: 2000,
    dataDir: folder,
    clientPort: port,
    clientPortAddress: '127.0.0.1',
    'admin.enableServer': false,
    maxClientCnxns: 0,
  };
  const file = join(folder, 'zoo.cfg');
  await writeFile(
    file,
    Object.entries(settings)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
  );
  const main = 'org.apache.zookeeper.server.quorum.QuorumPeerMain';
  await start('java', ['-cp', `${ZOOKEEPER_JARS}/*`, main, file], Number(port));
  return `127.0.0.1:${port}`;
}

/** Free when they were looked for. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports: number[] = [];
  for (const server of servers) {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    ports.push((server.address() as AddressInfo).port);
  }
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

async function untilListening(
  child: ChildProcess,
  { program, port }: { program: string; port: number },
): Promise<void> {
  let failure: Error | undefined;
  child.once('error', (error: NodeJS.ErrnoException) => {
    failure = error.code === 'ENOENT' ? new Error(`no ${program} is installed`) : error;
  });
  child.once('exit', (code) => {
    failure ??= new Error(`${program} ended with code ${code}`);
  });
  const end = nowMS() + START_LIMIT_MS;
  while (!(await isListening(port))) {
    if (failure !== undefined) throw failure;
    if (nowMS() > end) throw new Error(`${program} does not listen after ${START_LIMIT_MS} ms`);
    await pause(50);
  }
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    const settle = (listening: boolean): void => {
      socket.destroy();
      resolve(listening);
    };
    socket.once('connect', () => settle(true));
    socket.once('error', () => settle(false));
  });
}
