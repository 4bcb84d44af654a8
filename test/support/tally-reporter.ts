/**
 * Counts every test of a run once and says so: `N passed, N failed`. A skipped test, an error outside of tests, a file that could not be
 * loaded and a run in which nothing ran count as failed. On its own it prints the count as the last line; where `TALLY_FILE` names a file
 * (the test driver does) it writes it there instead. Vitest calls it.
 */
import { writeFileSync } from 'node:fs';
import type { Reporter, SerializedError, TestModule, TestRunEndReason } from 'vitest/node';

export default class TallyReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly SerializedError[], reason: TestRunEndReason): void {
    const tally = count(modules, errors.length);
    // Nothing ran: the global set-up failed, or the filter matched no test.
    if (tally.failed === 0 && (reason !== 'passed' || tally.passed === 0)) tally.failed = 1;
    if (tally.failed > 0) process.exitCode = 1;
    // At exit, so that it stands below the summary of the other reporter.
    process.on('exit', () => publish(tally));
  }
}

function count(modules: readonly TestModule[], errorCount: number): { passed: number; failed: number } {
  const tally = { passed: 0, failed: errorCount };
  for (const module of modules) {
    // A file that cannot be loaded and a hook that throws fail the module and no test of it.
    if (module.state() === 'failed' && [...module.children.allTests('failed')].length === 0) tally.failed += 1;
    for (const test of module.children.allTests()) {
      if (test.result().state === 'passed') tally.passed += 1;
      else tally.failed += 1;
    }
  }
  return tally;
}

function publish(tally: { passed: number; failed: number }): void {
  const file = process.env.TALLY_FILE;
  if (file) writeFileSync(file, JSON.stringify(tally));
  else process.stdout.write(`${tally.passed} passed, ${tally.failed} failed\n`);
}
