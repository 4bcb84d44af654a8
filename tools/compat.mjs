/**
 * The compatibility matrix: the package as it is packed, with the first and the newest driver of each major, beside mongoose 8 and 9, and on every
 * version of Node it is said to run on, as ES module, by `require`, and in a Nest application. Each cell is a real program on a real replica set, in a
 * process of its own, and one line. `npm run verify` has it as a step, `npm run test:compat` runs it alone.
 */
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ROOT, run } from './command.mjs';
import { compileConsumer, installedVersion, makeConsumer } from './consumer.mjs';
import { chooseServer } from './mongod.mjs';
import { NODE_VERSIONS, nodeBinary } from './node-versions.mjs';
import { pack } from './package.mjs';
import { startReplicaSet } from './replica-set.mjs';
import { runCounted } from './tally.mjs';
import { setUp } from './workspace.mjs';

const PROGRAM_LIMIT_MS = 30_000;
const PROGRAMS = join(ROOT, 'test/compat/programs');

const DRIVER_6 = 'packages/compat-driver6/node_modules';
const DRIVER_7 = 'packages/compat-driver7/node_modules';
const NEWEST_DRIVER = `${DRIVER_7}/mongodb-newest`;

const DRIVERS = [`${DRIVER_6}/mongodb`, `${DRIVER_6}/mongodb-newest`, `${DRIVER_7}/mongodb`, NEWEST_DRIVER];

/** Mongoose brings a driver of its own; what the library has as its peer is another matter. */
const MONGOOSES = [
  { mongoose: 'packages/compat-mongoose8/node_modules/mongoose', driver: `${DRIVER_6}/mongodb` },
  { mongoose: 'packages/compat-mongoose8/node_modules/mongoose', driver: NEWEST_DRIVER },
  { mongoose: 'packages/compat-mongoose9/node_modules/mongoose', driver: NEWEST_DRIVER },
];

/** What runs on each version of Node; `from` is the first major whose syntax it is. */
const ON_NODE = [
  { program: 'node.mjs', what: 'import', from: 20 },
  { program: 'node.cjs', what: 'require', from: 20 },
  { program: 'await-using.mjs', what: 'await using', from: 24 },
  { program: 'nestjs.cjs', what: 'in a Nest application', from: 20 },
];

/**
 * @typedef {object} Stage what the cells share
 * @property {import('./tally.mjs').Tally} tally
 * @property {string} uri of the replica set
 * @property {string} folder for their projects
 * @property {string} tarball the package
 */

/**
 * Runs a program of a project to its end. It has passed when it said that it is done, and ended by itself.
 * @param {{ folder: string, program: string, uri: string, node?: string }} what
 * @returns {Promise<{ passed: boolean, output: string, tookMS: number }>}
 */
export async function runProgram({ folder, program, uri, node = process.execPath }) {
  const env = { MONGODB_URI: uri, DATABASE: `compat_${process.pid}_${Math.floor(performance.now() * 1_000)}` };
  const ended = await run(node, [join(folder, program)], { cwd: folder, env, limitMS: PROGRAM_LIMIT_MS });
  const passed = ended.code === 0 && /: done$/.test(ended.stdout.trimEnd());
  return { passed, output: ended.output, tookMS: ended.tookMS };
}

/**
 * A project with a program of `test/compat/programs` in it, compiled where that is to be.
 * @param {string} folder
 * @param {{ programs: string[], links: Record<string, string>, tarball?: string }} parts
 */
export async function makeProject(folder, { programs, links, tarball }) {
  await mkdir(folder, { recursive: true });
  await makeConsumer(folder, { links, ...(tarball === undefined ? {} : { tarball }) });
  for (const name of programs) await cp(join(PROGRAMS, name), join(folder, name));
  if (programs.some((name) => /\.c?ts$/.test(name))) await compileConsumer(folder);
}

/** @param {Stage} stage */
async function drivers({ tally, uri, folder: parent, tarball }) {
  for (const [index, mongodb] of DRIVERS.entries()) {
    const folder = join(parent, `driver-${index}`);
    const name = `compat: driver ${await workspaceVersion(mongodb)}`;
    const made = () => makeProject(folder, { programs: ['driver.ts'], links: { mongodb }, tarball });
    await cell(tally, name, made, () => runProgram({ folder, program: 'driver.js', uri }));
  }
}

/** @param {Stage} stage */
async function mongooses({ tally, uri, folder: parent, tarball }) {
  for (const [index, { mongoose, driver }] of MONGOOSES.entries()) {
    const folder = join(parent, `mongoose-${index}`);
    const beside = await installedVersion(join(ROOT, mongoose, '../..'), 'mongodb', 'mongoose');
    const name = `compat: mongoose ${await workspaceVersion(mongoose)} (its driver ${beside}), driver ${await workspaceVersion(driver)}`;
    const links = { mongoose, mongodb: driver };
    const made = () => makeProject(folder, { programs: ['mongoose.ts'], links, tarball });
    await cell(tally, name, made, () => runProgram({ folder, program: 'mongoose.js', uri }));
  }
}

/** @param {Stage} stage */
async function nodes({ tally, uri, folder: parent, tarball }) {
  const folder = join(parent, 'node');
  const nest = ['@nestjs/common', '@nestjs/core', 'reflect-metadata', 'rxjs'];
  const links = { mongodb: NEWEST_DRIVER, ...Object.fromEntries(nest.map((name) => [name, `node_modules/${name}`])) };
  const programs = ['node.mjs', 'node.cjs', 'await-using.mjs', 'nestjs.cts'];
  const made = await tally.step('compat: the project for every Node', () =>
    makeProject(folder, { programs, links, tarball }),
  );
  if (made === undefined) return;
  const nestVersion = await installedVersion(folder, '@nestjs/core');
  for (const version of NODE_VERSIONS) {
    const node = await nodeBinary(version).catch((error) =>
      tally.countNotTried(`compat: Node ${version}`, error.message),
    );
    if (node === undefined) continue;
    for (const { program, what, from } of ON_NODE) {
      if (Number.parseInt(version, 10) < from) continue;
      const name = `compat: Node ${version}, ${what}${program === 'nestjs.cjs' ? ` (${nestVersion})` : ''}`;
      const { passed, output, tookMS } = await runProgram({ folder, program, uri, node });
      tally.count(name, passed, tookMS, output);
    }
  }
}

/**
 * @param {import('./tally.mjs').Tally} tally
 * @param {string} name
 * @param {() => Promise<void>} made
 * @param {() => ReturnType<typeof runProgram>} ran
 */
async function cell(tally, name, made, ran) {
  try {
    await made();
    const { passed, output, tookMS } = await ran();
    tally.count(name, passed, tookMS, output);
  } catch (error) {
    tally.count(name, false, 0, error instanceof Error ? error.message : String(error));
  }
}

/** @param {string} place of a package, in the workspace */
async function workspaceVersion(place) {
  const [project = '', name = ''] = place.split('/node_modules/');
  return installedVersion(join(ROOT, project), name);
}

/**
 * Every cell; each counts once. A version of Node that cannot be had is said not to have been tried.
 * @param {import('./tally.mjs').Tally} tally
 * @param {string} binary the `mongod` to start
 */
export async function compat(tally, binary) {
  const folder = await mkdtemp(join(tmpdir(), 'mongo-distributed-locks-compat-'));
  const server = await startReplicaSet({ binary });
  try {
    const stage = { tally, uri: server.uri, folder, tarball: await pack(folder) };
    await drivers(stage);
    await mongooses(stage);
    await nodes(stage);
  } finally {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await runCounted(async (tally) => {
    if ((await tally.step('set-up and build', () => setUp())) === undefined) return false;
    const { binary } = await chooseServer();
    if (binary === undefined) throw new Error('A server is started here: unset MONGODB_URI.');
    await compat(tally, binary);
    return true;
  });
}
