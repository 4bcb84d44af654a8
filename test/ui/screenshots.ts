/**
 * The pictures of docs/live-page.md: the built page over busy processes, one of which is killed and one of whose holds is released by force. Run by
 * `npm run fix:screenshots`, never by a test. It writes to docs/images.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, BrowserContextOptions } from 'playwright-core';
import { ROOT } from '../../tools/command.mjs';
import { chooseServer } from '../../tools/mongod.mjs';
import { startReplicaSet } from '../../tools/replica-set.mjs';
import { eventually } from '../support/eventually.js';
import { openWindow, startBrowser } from './browser.js';

const FOLDER = join(ROOT, 'docs/images');
const BUSY = fileURLToPath(new URL('./children/busy.ts', import.meta.url));
const MAIN = join(ROOT, 'packages/cli/dist/main.js');
const LABELS = ['till', 'billing', 'reports', 'mailer'] as const;
const BUSY_MS = 150_000;
const children: ChildProcess[] = [];

const PICTURES: Readonly<Record<string, BrowserContextOptions>> = {
  'live-page-light': { colorScheme: 'light', viewport: { width: 1280, height: 1320 } },
  'live-page-dark': { colorScheme: 'dark', viewport: { width: 1280, height: 1320 } },
  'live-page-phone': { colorScheme: 'light', viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true },
};

function start(args: readonly string[]): ChildProcess {
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  return child;
}

async function served(uri: string): Promise<string> {
  const lease = ['--lease', '3s', '--clock-skew', '0.5s', '--by', 'ada@till-2'];
  const ui = start([MAIN, 'ui', '--port', '0', '--uri', uri, ...lease]);
  let printed = '';
  ui.stdout?.setEncoding('utf8').on('data', (text) => {
    printed += text;
  });
  return eventually(() => /\S+token=\S+(?=\n)/.exec(printed)?.[0], 10_000);
}

/** One hold is ended by force by way of the page itself. */
async function releaseByForce(browser: Browser, url: string): Promise<void> {
  const { page, close } = await openWindow(browser, `${url}#resource=report&id=monthly`);
  await page.getByRole('button', { name: 'Release by force …' }).click();
  await page.getByRole('textbox', { name: 'Reason' }).fill('writes to last month, see OPS-4711');
  await page.getByRole('dialog').getByRole('button', { name: 'Release by force' }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await close();
}

async function takePictures(browser: Browser, url: string): Promise<void> {
  await mkdir(FOLDER, { recursive: true });
  for (const [name, options] of Object.entries(PICTURES)) {
    const { page, close } = await openWindow(browser, `${url}#resource=report&id=monthly`, options);
    await page.locator('.facts li').first().waitFor();
    await page.locator('.u-legend').waitFor({ state: 'attached' });
    await page.screenshot({ path: join(FOLDER, `${name}.png`) });
    await close();
  }
  const { page, close } = await openWindow(browser, `${url}#resource=report&id=monthly`, PICTURES['live-page-light']);
  await page.getByRole('button', { name: 'Release by force …' }).click();
  await page.getByRole('textbox', { name: 'Reason' }).fill('writes to last month, see OPS-4711');
  await page.getByRole('dialog').screenshot({ path: join(FOLDER, 'live-page-release.png') });
  await close();
}

async function main(): Promise<void> {
  const { binary } = await chooseServer();
  if (binary === undefined) throw new Error('A server of its own is started here: unset MONGODB_URI.');
  const server = await startReplicaSet({ binary });
  const browser = await startBrowser();
  try {
    const uri = server.uri.replace('/?', '/shop?');
    const url = await served(uri);
    const busy = LABELS.map((label, index) => start(['--import', 'tsx', BUSY, label, String(7 + index), uri]));
    await new Promise((resolve) => setTimeout(resolve, BUSY_MS / 2));
    busy[0]?.kill('SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, BUSY_MS / 2));
    await releaseByForce(browser, url);
    await takePictures(browser, url);
  } finally {
    for (const child of children) child.kill('SIGKILL');
    await browser.close();
    await server.stop();
  }
}

await main();
