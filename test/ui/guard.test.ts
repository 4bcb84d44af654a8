/** Who may talk to the live page's server, and what its figures count: the parts that need neither a server nor a browser. */
import { describe, expect, test } from 'vitest';
import type { Fact, GrantedFact } from '../../packages/cli/src/observer/facts.js';
import { FigureCounter } from '../../packages/cli/src/ui/figures.js';
import { isOurHost, isOurPage, isToken, newToken } from '../../packages/cli/src/ui/guard.js';
import { BUCKET_ENDS_MS, RATE_SECONDS_COUNT, WINDOW_MS } from '../../packages/cli/src/ui/wire.js';

describe('the Host header', () => {
  const loopback = { host: '127.0.0.1', allowedHosts: [] };
  const everywhere = { host: '0.0.0.0', allowedHosts: ['locks.example'] };

  test.each(['127.0.0.1:7583', 'localhost:7583', 'LOCALHOST', '[::1]:7583'])('may be %s on loopback', (header) => {
    expect(isOurHost(header, loopback)).toBe(true);
  });

  test.each([undefined, '', 'evil.example:7583', 'localhost.evil.example', '127.0.0.1.evil.example', '10.0.0.7:7583'])(
    'may not be %s on loopback',
    (header) => {
      expect(isOurHost(header, loopback)).toBe(false);
    },
  );

  test.each(['a@localhost', 'localhost:1:2', 'localhost/', 'local host', '[::1', '[evil.example]:80'])(
    'may not be malformed: %s',
    (header) => {
      expect(isOurHost(header, loopback)).toBe(false);
    },
  );

  test('may be any literal address, and the allowed names, where the server listens on all addresses', () => {
    const allowed = ['10.0.0.7:7583', '[fe80::1]:7583', 'locks.example:7583', 'localhost:7583'];
    expect(allowed.map((header) => isOurHost(header, everywhere))).toEqual([true, true, true, true]);
    expect(isOurHost('evil.example:7583', everywhere)).toBe(false);
  });
});

describe('what browsers say of a request', () => {
  const host = '127.0.0.1:7583';
  const opening = { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' } as const;

  test('lets pass what no browser sent, the page itself, and who opens the page', () => {
    const passing = [
      { host },
      { host, origin: `http://${host}`, 'sec-fetch-site': 'same-origin' },
      { host, 'sec-fetch-site': 'none', ...opening },
      { host, 'sec-fetch-site': 'cross-site', ...opening },
    ];
    expect(passing.map((headers) => isOurPage({ headers, method: 'GET' }))).toEqual([true, true, true, true]);
  });

  test('refuses other origins, other ports of this host, sandboxed pages, frames and requests of other sites', () => {
    const refused = [
      { host, origin: 'http://evil.example' },
      { host, origin: 'http://127.0.0.1:8080' },
      { host, origin: 'null' },
      { host, 'sec-fetch-site': 'cross-site' },
      { host, 'sec-fetch-site': 'same-site' },
      { host, 'sec-fetch-site': 'cross-site', ...opening, 'sec-fetch-dest': 'iframe' },
    ];
    expect(refused.map((headers) => isOurPage({ headers, method: 'GET' }))).toEqual(refused.map(() => false));
    const posted = { host, 'sec-fetch-site': 'cross-site', ...opening };
    expect(isOurPage({ headers: posted, method: 'POST' })).toBe(false);
  });
});

test('a token is 256 bits, never the same, and only itself', () => {
  const [one, other] = [newToken(), newToken()];
  expect(Buffer.from(one, 'base64url')).toHaveLength(32);
  expect(one).not.toBe(other);
  expect([one, other, '', null, `${one} `, one.slice(1)].map((given) => isToken(given, one))).toEqual([
    true,
    false,
    false,
    false,
    false,
    false,
  ]);
});

describe('the figures', () => {
  const party = { session: 's' };
  const startMS = 1_800_000_000_000;
  const run = { resource: 'r', id: '1', holder: party, firstToken: 1, lastToken: 1 } as const;

  function granted(atMS: number, callersCount: number, waitedMS: number): GrantedFact {
    const waits = [{ callersCount, waitedMS }];
    return { kind: 'granted', at: new Date(atMS), ...run, callersCount, from: party, waitedMS, waits };
  }

  function ended(kind: 'released' | 'taken-over', atMS: number, heldMS: number): Fact {
    return { kind, at: new Date(atMS), ...run, callersCount: 1, heldMS, to: null };
  }

  test('count by the second, and give no second before it is over', () => {
    const figures = new FigureCounter();
    figures.count(granted(startMS, 3, 7));
    figures.count(granted(startMS + 1_000, 1, 7));
    figures.count(granted(startMS + 2_000, 1, 7));
    const { handoffs, callers, lastSecond } = figures.read(startMS + 2_500);
    expect(handoffs).toHaveLength(RATE_SECONDS_COUNT);
    expect(handoffs.slice(-3)).toEqual([0, 1, 1]);
    expect(callers.slice(-3)).toEqual([0, 3, 1]);
    expect(lastSecond).toBe(startMS / 1_000 + 1);
  });

  test('forget what is older than the window, and count a caller of a run each', () => {
    const figures = new FigureCounter();
    figures.count(granted(startMS, 4, 7));
    figures.count(ended('taken-over', startMS + 1, 40));
    figures.count(ended('released', startMS + 2, 3_000_000));
    const now = figures.read(startMS + 10);
    expect(now.waits).toMatchObject({ total: 4, p50MS: 7, maxMS: 7 });
    expect(now.waits.counts[BUCKET_ENDS_MS.indexOf(10)]).toBe(4);
    expect(now.holds).toMatchObject({ total: 2, p50MS: 50, p99MS: 3_000_000, maxMS: 3_000_000 });
    expect(now.holds.counts.at(-1)).toBe(1);
    expect(now.lost).toEqual({ takenOver: 1, forced: 0, removed: 0 });
    const later = figures.read(startMS + WINDOW_MS + 10_000);
    expect(later.waits).toMatchObject({ total: 0, p50MS: null, maxMS: null });
    expect(later.lost.takenOver).toBe(0);
    expect(Math.max(...later.handoffs)).toBe(0);
  });
});
