/**
 * What the drivers of one program share: whatever ends it, what was started and made is gone afterwards, and its exit code is passed on. Those of many
 * steps count them instead (`tally.mjs`).
 */
import { endTogether, leftovers } from './command.mjs';
import { scratch } from './scratch.mjs';

/**
 * Does the work in a folder of its own, undoes what it noted, and sets the exit code. No process is left afterwards.
 * @param {(undo: (() => Promise<void>)[]) => Promise<number>} work resolves to the exit code; adds to `undo` what is to be undone, in the order in which it was done
 */
export async function drive(work) {
  /** @type {(() => Promise<void>)[]} */
  const undo = [];
  const cleanUp = async () => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  endTogether(cleanUp);
  try {
    undo.push((await scratch()).remove);
    process.exitCode = await work(undo);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
  await cleanUp();
  for (const line of await leftovers()) {
    console.error(`left running: ${line}`);
    process.exitCode = 1;
  }
}
