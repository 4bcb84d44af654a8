/**
 * `dlocks ui` without a browser: the built program against a real replica set, asked by hand. What it serves to whom, what it refuses, and that the
 * event stream tells of a grant.
 */
import { once } from 'node:events';
import { type IncomingHttpHeaders, request } from 'node:http';
import { expect, test } from 'vitest';
import type { Frame } from '../../packages/cli/src/ui/wire.js';
import { Program } from '../cli/program.js';
import { useDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';

const database = useDatabase(import.meta.url);
const pair = { resource: 'orders', id: '42' };

interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

interface Asked {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

/** A request as a browser, or an attacker, may send it; `fetch` would not let Host and Origin be chosen. */
async function ask(url: string | URL, { method = 'GET', headers = {}, body = '' }: Asked = {}): Promise<Answer> {
  const length = body === '' ? {} : { 'Content-Length': String(Buffer.byteLength(body)) };
  const asked = request(url, { method, headers: { ...length, ...headers }, agent: false });
  asked.end(body);
  const [response] = await once(asked, 'response');
  let text = '';
  for await (const piece of response.setEncoding('utf8')) text += piece;
  return { status: response.statusCode, headers: response.headers, body: text };
}

async function started(): Promise<{ ui: Program; url: URL; token: string }> {
  const ui = new Program(['ui', '--port', '0', '--by', 'operator', '--json'], { DLOCKS_URI: database.uri });
  await ui.prints('\n');
  const url = new URL(JSON.parse(ui.stdout).url);
  return { ui, url, token: String(url.searchParams.get('token')) };
}

/** Frames of an event stream as they come. */
function follow(url: URL): { frames: Frame[]; end: () => void } {
  const frames: Frame[] = [];
  const asked = request(url, { agent: false });
  let rest = '';
  asked.on('response', (response) => {
    response.setEncoding('utf8').on('data', (piece: string) => {
      const messages = `${rest}${piece}`.split('\n\n');
      rest = messages.pop() ?? '';
      for (const message of messages) frames.push(JSON.parse(message.replace(/^data: /, '')));
    });
  });
  asked.on('error', () => {});
  asked.end();
  return { frames, end: () => asked.destroy() };
}

test('serves the page to the token alone, on loopback, with headers that allow nothing else', async () => {
  const { ui, url } = await started();
  expect(url.hostname).toBe('127.0.0.1');
  const page = await ask(url);
  expect(page).toMatchObject({ status: 200, headers: { 'content-type': 'text/html; charset=utf-8' } });
  expect(page.body).toContain('<script type="module" src="/page.js">');
  expect(page.headers).toMatchObject({
    'content-security-policy': expect.stringMatching(/^default-src 'none'; script-src 'self'; /),
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'cross-origin-resource-policy': 'same-origin',
    'cache-control': 'no-store',
  });
  expect(page.headers['access-control-allow-origin']).toBeUndefined();
  const assets = await Promise.all(['/page.js', '/page.css', '/icon.svg'].map((path) => ask(new URL(path, url))));
  expect(assets.map(({ status }) => status)).toEqual([200, 200, 200]);
  ui.signal('SIGINT');
  expect(await ui.ended()).toMatchObject({ code: 0, stderr: '' });
});

test('refuses what has no token or a wrong one, comes for another host, or from another site', async () => {
  const { url, token } = await started();
  const at = (path: string): URL => new URL(path, url);
  const own = { Authorization: `Bearer ${token}` };
  const refusals: [number, Promise<Answer>][] = [
    [401, ask(at('/'))],
    [401, ask(at(`/?token=${token.slice(1)}`))],
    [401, ask(at('/api/events'))],
    [401, ask(at('/api/introduction'), { headers: { Authorization: `Bearer ${token}x` } })],
    [401, ask(at('/api/force-release'), { method: 'POST' })],
    [421, ask(url, { headers: { Host: `evil.example:${url.port}` } })],
    [421, ask(at('/page.js'), { headers: { Host: 'evil.example' } })],
    [403, ask(url, { headers: { Origin: 'http://evil.example' } })],
    [403, ask(at(`/api/events?token=${token}`), { headers: { 'Sec-Fetch-Site': 'cross-site' } })],
    [403, ask(at('/api/introduction'), { headers: { ...own, Origin: `http://127.0.0.1:${Number(url.port) + 1}` } })],
    [405, ask(at('/api/introduction'), { method: 'DELETE', headers: own })],
    [404, ask(at('/../package.json'), { headers: own })],
    [404, ask(at('/%2e%2e/main.js'), { headers: own })],
  ];
  const answers = await Promise.all(refusals.map(([, answer]) => answer));
  expect(answers.map(({ status }) => status)).toEqual(refusals.map(([status]) => status));
  expect(answers.map(({ body }) => body).join('')).not.toContain(token);
  expect((await ask(at('/api/introduction'), { headers: own })).status).toBe(200);
});

test('tells of a grant in its event stream, and releases by force what the token says and nothing else', async () => {
  const { url, token } = await started();
  const stream = follow(new URL(`/api/events?token=${token}&resource=orders&id=42`, url));
  await eventually(() => stream.frames.length > 0);
  expect(stream.frames[0]).toMatchObject({
    isFirst: true,
    status: 'live',
    shown: [],
    selected: { lock: null, news: [] },
  });
  const holder = await database.connected({ label: 'till' });
  const lock = await holder.locks.lock(pair);
  const frame = await eventually(() => stream.frames.find(({ selected }) => selected?.lock));
  expect(frame.selected?.lock?.hold).toMatchObject({ holder: { label: 'till' }, firstToken: lock.fencingToken });
  const listed = await eventually(() => stream.frames.find(({ changed }) => changed.length > 0));
  expect(listed.changed).toMatchObject([{ ...pair, waitersCount: 0 }]);

  const force = (body: unknown, headers: Record<string, string> = {}): Promise<Answer> => {
    const all = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json', ...headers };
    return ask(new URL('/api/force-release', url), { method: 'POST', headers: all, body: JSON.stringify(body) });
  };
  const asked = { ...pair, fencingToken: lock.fencingToken, reason: 'hangs' };
  const refused = [
    force(asked, { Origin: 'http://evil.example' }),
    force(asked, { 'Content-Type': 'text/plain' }),
    force({ ...asked, fencingToken: '1' }),
    force({ ...asked, reason: '' }),
    force({ ...asked, reason: 'x'.repeat(257) }),
    force({ ...asked, reason: 'x'.repeat(10_000) }),
  ];
  expect((await Promise.all(refused)).map(({ status }) => status)).toEqual([403, 415, 400, 400, 400, 413]);
  expect(JSON.parse((await force({ ...asked, fencingToken: lock.fencingToken + 7 })).body)).toEqual({
    released: false,
  });
  expect(lock.held).toBe(true);
  expect(JSON.parse((await force(asked)).body)).toEqual({ released: true });
  await eventually(() => lock.signal.aborted);
  const told = await eventually(() => {
    return stream.frames.flatMap(({ incidents }) => incidents).find(({ kind }) => kind === 'forced');
  });
  expect(told).toMatchObject({ ...pair, reason: 'hangs', by: 'operator', holder: { label: 'till' } });
  stream.end();
});
