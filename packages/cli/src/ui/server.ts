/**
 * The http server of the live page: the page and its files, the event stream, and the one request that changes
 * something. Everything is asked of `guard.ts` first; nothing is served from a path that a request names. It writes no log,
 * and keeps nothing of a request but the open event streams.
 */
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { CommandFailure, EXIT, OwnError } from '../exit-codes.js';
import { messageOf } from '../failures.js';
import type { Board } from './board.js';
import { Connections } from './connections.js';
import { FrameMaker, type Interest } from './frames.js';
import { isOurHost, isOurPage, isToken, newToken, type Place } from './guard.js';
import type { Figures, ForceAnswer, ForceRequest, Introduction, Refusal } from './wire.js';

/** Event streams that may be open at once: browser windows. */
const BROWSERS_MAX = 32;
const BODY_MAX_BYTES = 8_192;
const URL_MAX_LENGTH = 4_096;
/** How long the headers of a request may take, the whole request, and the wait for the next on the same connection. */
const HEADERS_LIMIT_MS = 5_000;
const REQUEST_LIMIT_MS = 10_000;
const KEEP_ALIVE_MS = 5_000;
/** How often Node looks whether one of these has passed. Its default is every 30 s. */
const LIMITS_CHECKED_EVERY_MS = 1_000;
/** How long a connection may take nothing of what it is sent; an event stream, which sends something every second. */
const STALLED_LIMIT_MS = 5_000;
const STREAM_STALLED_LIMIT_MS = 30_000;
/** A browser needs fewer, and opens another connection where it does not. */
const REQUESTS_PER_CONNECTION_MAX = 16;
/** How often a browser is told what changed, and how often the figures. */
const FRAME_EVERY_MS = 250;
const FRAMES_TO_FIGURES = 4;

const HEADERS: Readonly<Record<string, string>> = {
  'Cache-Control': 'no-store',
  'Content-Security-Policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; '),
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
};

const ASSETS = [
  { path: '/', file: 'index.html', type: 'text/html; charset=utf-8' },
  { path: '/page.js', file: 'page.js', type: 'text/javascript; charset=utf-8' },
  { path: '/page.css', file: 'page.css', type: 'text/css; charset=utf-8' },
  { path: '/icon.svg', file: 'icon.svg', type: 'image/svg+xml' },
  { path: '/licences.txt', file: 'licences.txt', type: 'text/plain; charset=utf-8' },
] as const;
const ASSETS_FOLDER: string = fileURLToPath(new URL('./assets/', import.meta.url));

export interface PageServerOptions extends Place {
  readonly board: Board;
  readonly introduction: Introduction;
  readonly port: number;
  /** Resolves to whether this call ended that run. */
  readonly forceRelease: (request: ForceRequest) => Promise<boolean>;
}

/** What is thrown to answer with a status. */
class Refused extends OwnError {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** A browser's event stream. */
interface Browser {
  readonly frames: FrameMaker;
  readonly response: ServerResponse;
  /** It has not taken what it was sent. */
  isFull: boolean;
}

/** See above. */
export class PageServer {
  readonly #options: PageServerOptions;
  readonly #token: string = newToken();
  readonly #server: Server;
  readonly #connections: Connections;
  readonly #browsers = new Set<Browser>();
  readonly #assets = new Map<string, { readonly type: string; readonly body: Buffer }>();
  #timer: NodeJS.Timeout | undefined;
  #ticksCount = 0;

  constructor(options: PageServerOptions) {
    this.#options = options;
    this.#server = createServer({
      headersTimeout: HEADERS_LIMIT_MS,
      requestTimeout: REQUEST_LIMIT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: LIMITS_CHECKED_EVERY_MS,
    });
    this.#server.timeout = STALLED_LIMIT_MS;
    this.#server.maxRequestsPerSocket = REQUESTS_PER_CONNECTION_MAX;
    this.#server.on('dropRequest', (_, socket) => socket.destroy());
    this.#connections = new Connections(this.#server);
    this.#server.on('request', (request, response) => void this.#answer(request, response));
  }

  /** Listens; resolves to the address to open, token included. Rejects where the port is taken. */
  async listen(): Promise<string> {
    for (const { path, file, type } of ASSETS) this.#assets.set(path, { type, body: await readAsset(file) });
    const { host, port } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', ({ code = 'an error' }: NodeJS.ErrnoException) => {
        reject(
          new CommandFailure(`cannot listen on ${host}, port ${port}: ${code}`, {
            exitCode: EXIT.FAILED,
            code: 'FAILED',
          }),
        );
      });
      this.#server.listen(port, host, () => resolve());
    });
    this.#timer = setInterval(() => this.#tick(), FRAME_EVERY_MS);
    const name = host.includes(':') ? `[${host}]` : host;
    return `http://${name}:${(this.#server.address() as AddressInfo).port}/?token=${this.#token}`;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    for (const { frames, response } of this.#browsers) {
      frames.close();
      response.end();
    }
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
    try {
      await this.#route(request, response);
    } catch (error) {
      const { status, message } = error instanceof Refused ? error : new Refused(500, messageOf(error));
      if (response.headersSent) response.destroy();
      else this.#json(response, status, { error: message } satisfies Refusal);
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method } = request;
    const url = this.#checked(request);
    const asset = this.#assets.get(url.pathname);
    if (method === 'POST' && url.pathname === '/api/force-release') return this.#force(request, response);
    if (method !== 'GET') throw new Refused(405, 'Only GET is answered here.');
    if (url.pathname === '/api/introduction') return this.#json(response, 200, this.#options.introduction);
    if (url.pathname === '/api/events') return this.#stream(interestOf(url.searchParams), response);
    if (asset === undefined) throw new Refused(404, 'There is nothing here.');
    response.setHeader('Content-Type', asset.type);
    response.end(asset.body);
  }

  /** The address, once the request has been found to be one that may be answered. */
  #checked(request: IncomingMessage): URL {
    const { headers, url: target = '/' } = request;
    if (!isOurHost(headers.host, this.#options)) {
      throw new Refused(421, 'This server is not called by that name: see --allow-host.');
    }
    if (!isOurPage(request)) throw new Refused(403, 'Other sites may not ask here.');
    if (target.length > URL_MAX_LENGTH || !target.startsWith('/')) throw new Refused(400, 'No such address.');
    const url = new URL(`http://localhost${target}`);
    // The files of the page say nothing that is not public, and a page cannot hand its token to its style sheet.
    if (url.pathname !== '/' && this.#assets.has(url.pathname)) return url;
    const [, bearer] = /^Bearer (.+)$/.exec(headers.authorization ?? '') ?? [];
    if (!isToken(bearer ?? url.searchParams.get('token'), this.#token)) {
      throw new Refused(401, 'The token is missing or wrong: open the address that "dlocks ui" printed.');
    }
    this.#connections.trust(request.socket);
    return url;
  }

  async #force(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.headers['content-type'] !== 'application/json') throw new Refused(415, 'JSON is expected.');
    // A page of ours puts it into a header, which no form or link of another site can.
    if (request.headers.authorization === undefined) throw new Refused(401, 'The token belongs into a header here.');
    const asked = readForceRequest(await bodyOf(request));
    // The database may take its time, and nothing is sent meanwhile.
    request.socket.setTimeout(0);
    const released = await this.#options.forceRelease(asked).catch((error: unknown) => {
      const isRefused = (error as { code?: unknown }).code === 'LOCK_INVALID_ARGUMENT';
      throw new Refused(isRefused ? 400 : 502, messageOf(error));
    });
    this.#json(response, 200, { released } satisfies ForceAnswer);
  }

  #stream(interest: Interest, response: ServerResponse): void {
    if (this.#browsers.size >= BROWSERS_MAX) throw new Refused(503, `${BROWSERS_MAX} windows look on already.`);
    const browser: Browser = { frames: new FrameMaker(this.#options.board, interest), response, isFull: false };
    this.#browsers.add(browser);
    response.socket?.setTimeout(STREAM_STALLED_LIMIT_MS);
    response.on('close', () => {
      browser.frames.close();
      this.#browsers.delete(browser);
    });
    response.on('drain', () => {
      browser.isFull = false;
    });
    response.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8', 'X-Accel-Buffering': 'no' });
    send(browser, this.#options.board.figures());
  }

  /** Every browser gets the figures at the same ticks, so that they are added up once for all. */
  #tick(): void {
    if (this.#browsers.size === 0) return;
    this.#ticksCount += 1;
    const figures = this.#ticksCount % FRAMES_TO_FIGURES === 0 ? this.#options.board.figures() : null;
    for (const browser of this.#browsers) {
      if (!browser.isFull && (figures !== null || browser.frames.hasNews)) send(browser, figures);
    }
  }

  #json(response: ServerResponse, status: number, value: unknown): void {
    response.writeHead(status, { 'Content-Type': 'application/json; charset=utf-8' });
    response.end(JSON.stringify(value));
  }
}

function send(browser: Browser, figures: Figures | null): void {
  const isTaken = browser.response.write(`data: ${JSON.stringify(browser.frames.next(figures))}\n\n`);
  browser.isFull = !isTaken;
}

async function readAsset(file: string): Promise<Buffer> {
  try {
    return await readFile(`${ASSETS_FOLDER}${file}`);
  } catch (error) {
    const message = `The page was not built: ${file} is missing beside the server.`;
    throw new CommandFailure(message, { exitCode: EXIT.FAILED, code: 'FAILED', cause: error });
  }
}

function interestOf(parameters: URLSearchParams): Interest {
  const resource = parameters.get('resource');
  const id = parameters.get('id');
  return {
    filter: parameters.get('filter') ?? '',
    selected: resource === null || id === null ? null : { resource, id },
  };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const length = Number(request.headers['content-length']);
  if (!(length <= BODY_MAX_BYTES)) throw new Refused(413, `At most ${BODY_MAX_BYTES} bytes, and their number first.`);
  return text(request);
}

function readForceRequest(body: string): ForceRequest {
  const { resource, id, fencingToken, reason } = parsed(body);
  const isWhole = typeof fencingToken === 'number' && Number.isSafeInteger(fencingToken) && fencingToken > 0;
  if (typeof resource !== 'string' || typeof id !== 'string' || typeof reason !== 'string' || !isWhole) {
    throw new Refused(400, 'resource, id, fencingToken and reason are expected.');
  }
  return { resource, id, fencingToken, reason };
}

function parsed(body: string): Partial<Record<keyof ForceRequest, unknown>> {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    throw new Refused(400, 'This is no JSON.');
  }
}
