/**
 * The live page in a real Chromium, over real processes on a real replica set: it follows contention, a kill and a forced release; on a phone, in the
 * dark, by keyboard alone, read by what a screen reader is given; and texts and sites that mean harm get nowhere. `node tools/browser.mjs` runs it.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser, Locator } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { LEASE, Program } from '../cli/program.js';
import { Contender } from '../support/child-process.js';
import { useDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { LEAST_CONTRAST, openWindow, shownText, startBrowser, type Window } from './browser.js';

const LIMIT_MS = 15_000;
const SETTINGS = { leaseDurationMS: 1_000, clockSkewMS: 300 };

const database = useDatabase(import.meta.url);
let browser: Browser;
const contenders: Contender[] = [];
const windows: Window[] = [];

beforeAll(async () => {
  browser = await startBrowser();
}, 60_000);

afterAll(() => browser.close());

afterEach(async () => {
  await Promise.all(windows.splice(0).map((window) => window.close()));
  await Promise.all(contenders.splice(0).map((contender) => contender.kill()));
  await database.empty();
});

async function served(): Promise<{ ui: Program; url: string }> {
  const ui = new Program(['ui', '--port', '0', '--by', 'operator', ...LEASE], { DLOCKS_URI: database.uri });
  await ui.prints(/token=\S+\n/);
  return { ui, url: ui.stdout.trim() };
}

async function opened(url: string, options: Parameters<typeof openWindow>[2] = {}): Promise<Window> {
  const window = await openWindow(browser, url, options);
  windows.push(window);
  return window;
}

interface Queue {
  readonly resource: string;
  readonly id: string;
  readonly labels: readonly string[];
  readonly callLabels?: readonly string[];
}

/** Processes with these labels, the first of which holds the lock and the others of which wait for it in this order. */
async function queue({ resource, id, labels, callLabels = [] }: Queue): Promise<Contender[]> {
  const started = await Contender.start(labels.length);
  contenders.push(...started);
  for (const [index, contender] of started.entries()) {
    const client = 'c';
    await contender.ask('open', { client, uri: database.uri, settings: { ...SETTINGS, label: labels[index] } });
    const caller = callLabels[index] ?? `caller ${index}`;
    await contender.ask('lock', { client, callers: [caller], pair: { resource, id } });
    if (index === 0) await contender.granted(caller);
    else await database.untilWaiting({ resource, id }, index);
  }
  return started;
}

/** Waits until what is there reads so, and gives the text. */
async function reads(locator: Locator, text: string | RegExp, limitMS = LIMIT_MS): Promise<string> {
  let last = '';
  const fits = async (): Promise<string | null> => {
    last = await shownText(locator, 1_000).catch((error: Error) => `(${error.message})`);
    return (typeof text === 'string' ? last.includes(text) : text.test(last)) ? last : null;
  };
  return eventually(fits, limitMS).catch(() => {
    throw new Error(`It does not read ${text}, but:\n${last}`);
  });
}

const name = (resource: string, id: string): string => `${resource} / ${id}`;

test('follows real processes through contention, a kill -9 and a forced release', async () => {
  const { url } = await served();
  const { page, problems } = await opened(url);
  const list = page.getByRole('region', { name: 'Locks', exact: true });
  await reads(list, 'No lock is held, and nobody waits.');
  const [alpha, beta, gamma] = await queue({ resource: 'orders', id: '7', labels: ['alpha', 'beta', 'gamma'] });
  await reads(list, /orders \/ 7.*held by alpha \(.*\).*2 waiting, the first for/s);
  const now = page.getByRole('region', { name: 'Now' });
  await reads(now, /Locks held\s+1\s+Callers waiting\s+2/);

  await list.getByRole('link', { name: name('orders', '7') }).click();
  const details = page.getByRole('region', { name: name('orders', '7') });
  await reads(details, /Holder\s+alpha \(.*\).*Queue: 2 callers\s+(1\. )?beta.*gamma/s);
  await alpha?.kill();
  await reads(details, /Holder\s+beta/);
  await reads(details, /Lost: taken over alpha .*next beta/);
  const incidents = page.getByRole('region', { name: 'Lost locks and take-overs' });
  await reads(incidents, /Lost: taken over orders \/ 7, alpha/);
  await reads(incidents, /Session dead alpha/);
  await reads(now, /Lost in five minutes\s+1\s+1 taken over/);

  await details.getByRole('button', { name: 'Release by force …' }).click();
  const dialog = page.getByRole('dialog', { name: 'Release by force?' });
  await reads(dialog, /orders \/ 7 by beta/);
  await dialog.getByRole('button', { name: 'Release by force' }).click();
  await reads(dialog.getByRole('alert'), 'A reason is needed.');
  expect(beta?.told('lost')).toEqual([]);
  await dialog.getByRole('textbox').fill('beta hangs, see ticket 4711');
  await dialog.getByRole('button', { name: 'Release by force' }).click();
  await dialog.waitFor({ state: 'detached' });
  await reads(page.getByRole('status'), 'orders / 7 was released by force');
  await reads(details, /Holder\s+gamma/);
  await eventually(() => beta?.told('lost').length === 1);
  const told = /Lost: released by force beta .*next gamma.*; by operator, because: beta hangs, see ticket 4711/;
  await reads(details, told);
  await reads(now, /Lost in five minutes\s+2\s+1 taken over, 1 by force/);

  await gamma?.ask('unlock', { caller: 'caller 2' });
  await reads(details, 'Nobody holds it.');
  await reads(list, 'No lock is held, and nobody waits.');
  const charts = page.getByRole('region', { name: 'Last five minutes' });
  await reads(charts, /2 waits: half within/);
  await reads(charts, /3 runs: half within/);
  expect(problems).toEqual([]);
}, 60_000);

test('says what a screen reader needs, and shows the numbers of its charts as tables', async () => {
  const { url } = await served();
  const { page } = await opened(url);
  await queue({ resource: 'orders', id: '7', labels: ['alpha', 'beta'] });
  await page.getByRole('link', { name: name('orders', '7') }).click();
  await reads(page.getByRole('region', { name: name('orders', '7') }), /Queue: 1 caller/);
  for (const each of await page.locator('summary').all()) await each.click();
  const snapshot = await page.locator('#app').ariaSnapshot();
  const lines = [
    '- banner:',
    '- heading "dlocks',
    '- status',
    '- main:',
    '- region "Now":',
    '- term: Locks held',
    '- region "orders / 7":',
    '- link "Close the details":',
    '- button "Release by force …"',
    'heading "Queue: 1 caller" [level=3]',
    '- heading "Timeline" [level=3]',
    '- region "Locks":',
    '- searchbox "Filter"',
    '- combobox "Order":',
    '- region "Last five minutes":',
    '- columnheader "Handoffs"',
    '- figure "Handoffs per second":',
    '- figure "Waiting time":',
    '- rowheader "up to 1 ms"',
    '- region "Lost locks and take-overs":',
    '- contentinfo:',
  ];
  expect(lines.filter((line) => !snapshot.includes(line))).toEqual([]);
  const headings = await page.getByRole('heading').evaluateAll((found) => found.map(({ tagName }) => tagName));
  expect(headings.filter((each) => each === 'H1')).toEqual(['H1']);
  expect(await page.locator('[role=status], [aria-live], [role=alert], [role=log]').count()).toBe(1);
  expect(await page.locator('svg:not([aria-hidden] *, [aria-hidden]), canvas:not([aria-hidden] *)').count()).toBe(0);
}, 60_000);

describe('by keyboard alone', () => {
  test('one gets to a lock, ends its hold by force, and is where one was', async () => {
    const { url } = await served();
    const { page, problems } = await opened(url);
    const [alpha] = await queue({ resource: 'orders', id: '7', labels: ['alpha'] });
    await queue({ resource: 'stock', id: '1', labels: ['beta'] });
    const focused = page.locator(':focus');
    const tabTo = async (text: string | RegExp): Promise<void> => {
      for (let times = 0; times < 30; times += 1) {
        await page.keyboard.press('Tab');
        const label = await focused.evaluate((element) => element.getAttribute('aria-label') ?? element.textContent);
        if (typeof text === 'string' ? label === text : text.test(String(label))) return;
      }
      throw new Error(`Tab does not get to ${text}`);
    };
    await page.getByRole('link', { name: name('orders', '7') }).waitFor();
    await tabTo('Skip to the locks');
    await page.keyboard.press('Enter');
    await tabTo(name('orders', '7'));
    await page.keyboard.press('Enter');
    // The link reads the same.
    await reads(page.locator('h2:focus'), name('orders', '7'));
    await tabTo('Release by force …');
    await page.keyboard.press('Enter');
    await eventually(async () => (await focused.evaluate(({ tagName }) => tagName)) === 'TEXTAREA');
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await reads(focused, 'Release by force …');
    expect(alpha?.told('lost')).toEqual([]);
    await page.keyboard.press('Enter');
    await page.keyboard.type('no hand on the mouse');
    await tabTo('Release by force');
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await eventually(() => alpha?.told('lost').length === 1);
    await reads(page.getByRole('status'), 'was released by force');
    await tabTo('Close the details');
    await page.keyboard.press('Enter');
    await eventually(async () => (await focused.count()) === 1);
    expect(problems).toEqual([]);
  }, 60_000);

  test('the row one is in stands still while others come and go', async () => {
    const { url } = await served();
    const { page } = await opened(url);
    const list = page.getByRole('region', { name: 'Locks', exact: true });
    await queue({ resource: 'm', id: '1', labels: ['one'] });
    const [two] = await queue({ resource: 'n', id: '1', labels: ['two'] });
    const link = list.getByRole('link', { name: name('n', '1') });
    await link.focus();
    await queue({ resource: 'a', id: '1', labels: ['three', 'four', 'five'] });
    await reads(list, /a \/ 1.*2 waiting/s);
    const rows = async (): Promise<string[]> => list.getByRole('listitem').getByRole('link').allInnerTexts();
    expect(await rows()).toEqual(['m / 1', 'n / 1', 'a / 1']);
    await two?.ask('unlock', { caller: 'caller 0' });
    await reads(list, /n \/ 1\s+free/);
    expect(await shownText(page.locator(':focus'), 1_000)).toBe('n / 1');
    await list.getByRole('searchbox').focus();
    await eventually(async () => (await rows()).join() === 'a / 1,m / 1');
  }, 60_000);
});

describe('looks', () => {
  test('are readable on a phone, with nothing beyond its edge and room for fingers', async () => {
    const { url } = await served();
    const viewport = { width: 360, height: 740 };
    const { page, problems } = await opened(url, { viewport, hasTouch: true, isMobile: true });
    await queue({ resource: `long-${'x'.repeat(200)}`, id: `${'9'.repeat(100)}`, labels: ['a'.repeat(200), 'b'] });
    const link = page.getByRole('region', { name: 'Locks', exact: true }).getByRole('listitem').getByRole('link');
    await link.tap();
    await page.getByRole('heading', { name: 'Timeline' }).waitFor();
    const wide = `[...document.querySelectorAll('body *')]
      .filter((each) => each.getBoundingClientRect().right > 360 && !each.closest('.unseen'))
      .map((each) => each.tagName + '.' + each.className)`;
    expect(await page.evaluate(wide)).toEqual([]);
    expect(await page.evaluate('[document.documentElement.scrollWidth, innerWidth]')).toEqual([360, 360]);
    await page.getByRole('button', { name: 'Release by force …' }).tap();
    const box = await page.getByRole('dialog').boundingBox();
    expect(box?.x).toBeGreaterThanOrEqual(0);
    expect(Number(box?.x) + Number(box?.width)).toBeLessThanOrEqual(360);
    for (const button of await page.getByRole('dialog').getByRole('button').all()) {
      expect((await button.boundingBox())?.height).toBeGreaterThanOrEqual(44);
    }
    expect(problems).toEqual([]);
  }, 60_000);

  test.each(['light', 'dark'] as const)(
    'have enough contrast in the %s, in the dialog too',
    async (colorScheme) => {
      const { url } = await served();
      const { page, problems } = await opened(url, { colorScheme });
      const [alpha] = await queue({ resource: 'orders', id: '7', labels: ['alpha', 'beta'] });
      await page.getByRole('link', { name: name('orders', '7') }).click();
      await alpha?.kill();
      const details = page.getByRole('region', { name: name('orders', '7') });
      await reads(details, 'Lost: taken over');
      const ground = await page.evaluate('getComputedStyle(document.body).backgroundColor');
      expect(ground).toBe(colorScheme === 'dark' ? 'rgb(15, 18, 22)' : 'rgb(245, 246, 248)');
      const outside = (await page.evaluate(LEAST_CONTRAST)) as { ratio: number; text: string };
      await details.getByRole('button', { name: 'Release by force …' }).click();
      const inside = (await page.evaluate(LEAST_CONTRAST)) as { ratio: number; text: string };
      expect([outside, inside].filter(({ ratio }) => ratio < 4.5)).toEqual([]);
      await page.evaluate(`document.querySelector('footer').style.color = '#808080'`);
      expect(await page.evaluate(LEAST_CONTRAST)).toMatchObject({ text: expect.stringMatching(/^Times are/) });
      expect(problems).toEqual([]);
    },
    60_000,
  );

  test('move nothing where less motion is asked for', async () => {
    const { url } = await served();
    const { page } = await opened(url, { reducedMotion: 'reduce' });
    await page.locator('.bars rect').first().waitFor({ state: 'attached' });
    const durations = `[...document.querySelectorAll('*')].map((each) => getComputedStyle(each).transitionDuration)`;
    expect(new Set((await page.evaluate(durations)) as string[])).toEqual(new Set(['0s']));
  }, 60_000);
});

describe('what means harm', () => {
  const SCRIPT = '<img src=x onerror="window.harmed=1"><script>window.harmed=1</script>';

  test('in a resource, an id, a label or a reason is text, and nothing else', async () => {
    const { url } = await served();
    const { page, problems } = await opened(url);
    const resource = `r${SCRIPT}`;
    const id = `"'>${SCRIPT}\u202etxt.exe`;
    const labels = [`h${SCRIPT}`, `w${SCRIPT}`];
    await queue({ resource, id, labels, callLabels: [`k${SCRIPT}`, `l${SCRIPT}`] });
    const link = page.getByRole('region', { name: 'Locks', exact: true }).getByRole('listitem').getByRole('link');
    await reads(link, `r${SCRIPT} / "'>${SCRIPT}\\u{202e}txt.exe`);
    await link.click();
    const details = page.locator('.details');
    await reads(details, `h${SCRIPT} (`);
    await reads(details, `w${SCRIPT} (`);
    await details.getByRole('button', { name: 'Release by force …' }).click();
    await page.getByRole('textbox', { name: 'Reason' }).fill(`z${SCRIPT}`);
    await page.getByRole('dialog').getByRole('button', { name: 'Release by force' }).click();
    await reads(details, `because: z${SCRIPT}`);
    await page.reload();
    await reads(details, `because: z${SCRIPT}`);
    expect(await page.evaluate('window.harmed')).toBeUndefined();
    expect(await page.locator('img, iframe, object, script:not([src="/page.js"])').count()).toBe(0);
    // Nothing was even tried, which the policy would have had to stop.
    expect(problems).toEqual([]);
  }, 60_000);

  test('from another site gets neither data nor a release, token or not, and no frame around the page', async () => {
    const { url } = await served();
    const [alpha] = await queue({ resource: 'orders', id: '7', labels: ['alpha'] });
    const { port, searchParams } = new URL(url);
    const token = searchParams.get('token');
    const other = createServer((_, response) => {
      response.setHeader('Content-Type', 'text/html');
      response.end(`<iframe src="${url}"></iframe>`);
    });
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    try {
      const { page } = await opened('about:blank');
      const target = `http://127.0.0.1:${port}`;
      const statuses: number[] = [];
      page.on('response', (response) => {
        if (response.url().startsWith(target)) statuses.push(response.status());
      });
      await page.goto(`http://127.0.0.1:${(other.address() as AddressInfo).port}/`);
      const tried = await page.evaluate(`(async () => {
        const events = await new Promise((resolve) => {
          const source = new EventSource('${target}/api/events?token=${token}');
          source.onmessage = () => resolve('heard');
          source.onerror = () => resolve('refused');
        });
        const headers = { Authorization: 'Bearer ${token}' };
        const read = await fetch('${target}/api/introduction', { headers }).then((r) => r.text(), () => 'refused');
        const body = JSON.stringify({ resource: 'orders', id: '7', fencingToken: 1, reason: 'x' });
        const simple = { method: 'POST', mode: 'no-cors', body };
        await fetch('${target}/api/force-release?token=${token}', simple).catch(() => {});
        return { events, read };
      })()`);
      expect(tried).toEqual({ events: 'refused', read: 'refused' });
      const frame = page.frames()[1];
      const shown = frame === undefined ? '' : await shownText(frame.locator('body'), 3_000).catch(() => '');
      expect(shown).not.toContain('Locks');
      // The page's own policy would have kept it from the frame as well; it was not even given.
      expect(statuses).toEqual([403]);
      expect(alpha?.told('lost')).toEqual([]);
    } finally {
      other.close();
      other.closeAllConnections();
    }
  }, 60_000);

  test('under another name of this machine, or with another token, is refused', async () => {
    const { url } = await served();
    const { page } = await opened('about:blank');
    const rebound = new URL(url);
    rebound.hostname = 'rebound.example';
    expect((await page.goto(rebound.href))?.status()).toBe(421);
    const wrong = new URL(url);
    wrong.searchParams.set('token', 'A'.repeat(43));
    expect((await page.goto(wrong.href))?.status()).toBe(401);
    expect((await page.goto(url))?.status()).toBe(200);
    await reads(page.getByRole('banner'), 'Live');
  }, 60_000);
});

test('says that its connection is lost when the server is gone', async () => {
  const { ui, url } = await served();
  const { page } = await opened(url);
  await reads(page.getByRole('banner'), 'Live');
  await ui.kill();
  expect(await reads(page.getByRole('banner'), 'Connection lost')).not.toContain('Live');
}, 60_000);
