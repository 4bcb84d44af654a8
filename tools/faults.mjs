/**
 * `npm run test:faults` and `npm run test:soak`: set-up, then the fault suite (test/faults/suite) with the options it was given. The suite starts
 * its own servers, so it needs a `mongod` to start; with `MONGODB_URI` there is nothing it could kill. No process is left afterwards.
 */
import { join } from 'node:path';
import { ROOT, run } from './command.mjs';
import { drive } from './driver.mjs';
import { provideClockLibrary } from './faketime.mjs';
import { chooseServer } from './mongod.mjs';
import { setUp } from './workspace.mjs';

/** The long runs take an hour and more; each of their steps has limits of its own. */
const LIMIT_MS = 4 * 3_600_000;

/** @param {string} binary */
async function suite(binary) {
  const program = [
    '--import',
    'tsx',
    '--no-warnings',
    join(ROOT, 'test/faults/suite/main.ts'),
    ...process.argv.slice(2),
  ];
  const env = { MONGOMS_SYSTEM_BINARY: binary, TSX_TSCONFIG_PATH: join(ROOT, 'test/tsconfig.json') };
  return run(process.execPath, program, { env, shows: 'at-once', limitMS: LIMIT_MS });
}

await drive(async () => {
  await setUp();
  await provideClockLibrary();
  const choice = await chooseServer();
  if (choice.binary === undefined)
    throw new Error('The fault suite kills servers: unset MONGODB_URI to have some started.');
  return (await suite(choice.binary)).code;
});
