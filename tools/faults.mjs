/**
 * `npm run test:faults` and `npm run test:soak`: set-up, then the fault suite (test/faults/suite) with the options it was given. The suite starts
 * its own servers, so it needs a `mongod` to start; with `MONGODB_URI` there is nothing it could kill. No process is left afterwards.
 */
import { join } from 'node:path';
import { endTogether, leftovers, ROOT, run } from './command.mjs';
import { provideClockLibrary } from './faketime.mjs';
import { chooseServer } from './mongod.mjs';
import { scratch } from './scratch.mjs';
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

const { remove } = await scratch();
endTogether(remove);
try {
  await setUp();
  await provideClockLibrary();
  const choice = await chooseServer();
  if (choice.binary === undefined)
    throw new Error('The fault suite kills servers: unset MONGODB_URI to have some started.');
  process.exitCode = (await suite(choice.binary)).code;
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
await remove();
for (const line of await leftovers()) {
  console.error(`left running: ${line}`);
  process.exitCode = 1;
}
