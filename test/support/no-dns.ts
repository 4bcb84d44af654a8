/**
 * The DNS of tests in which nothing is to be looked up: it knows `localhost` and nothing else, and takes a number for
 * an address, as the system does. For this process only.
 */
import dns from 'node:dns';
import { vi } from 'vitest';

/** Until `vi.restoreAllMocks()`. */
export function withoutDns(): void {
  vi.spyOn(dns, 'lookup').mockImplementation(lookup as never);
  vi.spyOn(dns.promises, 'resolve').mockImplementation((async (name: string, kind: string) => {
    throw notFound(`query${kind === 'SRV' ? 'Srv' : 'Txt'}`, name);
  }) as never);
}

type Done = (error: Error | null, ...answer: unknown[]) => void;

function lookup(name: string, options: { readonly all?: boolean }, done: Done): void {
  const address = addressOf(name);
  if (address === null) done(notFound('getaddrinfo', name));
  else if (options.all === true) done(null, [{ address, family: 4 }]);
  else done(null, address, 4);
}

function addressOf(name: string): string | null {
  if (name === 'localhost') return '127.0.0.1';
  if (!/^\d+$/.test(name)) return null;
  return [24, 16, 8, 0].map((bits) => (Number(name) >>> bits) & 255).join('.');
}

/** In the words of Node. */
function notFound(syscall: string, hostname: string): Error {
  return Object.assign(new Error(`${syscall} ENOTFOUND ${hostname}`), { code: 'ENOTFOUND', syscall, hostname });
}
