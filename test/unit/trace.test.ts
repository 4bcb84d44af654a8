/**
 * The trace of a release as text: what is one, what is none, and to which grant it belongs. That it goes from one process to the next is
 * `integration/telemetry/linked-spans`.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HeldRun } from '#core/engine/run.js';
import { formatTrace, isTraceparent, parseTrace, traceparentBefore } from '#core/protocol/trace.js';
import { anyText, anyValue } from '../support/arbitraries.js';
import { FUZZ_LIMIT_MS, finds, fuzz } from '../support/fuzz.js';

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN_ID = '00f067aa0ba902b7';
const TRACEPARENT = `00-${TRACE_ID}-${SPAN_ID}-01`;

const hex = (length: number): fc.Arbitrary<string> =>
  fc
    .array(fc.constantFrom(...'0123456789abcdef'), { minLength: length, maxLength: length })
    .map((digits) => digits.join(''));
const id = (length: number): fc.Arbitrary<string> => hex(length).filter((text) => !/^0+$/.test(text));
const traceparent = fc
  .tuple(id(32), id(16), hex(2))
  .map(([traceId, spanId, flags]) => `00-${traceId}-${spanId}-${flags}`);
const token = fc.integer({ min: 1, max: 9_000_000_000_000_000 });
/** Texts that are one, or were before something happened to them. */
const nearTrace = fc
  .tuple(token, traceparent, fc.nat(75), fc.constantFrom('', '0', '/', 'A', '-', '\n', '🜚'), fc.boolean())
  .map(([number, parent, at, inserted, replaces]) => {
    const text = formatTrace({ fencingToken: number, traceparent: parent });
    return text.slice(0, at) + inserted + text.slice(replaces ? at + 1 : at);
  });

describe('a traceparent', () => {
  it('is version 00 with two ids and flags, in lower case', () => {
    const good = [TRACEPARENT, `00-${TRACE_ID}-${SPAN_ID}-00`, `00-${TRACE_ID}-${SPAN_ID}-ff`];
    expect(good.filter((text) => !isTraceparent(text))).toEqual([]);
  });

  it.each([
    '',
    TRACEPARENT.toUpperCase(),
    `01${TRACEPARENT.slice(2)}`,
    `ff${TRACEPARENT.slice(2)}`,
    `00-${'0'.repeat(32)}-${SPAN_ID}-01`,
    `00-${TRACE_ID}-${'0'.repeat(16)}-01`,
    `${TRACEPARENT}-00`,
    `${TRACEPARENT}\n`,
    ` ${TRACEPARENT}`,
    `00-${TRACE_ID.slice(1)}-${SPAN_ID}-01`,
    `00_${TRACE_ID}_${SPAN_ID}_01`,
  ])('is not %j', (text) => {
    expect(isTraceparent(text)).toBe(false);
  });

  it(
    'is nothing but a text',
    async () => {
      await fuzz(
        fc.property(fc.oneof(anyValue, traceparent), (value) => {
          expect(!isTraceparent(value) || typeof value === 'string').toBe(true);
          expect(isTraceparent([value])).toBe(false);
        }),
        { runs: 1_000 },
      );
    },
    FUZZ_LIMIT_MS,
  );
});

describe('the trace of a release', () => {
  it(
    'is read as it was written',
    async () => {
      await fuzz(
        fc.property(token, traceparent, (fencingToken, parent) => {
          const note = { fencingToken, traceparent: parent };
          expect(parseTrace(formatTrace(note))).toEqual(note);
        }),
        { runs: 2_000 },
      );
    },
    FUZZ_LIMIT_MS,
  );

  it(
    'is read as what it says to the last digit, or as none',
    async () => {
      const problem = (raw: unknown, parse: typeof parseTrace): boolean => {
        const note = parse(raw);
        return note === null || (formatTrace(note) === raw && isTraceparent(note.traceparent));
      };
      const texts = fc.oneof(nearTrace, anyText, anyValue);
      await fuzz(
        fc.property(texts, (raw) => {
          expect(problem(raw, parseTrace)).toBe(true);
        }),
        { runs: 4_000 },
      );
      const trusting: typeof parseTrace = (raw) => {
        const [number, parent = ''] = String(raw).split('/');
        return { fencingToken: Number(number), traceparent: parent };
      };
      expect(
        await finds(
          fc.property(texts, (raw) => problem(raw, trusting)),
          200,
        ),
      ).toBe(true);
    },
    FUZZ_LIMIT_MS,
  );

  it.each([
    `0/${TRACEPARENT}`,
    `-1/${TRACEPARENT}`,
    `1e3/${TRACEPARENT}`,
    `9007199254740993/${TRACEPARENT}`,
    `7`,
    '7/',
  ])('is not %j', (text) => {
    expect(parseTrace(text)).toBeNull();
  });

  it('is that of the hold before the very next grant, and of no other', () => {
    const stored = formatTrace({ fencingToken: 41, traceparent: TRACEPARENT });
    expect([41, 42, 43].map((first) => traceparentBefore(first, stored))).toEqual([null, TRACEPARENT, null]);
    expect([undefined, '', `${stored}0`].map((text) => traceparentBefore(42, text))).toEqual([null, null, null]);
  });
});

describe('a run', () => {
  const grant = { session: 's', firstToken: 5, tickets: [{ n: 1, callers: 2 }] };
  const runAfter = (acquisition: object): HeldRun => {
    const run = new HeldRun({ session: {} as never, text: '', grant, slots: [], order: 1, previousTraceparent: null });
    run.serve({ request: { acquisition } } as never);
    return run;
  };

  it('leaves what its last hold was given, with its last token', () => {
    expect(runAfter({ traceparent: TRACEPARENT }).trace).toBe(`6/${TRACEPARENT}`);
  });

  it.each([
    ['no traceparent', { traceparent: '$grant' }],
    ['no text', { traceparent: { $gt: '' } }],
    [
      'a value that throws when it is read',
      {
        get traceparent(): string {
          throw new Error('thrown by a subscriber');
        },
      },
    ],
  ])('leaves nothing where it was given %s', (_, acquisition) => {
    expect(runAfter(acquisition).trace).toBeUndefined();
  });
});
