/**
 * The count of a long run: what passed, what failed, what could not be tried here, a line for each. `test.mjs` and `verify.mjs` keep one, and print
 * it last. What could not be tried counts as neither: it is said, so that nobody takes it for passed.
 */
import { endTogether, leftovers } from './command.mjs';
import { scratch } from './scratch.mjs';
import { seconds } from './workspace.mjs';

/**
 * Runs the steps of a driver in a folder of their own, sees to it that no process is left, prints the count, and sets the exit code.
 * @param {(tally: Tally, folder: string) => Promise<boolean>} steps resolves to whether the last one was reached: a run that stops early must not look like a short one
 */
export async function runCounted(steps) {
  const startedAt = performance.now();
  const tally = new Tally();
  const { folder, remove } = await scratch();
  endTogether(remove);
  const complete = await steps(tally, folder).catch((error) => {
    tally.count('run', false, 0, error instanceof Error ? error.stack : String(error));
    return false;
  });
  const left = await leftovers();
  tally.count('no process left', left.length === 0, 0, left.join('\n'));
  await remove();
  if (!complete && tally.failed === 0) tally.count('run: it stopped before its last step', false, 0);
  console.log(`took ${seconds(performance.now() - startedAt)}`);
  process.exitCode = tally.failed === 0 ? 0 : 1;
  console.log(`${tally}`);
}

/** @internal */
export class Tally {
  passed = 0;
  failed = 0;
  notTried = 0;

  /**
   * Counts one step and says how it went; what it printed only where it failed.
   * @param {string} name
   * @param {boolean} passed
   * @param {number} tookMS
   * @param {string} [output]
   */
  count(name, passed, tookMS, output = '') {
    this[passed ? 'passed' : 'failed'] += 1;
    console.log(`${passed ? 'ok    ' : 'FAILED'} ${name} (${seconds(tookMS)})`);
    if (!passed && output.trim() !== '') console.log(output.trimEnd());
  }

  /**
   * @param {string} name
   * @param {string} reason
   */
  countNotTried(name, reason) {
    this.notTried += 1;
    console.log(`NOT TRIED ${name}: ${reason}`);
  }

  /**
   * One step whose rejection is its failure.
   * @template T
   * @param {string} name
   * @param {() => Promise<T>} work
   * @returns {Promise<{ value: T } | undefined>} undefined where it failed
   */
  async step(name, work) {
    const from = performance.now();
    try {
      const value = await work();
      this.count(name, true, performance.now() - from);
      return { value };
    } catch (error) {
      this.count(name, false, performance.now() - from, error instanceof Error ? error.message : String(error));
      return undefined;
    }
  }

  toString() {
    const notTried = this.notTried === 0 ? '' : `, ${this.notTried} not tried`;
    return `${this.passed} passed, ${this.failed} failed${notTried}`;
  }
}
