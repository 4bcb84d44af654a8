/**
 * `dlocks ui` while somebody without the token has as many connections as they like, and does nothing good with them:
 * the owner is answered all the same, and within the time that a person waits for a page.
 */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { Program } from '../cli/program.js';
import { useDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';

const database = useDatabase(import.meta.url);

/** More than the server takes at once. */
const STRANGERS = 1_200;
/** What the server keeps of them, and the owner's own. */
const OPEN_MAX = 1_024 + 8;
const OWNER_LIMIT_MS = 3_000;
/** The longest limit of the server, and some seconds. */
const CLOSED_LIMIT_MS = 15_000;
const READ_NOTHING = 'ask for the script of the page, and read nothing of it';

/** What a stranger sends, the server's own name in it, and then nothing more. */
const HABITS: Readonly<Record<string, (host: string) => string>> = {
  'send half a header': (host) => `GET / HTTP/1.1\r\nHost: ${host}\r\nX-`,
  'send nothing': () => '',
  'send one line feed': () => '\n',
  [READ_NOTHING]: (host) => `GET /page.js HTTP/1.1\r\nHost: ${host}\r\n\r\n`.repeat(6),
  'ask for more than is answered on one connection': (host) =>
    `GET /page.js HTTP/1.1\r\nHost: ${host}\r\n\r\n`.repeat(60),
  'send half a body': (host) => `POST /api/force-release HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 4000\r\n\r\n{`,
  'send the first piece of a body without an end': (host) =>
    `POST /api/force-release HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n`,
  'wait for leave to send a body': (host) =>
    `POST /api/force-release HTTP/1.1\r\nHost: ${host}\r\nExpect: 100-continue\r\nContent-Length: 4000\r\n\r\n`,
  'keep the connection of a request that was answered': (host) => `GET /icon.svg HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
  'ask for the event stream': (host) => `GET /api/events HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
  'ask for a WebSocket': (host) =>
    `GET /api/events HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
  'ask for a tunnel': (host) => `CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
};

const sockets = new Set<Socket>();

afterEach(() => {
  for (const socket of sockets) socket.destroy();
  sockets.clear();
});

async function started(): Promise<URL> {
  const ui = new Program(['ui', '--port', '0', '--json'], { DLOCKS_URI: database.uri });
  await ui.prints('\n');
  return new URL(JSON.parse(ui.stdout).url);
}

/**
 * A connection of a stranger; with `comesAgain` it is made anew whenever it is closed. Resolves when it stands, or is
 * refused.
 */
function stranger(url: URL, habit: string, { comesAgain = false } = {}): Promise<unknown> {
  const text = HABITS[habit]?.(url.host) ?? '';
  const socket = connect(Number(url.port), url.hostname, () => socket.write(text));
  sockets.add(socket);
  if (habit === READ_NOTHING) socket.pause();
  else socket.resume();
  socket.on('error', () => {});
  socket.on('close', () => {
    if (sockets.delete(socket) && comesAgain) void stranger(url, habit, { comesAgain });
  });
  return Promise.race([once(socket, 'connect'), once(socket, 'close')]).catch(() => {});
}

const strangers = (url: URL, habit: string, options?: { comesAgain: boolean }): Promise<unknown> =>
  Promise.all(Array.from({ length: STRANGERS }, () => stranger(url, habit, options)));

/** How many connections the server at this address has open, as the system counts them. */
async function openCount({ port }: URL): Promise<number> {
  const local = `:${Number(port).toString(16).toUpperCase().padStart(4, '0')}`;
  const lines = (await readFile('/proc/net/tcp', 'latin1')).split('\n').map((line) => line.trim().split(/\s+/));
  return lines.filter(([, address, , state]) => address?.endsWith(local) && state === '01').length;
}

/**
 * Opens the page as its owner, again and again where that fails: the status that comes in the end, and how long that
 * took.
 */
async function openedByOwner(url: URL): Promise<{ status: number; tookMS: number }> {
  const startedAt = performance.now();
  const status = await eventually(() => statusOf(url), 30_000);
  return { status, tookMS: performance.now() - startedAt };
}

async function statusOf(url: URL): Promise<number> {
  const asked = request(url, { agent: false });
  asked.end();
  const [response] = await once(asked, 'response');
  response.resume();
  return Number(response.statusCode);
}

test.each(Object.keys(HABITS))('strangers who %s do not keep the owner out', async (habit) => {
  const url = await started();
  await strangers(url, habit);
  const { status, tookMS } = await openedByOwner(url);
  expect(status).toBe(200);
  expect(tookMS).toBeLessThan(OWNER_LIMIT_MS);
});

test('strangers who come again as often as they are sent away do not keep the owner out', async () => {
  const url = await started();
  await strangers(url, 'send half a header', { comesAgain: true });
  const { status, tookMS } = await openedByOwner(url);
  expect(status).toBe(200);
  expect(tookMS).toBeLessThan(OWNER_LIMIT_MS);
});

test('strangers have only so many connections, and do not end what the owner has open', async () => {
  const url = await started();
  let piecesCount = 0;
  let hasEnded = false;
  const asked = request(new URL(`/api/events${url.search}`, url), { agent: false });
  asked.on('response', (response) => {
    response.on('data', () => {
      piecesCount += 1;
    });
    response.on('close', () => {
      hasEnded = true;
    });
  });
  asked.on('error', () => {});
  asked.end();
  await eventually(() => piecesCount > 0);
  await strangers(url, 'send nothing');
  await openedByOwner(url);
  expect(await openCount(url)).toBeLessThanOrEqual(OPEN_MAX);
  const before = piecesCount;
  await eventually(() => piecesCount > before + 1);
  expect(hasEnded).toBe(false);
  asked.destroy();
});

test('what strangers leave open is closed within seconds, whatever they have asked', async () => {
  const url = await started();
  await Promise.all(Object.keys(HABITS).map((habit) => stranger(url, habit)));
  await eventually(async () => (await openCount(url)) === 0, CLOSED_LIMIT_MS);
  expect(await openCount(url)).toBe(0);
});
