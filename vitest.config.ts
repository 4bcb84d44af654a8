/**
 * How the tests run: one project for each folder of `test/` that holds tests, all on one shared server that the global set-up starts.
 * `mongo-distributed-locks` and `#core/…` are the same source modules in every test, so that `instanceof` holds between them.
 */
import { fileURLToPath } from 'node:url';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';

const core = fileURLToPath(new URL('./packages/core/src/', import.meta.url));
const nestjs = fileURLToPath(new URL('./packages/nestjs/src/index.ts', import.meta.url));

/** With a server from outside, tests that must start (and kill, and restrict) their own are not collected. */
const ownServerTests = process.env.MONGODB_URI ? ['**/*.own-server.test.ts'] : [];

/** What takes long is for `npm run verify`, which sets this. */
const longTests = process.env.LONG_TESTS ? [] : ['**/*.long.test.ts', '**/*.long.own-server.test.ts'];

/** What needs a browser is for `tools/browser.mjs`, which sets this to its path. */
const browserTests = process.env.BROWSER_TESTS ? [] : ['**/*.browser.test.ts'];

/**
 * Projects of one group run side by side, groups one after the other: whatever watches the clock has the cores for itself.
 */
function project(name: string, group: number, maxWorkers: number): TestProjectInlineConfiguration {
  return {
    resolve: {
      alias: [
        { find: /^mongo-distributed-locks$/, replacement: `${core}index.ts` },
        { find: /^mongo-distributed-locks\/stored-format$/, replacement: `${core}stored-format.ts` },
        { find: /^mongo-distributed-locks\/safe-messages$/, replacement: `${core}safe-messages.ts` },
        { find: /^mongo-distributed-locks-nestjs$/, replacement: nestjs },
        { find: /^#core\//, replacement: core },
      ],
    },
    test: {
      name,
      include: [`test/${name}/**/*.test.ts`],
      exclude: ['**/node_modules/**', '**/fixtures/**', ...ownServerTests, ...longTests, ...browserTests],
      environment: 'node',
      // So that a child started as `node --import tsx file.ts` finds the same modules under the same names.
      env: { TSX_TSCONFIG_PATH: fileURLToPath(new URL('./test/tsconfig.json', import.meta.url)) },
      pool: 'forks',
      maxWorkers,
      sequence: { groupOrder: group },
      testTimeout: 20_000,
      hookTimeout: 30_000,
      allowOnly: false,
      expect: { requireAssertions: true },
    },
  };
}

export default defineConfig({
  test: {
    globalSetup: ['./test/support/mongod-global-setup.ts'],
    teardownTimeout: 10_000,
    reporters: ['default', './test/support/tally-reporter.ts'],
    projects: [
      project('package', 0, 2),
      project('tidy', 0, 2),
      project('docs', 0, 2),
      project('unit', 0, 2),
      project('simulation', 0, 2),
      project('integration', 1, 2),
      project('cli', 1, 2),
      project('ui', 1, 2),
      project('compat', 1, 2),
      project('faults', 2, 1),
      project('fairness', 2, 1),
    ],
  },
});
