/**
 * The tests of the live page in a real Chromium, and its pictures for the docs (`--screenshots`). The browser is Debian's package, installed where that
 * is possible, else one line says what to do; `CHROMIUM` names another one. `npm run verify` runs the tests. It expects the packages to be built.
 */
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { endTogether, ROOT, run } from './command.mjs';
import { installPackages } from './debian.mjs';

const PATHS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const LIMIT_MS = 600_000;

/** @returns {Promise<string | undefined>} */
async function browserPath() {
  for (const path of process.env.CHROMIUM ? [process.env.CHROMIUM] : PATHS) {
    const isThere = await access(path).then(
      () => true,
      () => false,
    );
    if (isThere) return path;
  }
  return undefined;
}

/** @returns {Promise<string>} rejects with one line where there is none and none can be had */
async function providedBrowser() {
  const found = await browserPath();
  if (found !== undefined) return found;
  if (process.env.CHROMIUM) throw new Error(`CHROMIUM names no file: ${process.env.CHROMIUM}`);
  await installPackages(['chromium']);
  const installed = await browserPath();
  if (installed === undefined)
    throw new Error('chromium was installed, and is not where it is looked for: set CHROMIUM');
  return installed;
}

async function main() {
  const isForDocs = process.argv.includes('--screenshots');
  const command = isForDocs
    ? { program: process.execPath, args: ['--import', 'tsx', 'test/ui/screenshots.ts'] }
    : { program: 'vitest', args: ['run', '--project', 'ui', '.browser.test.ts'] };
  const env = { BROWSER_TESTS: await providedBrowser(), TSX_TSCONFIG_PATH: join(ROOT, 'test/tsconfig.json') };
  const { code } = await run(command.program, command.args, { env, shows: 'at-once', limitMS: LIMIT_MS });
  process.exitCode = code;
}

endTogether(async () => {});
await main().catch((error) => {
  const red = process.stderr.isTTY ? ['\u001b[31m', '\u001b[0m'] : ['', ''];
  console.error(`${red[0]}The live page was not tried in a browser: ${error.message.split('\n')[0]}${red[1]}`);
  process.exitCode = 1;
});
