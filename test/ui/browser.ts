/**
 * A real Chromium for the tests of the live page, and what a window of it is asked: opened at the address that `dlocks ui` printed, watched for
 * errors of the page and for what its policy had to stop. `tools/browser.mjs` says where the browser is.
 */
import { type Browser, type BrowserContextOptions, chromium, type Locator, type Page } from 'playwright-core';

/** Names that mean this machine, for the tests of DNS rebinding. */
const RULES = 'MAP *.example 127.0.0.1';
const START_LIMIT_MS = 30_000;

/** Starts the browser that `BROWSER_TESTS` names. */
export async function startBrowser(): Promise<Browser> {
  const executablePath = process.env.BROWSER_TESTS;
  if (!executablePath) throw new Error('Run it by: node tools/browser.mjs');
  // As root, as in a container, Chromium has no sandbox of its own; it opens nothing but our own pages.
  const args = [`--host-resolver-rules=${RULES}`, ...(process.getuid?.() === 0 ? ['--no-sandbox'] : [])];
  return chromium.launch({ executablePath, args, timeout: START_LIMIT_MS });
}

/** A window, and everything in it that went wrong. */
export interface Window {
  readonly page: Page;
  /** Errors that were thrown or printed, and violations of the policy. */
  readonly problems: string[];
  close(): Promise<void>;
}

/** Opens a window of its own; `url` null: an empty one. */
export async function openWindow(
  browser: Browser,
  url: string | null,
  options: BrowserContextOptions = {},
): Promise<Window> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const problems: string[] = [];
  page.on('pageerror', (error) => void problems.push(`thrown: ${error.message}`));
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') problems.push(`printed: ${message.text()}`);
  });
  page.on('dialog', (dialog) => {
    problems.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  if (url !== null) await page.goto(url);
  return { page, problems, close: () => context.close() };
}

/** The text of an element as it is rendered, what is hidden left out. */
export function shownText(locator: Locator, timeout: number): Promise<string> {
  // biome-ignore lint/performance/useDomNodeTextContent: what is rendered is what is tested.
  return locator.innerText({ timeout });
}

/**
 * The least contrast of any text that is shown, with that text: WCAG's ratio of what it is written in to the nearest ground that is painted. As a
 * text, because these types are the browser's.
 */
export const LEAST_CONTRAST = `(() => {
  const parse = (colour) => (colour.match(/[\\d.]+/g) ?? []).map(Number);
  const channel = (value) => { const v = value / 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  let least = { ratio: 21, text: '' };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (node.textContent.trim() === '' || !element.checkVisibility()) continue;
    const [one, other] = [light(parse(getComputedStyle(element).color)), light(ground(element))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < least.ratio) least = { ratio, text: node.textContent.trim() };
  }
  return least;
})()`;
