/**
 * `npm run demo`: set-up, a replica set of three members (or the one of `MONGODB_URI`), then the demo of packages/examples on it. Whatever ends the
 * demo, the servers and the folders are gone afterwards; its exit code is passed on.
 */
import { run } from './command.mjs';
import { drive } from './driver.mjs';
import { chooseServer } from './mongod.mjs';
import { startReplicaSet } from './replica-set.mjs';
import { setUp } from './workspace.mjs';

const DEMO = 'packages/examples/dist/demo/main.js';
const DEMO_LIMIT_MS = 120_000;

/** @param {(() => Promise<void>)[]} undo */
async function server(undo) {
  const choice = await chooseServer();
  if (choice.uri !== undefined) return choice.uri;
  const { uri, stop } = await startReplicaSet({ binary: choice.binary, members: 3 });
  undo.push(stop);
  return uri;
}

await drive(async (undo) => {
  await setUp();
  const env = { MONGODB_URI: await server(undo) };
  return (await run(process.execPath, [DEMO], { env, shows: 'at-once', limitMS: DEMO_LIMIT_MS })).code;
});
