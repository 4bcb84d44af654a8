/**
 * Who may talk to the live page's server. Three checks, each for an attack of its own: the token (another user of the machine,
 * or whoever finds the port), the Host header (a name of an attacker's that resolves to us: DNS rebinding), and Origin with
 * Sec-Fetch-Site (another page in the same browser). Pure; `server.ts` asks before it does anything.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';

/** A fresh token: 256 bits, as text that a URL can carry. */
export function newToken(): string {
  return randomBytes(32).toString('base64url');
}

/** Compares in a time that says nothing of where the texts differ, nor how long the right one is. */
export function isToken(given: unknown, token: string): boolean {
  if (typeof given !== 'string') return false;
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(token));
}

/** What a server answers to. */
export interface Place {
  /** What it listens on: an address or a name. */
  readonly host: string;
  /** Other names that it is called by: behind a proxy, or of this machine in its network. */
  readonly allowedHosts: readonly string[];
}

const LOOPBACK: readonly string[] = ['localhost', '127.0.0.1', '::1'];
const EVERYWHERE: readonly string[] = ['0.0.0.0', '::'];

/** Whether an address or a name is this machine's alone. */
export function isLoopback(host: string): boolean {
  return LOOPBACK.includes(host) || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}

/**
 * Whether the Host header names this server. Where it listens on every address, any literal address will do: a browser
 * that was led here by a name sends that name.
 */
export function isOurHost(header: string | undefined, { host, allowedHosts }: Place): boolean {
  const name = hostNameOf(header);
  if (name === null) return false;
  const known = [host, ...allowedHosts, ...(isLoopback(host) || EVERYWHERE.includes(host) ? LOOPBACK : [])];
  if (known.some((each) => each.toLowerCase() === name)) return true;
  return EVERYWHERE.includes(host) && isIP(name) !== 0;
}

/** Whether no other site's page sent the request: by what browsers say, which nothing else needs to. */
export function isOurPage({ headers, method }: Pick<IncomingMessage, 'headers' | 'method'>): boolean {
  const { origin, host } = headers;
  const site = headers['sec-fetch-site'] ?? 'same-origin';
  // A link or a bookmark may open the page in a window of its own; another site may do nothing else.
  const isOpening = headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document';
  if (site !== 'same-origin' && !(isOpening && method === 'GET')) return false;
  if (origin === undefined) return true;
  try {
    return new URL(origin).host === new URL(`http://${host}`).host;
  } catch {
    return false; // "null", of a sandboxed page
  }
}

/** Without the port and the brackets. */
function hostNameOf(header: string | undefined): string | null {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]/@\s]+))(?::\d{1,5})?$/.exec(header ?? '');
  return (match?.[1] ?? match?.[2])?.toLowerCase() ?? null;
}
