/**
 * `npm run bench`: set-up, what the benchmarks compare with where they are to be compared, then the suite (bench/main.ts) with the options it was
 * given. No process is left afterwards.
 */
import { join } from 'node:path';
import { ROOT, run } from './command.mjs';
import { drive } from './driver.mjs';
import { chooseServer } from './mongod.mjs';
import { peerPackages, peerServers } from './peers.mjs';
import { setUp } from './workspace.mjs';

/** All questions on one and on three members take an hour or two. */
const LIMIT_MS = 4 * 3_600_000;

const args = process.argv.slice(2);
const asksOnly = args.some((arg) => ['--list', '--help'].includes(arg));
const names = args.filter((arg) => /^[a-z][a-z-]+$/.test(arg));
const comparesWithOthers =
  !asksOnly && (names.length === 0 || names.some((name) => ['peers', 'in-process'].includes(name)));

/** @param {Record<string, string | undefined>} env */
function suite(env) {
  const program = ['--import', 'tsx', '--no-warnings', join(ROOT, 'bench/main.ts'), ...args];
  // The workers are TypeScript too; what they measure is the compiled package, as users get it.
  const settings = { TSX_TSCONFIG_PATH: join(ROOT, 'bench/tsconfig.json'), ...env };
  return run(process.execPath, program, { env: settings, shows: 'at-once', limitMS: LIMIT_MS });
}

await drive(async () => {
  await setUp(asksOnly ? () => {} : console.log);
  if (comparesWithOthers) await peerServers();
  const peers = comparesWithOthers ? await peerPackages() : undefined;
  const choice = asksOnly ? { binary: '' } : await chooseServer();
  const server = choice.binary === undefined ? {} : { MONGOMS_SYSTEM_BINARY: choice.binary };
  return (await suite({ ...server, BENCH_PEERS_FOLDER: peers })).code;
});
