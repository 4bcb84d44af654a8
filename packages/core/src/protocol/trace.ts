/**
 * The trace of a release: the one string field of a lock document that says by which span the lock was held last, where
 * somebody follows that. It is written with the release, and read by whoever is granted the lock next. It has the token of
 * the run that ended: what an earlier one left behind is known as such. Pure text work; no code of OpenTelemetry in here.
 */
import { COUNT_MAX } from './grant.js';

/** What a release leaves for the next. */
export interface TraceNote {
  /** The last token of the run that ended. */
  readonly fencingToken: number;
  /** Of the last hold of it, as in the header of that name of W3C Trace Context. */
  readonly traceparent: string;
}

/** Version 00, the only one there is; the fields after those of a later version are nobody's to store. */
const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/;
const ZEROS = /^0+$/;

/**
 * Whether a value is a `traceparent`: `00-<trace id>-<parent id>-<flags>`, all in lower case hexadecimal digits, neither id
 * all zeros.
 *
 * @see https://www.w3.org/TR/trace-context/#traceparent-header-field-values
 */
export function isTraceparent(text: unknown): text is string {
  if (typeof text !== 'string') return false;
  const [, traceId = '0', parentId = '0'] = TRACEPARENT.exec(text) ?? [];
  return !ZEROS.test(traceId) && !ZEROS.test(parentId);
}

/** The stored form: `<last token>/<traceparent>`. */
export function formatTrace({ fencingToken, traceparent }: TraceNote): string {
  return `${fencingToken}/${traceparent}`;
}

/** Reads what is stored; null where it is none (another tool wrote it). */
export function parseTrace(text: unknown): TraceNote | null {
  if (typeof text !== 'string') return null;
  const match = /^([1-9][0-9]{0,15})\/(.{55})$/.exec(text);
  const fencingToken = Number(match?.[1]);
  const traceparent = match?.[2];
  if (!(fencingToken <= COUNT_MAX) || !isTraceparent(traceparent)) return null;
  return { fencingToken, traceparent };
}

/** The trace of the hold before a grant; null: what is stored is none, or was left by a run before that one. */
export function traceparentBefore(firstToken: number, stored: string | undefined): string | null {
  const note = parseTrace(stored);
  return note !== null && note.fencingToken === firstToken - 1 ? note.traceparent : null;
}
