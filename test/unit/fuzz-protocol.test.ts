/**
 * Whatever is stored, and whatever the driver throws, against the pure functions that read it: they give what they promise or null, never throw
 * anything else, and never make a text that they could not read themselves. Not the documents on a server: `integration/fuzz-documents`.
 */
import fc from 'fast-check';
import type { Long } from 'mongodb';
import { describe, expect, it } from 'vitest';
import { LockError } from '#core/errors.js';
import { describeFailure } from '#core/mongo/driver-errors.js';
import { codeOf, failureOf } from '#core/mongo/failures.js';
import { type LockState, readLock, readSession, readTicket, type TicketState } from '#core/protocol/documents.js';
import { FENCE_MAX, formatGrant, isSessionId, lastToken, parseGrant } from '#core/protocol/grant.js';
import { decodeKey, encodeKey, readKey } from '#core/protocol/key.js';
import { judgeSession, sight } from '#core/protocol/lease.js';
import { arrivalNumber, arrivalsAtGrant, handoffTo, headRun, vacateOutcome } from '#core/protocol/transitions.js';
import { anyFailure, anyText, anyValue, storedValue } from '../support/arbitraries.js';
import { FUZZ_LIMIT_MS, finds, fuzz } from '../support/fuzz.js';

const RUNS = 4_000;

/** What the driver makes of a stored value with our BSON options: numbers where they fit, else its own classes. */
function promoted(value: unknown): unknown {
  const { _bsontype, value: number } = (value ?? {}) as { _bsontype?: string; value?: unknown };
  if (_bsontype === 'Int32' || _bsontype === 'Double') return number;
  if (_bsontype !== 'Long') return value;
  const long = value as Long;
  return Math.abs(long.toNumber()) <= Number.MAX_SAFE_INTEGER ? long.toNumber() : long;
}

const count = fc.oneof(fc.maxSafeNat(), fc.constantFrom(0, 1, 64, 9_000_000_000_000_000, Number.MAX_SAFE_INTEGER));
const digits = fc.oneof(
  fc.maxSafeNat().map(String),
  fc.constantFrom('0', '1', '01', '-1', '1e3', '9999999999999999', '9007199254740993', '999999999', '1000000000', ''),
);
const session = fc.oneof(fc.constantFrom('s', 'A-_9', 'x'.repeat(64), 'x'.repeat(65), '__proto__'), anyText);

/** Grants but for the size of their numbers. */
const wideText = fc.tuple(digits, digits).map(([token, n]) => `s/${token}/${n}:1`);

/** Texts that are grants, nearly, or not at all. */
const grantText = fc.oneof(
  anyText,
  wideText,
  fc
    .tuple(
      session,
      digits,
      fc.array(fc.tuple(digits, digits), { minLength: 1, maxLength: 2 }),
      fc.constantFrom('', '/', ',', '\n'),
    )
    .map(([who, token, tickets, end]) => `${who}/${token}/${tickets.map((pair) => pair.join(':')).join(',')}${end}`),
  fc
    .tuple(fc.maxSafeNat(), fc.array(fc.nat(), { minLength: 1 }))
    .map(([token, ns]) => `s/${token + 1}/${ns.map((n) => `${n + 1}:${n + 1}`)}`),
);

const field = fc.option(fc.oneof(storedValue.map(promoted), anyValue, count), { nil: undefined });
const lockDocument = fc.record(
  {
    _id: fc.oneof(fc.constant('lock:r/1'), field),
    v: field,
    grant: fc.oneof(grantText, field),
    fence: field,
    arrivals: field,
    born: field,
    firstArrival: field,
    forced: field,
    trace: field,
  },
  { requiredKeys: [] },
);
/** Most are good but for a field or two, so that reading comes to the end. */
const nearLock = fc
  .tuple(
    lockDocument,
    fc.subarray(['fence', 'arrivals', 'born', 'v', 'firstArrival', 'grant', 'forced', 'trace', '_id'] as const),
  )
  .map(([wild, names]) => {
    const good = { _id: 'lock:r/1', v: 1, grant: null, fence: 5, arrivals: 2, born: 1, firstArrival: null };
    return { ...good, ...Object.fromEntries(names.map((name) => [name, wild[name]])) };
  });

/** What every stored text of a grant must be, once it was read: told whole by its parts, and no number in it too large to count on from. */
function grantProblem(raw: string, parse: typeof parseGrant): string | null {
  const grant = parse(raw);
  if (grant === null) return null;
  if (formatGrant(grant) !== raw) return `reads as ${formatGrant(grant)}`;
  if (!Number.isSafeInteger(lastToken(grant) + 1)) return `its last token is ${lastToken(grant)}`;
  return isSessionId(grant.session) && grant.tickets.length > 0 ? null : 'has no session or no ticket';
}

describe('a stored grant', () => {
  it(
    'is read as what it says to the last digit, or as none',
    async () => {
      await fuzz(
        fc.property(grantText, (raw) => {
          expect(grantProblem(raw, parseGrant)).toBeNull();
        }),
        { runs: RUNS },
      );
    },
    FUZZ_LIMIT_MS,
  );

  it('that were read with its large numbers rounded would be found', async () => {
    const rounded: typeof parseGrant = (raw) => {
      const match = /^(\w)\/([1-9]\d{0,15})\/([1-9]\d{0,15}):1$/.exec(String(raw));
      return match && { session: 's', firstToken: Number(match[2]), tickets: [{ n: Number(match[3]), callers: 1 }] };
    };
    expect(
      await finds(
        fc.property(wideText, (raw) => grantProblem(raw, rounded) === null),
        RUNS,
      ),
    ).toBe(true);
  });

  it(
    'of any other value is none',
    async () => {
      await fuzz(
        fc.property(
          fc.oneof(
            storedValue.filter((value) => typeof value !== 'string'),
            fc.constant(undefined),
          ),
          (value) => {
            expect(parseGrant(value)).toBeNull();
          },
        ),
        { runs: RUNS / 4 },
      );
    },
    FUZZ_LIMIT_MS,
  );
});

/** As the `_id` of its ticket would have it. */
function shown(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : 'x';
}

const ticketDocument = fc
  .record({
    session: fc.oneof(session, field),
    n: fc.oneof(count, field),
    callers: fc.oneof(count, field),
    own: fc.boolean(),
    _id: field,
  })
  .map(({ own, _id, ...rest }) => ({ ...rest, _id: own ? `${shown(rest.session)}/${shown(rest.n)}` : _id }));

describe('a stored document', () => {
  it(
    'of a lock is read with whole counts and texts, or as none',
    async () => {
      await fuzz(
        fc.property(fc.oneof(nearLock, lockDocument), (raw) => {
          const lock = readLock(raw as Record<string, unknown>);
          for (const counted of lock === null ? [] : [lock.version, lock.fence, lock.arrivals, lock.born]) {
            expect(Number.isSafeInteger(counted + 1) && counted >= 0).toBe(true);
          }
          expect(lock === null || typeof lock.key === 'string').toBe(true);
          expect([null, 'string']).toContain(lock === null || lock.grant === null ? null : typeof lock.grant);
          for (const note of [lock?.forced, lock?.trace]) expect(['undefined', 'string']).toContain(typeof note);
        }),
        { runs: RUNS },
      );
    },
    FUZZ_LIMIT_MS,
  );

  it(
    'of a ticket is one that a grant can name, or none',
    async () => {
      const named = (raw: object, read: typeof readTicket): boolean => {
        const ticket = read(raw as Record<string, unknown>);
        if (ticket === null) return true;
        const grant = formatGrant({ session: ticket.session, firstToken: 1, tickets: [ticket] });
        return grantProblem(grant, parseGrant) === null && parseGrant(grant) !== null;
      };
      await fuzz(
        fc.property(ticketDocument, (raw) => {
          expect(named(raw, readTicket)).toBe(true);
        }),
        { runs: RUNS },
      );
      const trusting = (raw: Record<string, unknown>): TicketState | null => {
        return typeof raw.callers === 'number' ? { session: 's', n: 1, callers: raw.callers } : null;
      };
      expect(
        await finds(
          fc.property(ticketDocument, (raw) => named(raw, trusting)),
          RUNS,
        ),
      ).toBe(true);
    },
    FUZZ_LIMIT_MS,
  );

  it(
    'of a session is judged in numbers, or is none',
    async () => {
      const wild = fc.record(
        {
          _id: session,
          v: field,
          beats: field,
          leaseMS: field,
          remainingMS: field,
          host: field,
          pid: field,
          label: field,
          state: fc.constantFrom('alive', 'dead', 'x', 1),
        },
        { requiredKeys: ['_id', 'state'] },
      );
      await fuzz(
        fc.property(wild, fc.boolean(), (raw, standing) => {
          const read = readSession(raw as Record<string, unknown>);
          expect(read === null || read.session === raw._id).toBe(true);
          if (read === null) return;
          const seen = sight(read, standing ? { beats: read.beats, seenAt: 0 } : undefined, 5);
          const verdict = judgeSession(read, seen, 10, 100);
          expect(verdict.kind === 'reap' || Number.isFinite(verdict.checkInMS)).toBe(true);
        }),
        { runs: RUNS },
      );
    },
    FUZZ_LIMIT_MS,
  );
});

describe('what follows from what was read', () => {
  const ticket = fc.record({
    session: fc.constantFrom('a', 'b'),
    n: fc.integer({ min: 1 }),
    callers: fc.integer({ min: 1, max: 999_999_999 }),
  });
  const state = nearLock
    .map((raw) => readLock(raw as Record<string, unknown>))
    .filter((lock): lock is LockState => lock !== null && lock.fence <= FENCE_MAX);

  it(
    'is a grant that can be read, with tokens above all before',
    async () => {
      await fuzz(
        fc.property(
          state,
          fc.array(ticket, { minLength: 1, maxLength: 64 }),
          fc.integer({ min: 1, max: 10_000 }),
          (lock, head, most) => {
            const run = headRun(head, most);
            const standing = lock.grant ?? 's/1/1:1';
            if (run === null) throw new Error('a queue has a head');
            const { next, fence } = handoffTo(standing, lock.fence, run);
            const read = parseGrant(next);
            expect(read).not.toBeNull();
            const before = parseGrant(standing);
            expect(read?.firstToken).toBeGreaterThan(Math.max(lock.fence, before === null ? 0 : lastToken(before)));
            expect(read && lastToken(read)).toBe(fence);
          },
        ),
        { runs: RUNS },
      );
    },
    FUZZ_LIMIT_MS,
  );

  it(
    'is a number of arrivals that can be sent, whatever is noted',
    async () => {
      await fuzz(
        fc.property(state, fc.option(grantText), (lock, noted) => {
          const number = arrivalNumber(noted);
          expect(number === null || Number.isSafeInteger(number)).toBe(true);
          expect(typeof BigInt(arrivalsAtGrant(lock))).toBe('bigint');
          expect(vacateOutcome('x', lock).kind).not.toBe('gone');
        }),
        { runs: RUNS },
      );
    },
    FUZZ_LIMIT_MS,
  );
});

describe('a key', () => {
  it(
    'of any two values is a text that gives them back, or is refused by name',
    async () => {
      await fuzz(
        fc.property(anyValue, anyValue, (resource, id) => {
          try {
            const key = readKey({ resource, id });
            const texts = decodeKey(key);
            expect(texts && encodeKey(texts)).toBe(key);
          } catch (error) {
            expect(error).toMatchObject({
              code: 'LOCK_INVALID_ARGUMENT',
              argument: expect.stringMatching(/^(resource|id)$/),
            });
          }
        }),
        { runs: RUNS },
      );
    },
    FUZZ_LIMIT_MS,
  );

  it(
    'of any text that is stored is read or is none',
    async () => {
      await fuzz(
        fc.property(fc.tuple(fc.constantFrom('', 'lock:'), anyText, anyText), ([start, a, b]) => {
          const key = `${start}${a}/${b}`;
          const texts = decodeKey(key);
          expect(texts === null || encodeKey(texts) === key).toBe(true);
        }),
        { runs: RUNS },
      );
    },
    FUZZ_LIMIT_MS,
  );
});

describe('a failure of any shape', () => {
  it(
    'is one of the public errors, with no connection string in it',
    async () => {
      await fuzz(
        fc.property(anyFailure, fc.constantFrom('read' as const, 'write' as const), (error, intent) => {
          const failure = failureOf(error, intent);
          expect(failure).toBeInstanceOf(LockError);
          expect(failure.code).toMatch(
            /^LOCK_(UNAVAILABLE|OUTCOME_UNKNOWN|MISSING_PRIVILEGES|UNSUPPORTED_TOPOLOGY|INVALID_OPTION)$/,
          );
          expect(failure.message).not.toContain('secret');
          expect(['number', 'object']).toContain(typeof codeOf(error));
          expect(describeFailure(error, error)).not.toBe('');
        }),
        { runs: RUNS },
      );
    },
    FUZZ_LIMIT_MS,
  );
});
