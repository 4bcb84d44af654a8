/**
 * Real `mongod` servers, started and stopped: a replica set of any size with fast elections, or a standalone server. It does not choose the
 * binary (`mongod.mjs` does) and keeps no data: stopping kills the servers and removes their folders. The test support and the demo driver
 * call it, after the dependencies have been installed.
 */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const START_LIMIT_MS = 30_000;
const STOP_LIMIT_MS = 10_000;
const SET_NAME = 'rs0';
// Not detached, the servers would take a terminal's Ctrl-C for their own, and be gone before what runs on them has ended.
const SPAWN = { detached: true };
const ROOT = { user: 'root', password: 'root-password' };

/**
 * @typedef {object} ServerOptions
 * @property {string} binary path of the `mongod` to run
 * @property {boolean} [auth] whether the server asks for credentials; the uri then carries those of a root user
 * @property {Record<string, string | number | boolean>} [parameters] extra server parameters (`--setParameter`)
 * @property {string[]} [args] extra command line arguments
 */

/**
 * @typedef {object} Member
 * @property {number} pid process id of the server
 * @property {number} port
 * @property {string} uri connection string of this member alone (`directConnection`), with credentials where there are any
 */

/**
 * @typedef {object} RunningServer
 * @property {string} uri connection string of the whole
 * @property {Member[]} members
 * @property {() => Promise<void>} stop ends every server process, stopped or suspended ones too, and removes their folders; idempotent
 */

/**
 * Starts a replica set and waits until it has a primary. Rejects after 30 seconds, with nothing left running.
 * @param {ServerOptions & { members?: number }} options
 * @returns {Promise<RunningServer>}
 */
export async function startReplicaSet(options) {
  const { MongoMemoryReplSet } = await loadMemoryServer();
  const folder = await mkdtemp(join(tmpdir(), 'mongo-mem-'));
  const dbPaths = await Promise.all(
    Array.from({ length: options.members ?? 1 }, (_, index) => mkdtemp(join(folder, `member-${index}-`))),
  );
  const set = new MongoMemoryReplSet({
    binary: { systemBinary: options.binary },
    instanceOpts: dbPaths.map((dbPath) => ({ dbPath, storageEngine: 'wiredTiger', launchTimeout: START_LIMIT_MS })),
    replSet: {
      name: SET_NAME,
      storageEngine: 'wiredTiger',
      args: serverArguments(options),
      spawn: SPAWN,
      configSettings: { electionTimeoutMillis: 500, heartbeatIntervalMillis: 100 },
      ...(options.auth ? { auth: rootAccount() } : {}),
    },
  });
  const stop = stopper(set, () => set.servers, folder);
  await bounded(set.start(), START_LIMIT_MS, 'The replica set did not start', stop);
  const members = set.servers.map((server) => memberOf(server, options.auth === true));
  return {
    uri: connectionString(
      members.map((member) => member.port),
      options.auth === true,
      `replicaSet=${SET_NAME}`,
    ),
    members,
    stop,
  };
}

/**
 * Starts one server that belongs to no replica set.
 * @param {ServerOptions} options
 * @returns {Promise<RunningServer>}
 */
export async function startStandalone(options) {
  const { MongoMemoryServer } = await loadMemoryServer();
  const folder = await mkdtemp(join(tmpdir(), 'mongo-mem-'));
  const server = new MongoMemoryServer({
    binary: { systemBinary: options.binary },
    instance: {
      dbPath: folder,
      storageEngine: 'wiredTiger',
      launchTimeout: START_LIMIT_MS,
      args: serverArguments(options),
    },
    spawn: SPAWN,
    ...(options.auth ? { auth: rootAccount() } : {}),
  });
  const stop = stopper(server, () => [server], folder);
  await bounded(server.start(), START_LIMIT_MS, 'The standalone server did not start', stop);
  const member = memberOf(server, options.auth === true);
  return { uri: connectionString([member.port], options.auth === true, ''), members: [member], stop };
}

async function loadMemoryServer() {
  // The binary was chosen with its version looked at; the memory server would only warn that it is not its own favourite.
  process.env.MONGOMS_SYSTEM_BINARY_VERSION_CHECK = 'false';
  return import('mongodb-memory-server-core');
}

/** @param {ServerOptions} options */
function serverArguments({ parameters = {}, args = [] }) {
  const all = { enableTestCommands: 1, diagnosticDataCollectionEnabled: false, ...parameters };
  const settings = Object.entries(all).flatMap(([name, value]) => ['--setParameter', `${name}=${value}`]);
  // Without --nounixsocket a killed server leaves its socket in the system's temporary folder.
  return ['--nounixsocket', '--wiredTigerCacheSizeGB', '0.25', ...settings, ...args];
}

function rootAccount() {
  return { enable: true, customRootName: ROOT.user, customRootPwd: ROOT.password };
}

/**
 * @param {import('mongodb-memory-server-core').MongoMemoryServer} server
 * @param {boolean} withCredentials
 * @returns {Member}
 */
function memberOf(server, withCredentials) {
  const info = server.instanceInfo;
  const pid = info?.instance.mongodProcess?.pid;
  if (info === undefined || pid === undefined) throw new Error('A server that reported its start has no process');
  return { pid, port: info.port, uri: connectionString([info.port], withCredentials, 'directConnection=true') };
}

/**
 * @param {number[]} ports
 * @param {boolean} withCredentials
 * @param {string} query
 */
function connectionString(ports, withCredentials, query) {
  const hosts = ports.map((port) => `127.0.0.1:${port}`).join(',');
  const account = withCredentials ? `${ROOT.user}:${ROOT.password}@` : '';
  const parameters = [query, withCredentials ? 'authSource=admin' : ''].filter((part) => part !== '').join('&');
  return `mongodb://${account}${hosts}/${parameters === '' ? '' : `?${parameters}`}`;
}

/**
 * The data is worth nothing, so the servers are killed, which also ends suspended ones and takes no second each.
 * @param {{ stop: (cleanup: { doCleanup: boolean }) => Promise<boolean> }} owner
 * @param {() => import('mongodb-memory-server-core').MongoMemoryServer[]} servers
 * @param {string} folder
 * @returns {() => Promise<void>}
 */
function stopper(owner, servers, folder) {
  /** @type {Promise<void> | undefined} */
  let stopping;
  const stop = async () => {
    await Promise.all(servers().map(killed));
    await bounded(owner.stop({ doCleanup: true }), STOP_LIMIT_MS, 'The servers did not stop', async () => {});
    await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  };
  return () => {
    stopping ??= stop();
    return stopping;
  };
}

/**
 * Kills one server and waits for its end: the memory server talks to a process that it takes for alive, for five seconds.
 * @param {import('mongodb-memory-server-core').MongoMemoryServer} server
 */
async function killed(server) {
  const child = server.instanceInfo?.instance.mongodProcess;
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await bounded(exit, STOP_LIMIT_MS, 'A killed server did not end', async () => {});
}

/**
 * @template T
 * @param {Promise<T>} work
 * @param {number} limitMS
 * @param {string} complaint
 * @param {() => Promise<void>} cleanUp
 * @returns {Promise<T>}
 */
async function bounded(work, limitMS, complaint, cleanUp) {
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${complaint} within ${limitMS} ms`)), limitMS);
  });
  try {
    return await Promise.race([work, /** @type {Promise<never>} */ (limit)]);
  } catch (error) {
    await cleanUp().catch(() => {});
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
