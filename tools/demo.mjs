/**
 * `npm run demo`: set-up, a replica set of three members (or the one of `MONGODB_URI`), then the demo of packages/examples on it. Whatever ends the
 * demo, the servers and the folders are gone afterwards; its exit code is passed on.
 */
import { endTogether, leftovers, run } from './command.mjs';
import { chooseServer } from './mongod.mjs';
import { startReplicaSet } from './replica-set.mjs';
import { scratch } from './scratch.mjs';
import { setUp } from './workspace.mjs';

const DEMO = 'packages/examples/dist/demo/main.js';
const DEMO_LIMIT_MS = 120_000;

/** @type {(() => Promise<void>)[]} what is to be undone, in the order in which it was done */
const undo = [];

async function cleanUp() {
  for (const step of undo.splice(0).reverse()) await step();
}

async function server() {
  const choice = await chooseServer();
  if (choice.uri !== undefined) return choice.uri;
  const { uri, stop } = await startReplicaSet({ binary: choice.binary, members: 3 });
  undo.push(stop);
  return uri;
}

async function demo() {
  const { remove } = await scratch();
  undo.push(remove);
  await setUp();
  const uri = await server();
  const { code } = await run(process.execPath, [DEMO], {
    env: { MONGODB_URI: uri },
    shows: 'at-once',
    limitMS: DEMO_LIMIT_MS,
  });
  return code;
}

endTogether(cleanUp);
try {
  process.exitCode = await demo();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
await cleanUp();
for (const line of await leftovers()) {
  console.error(`left running: ${line}`);
  process.exitCode = 1;
}
