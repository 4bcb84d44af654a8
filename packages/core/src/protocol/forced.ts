/**
 * The note of a forced release: the one string field of a lock document that says whose run was ended by hand, by whom
 * and why. It is written together with the grant that follows, so that one event tells the old holder and the new. Pure.
 */
import type { ForcedRelease } from '../errors.js';
import { COUNT_MAX, isSessionId } from './grant.js';

/** The note with the lock session whose run was ended. */
export interface ForcedNote extends ForcedRelease {
  readonly session: string;
}

/** The stored form: `<session>/<first token>/<JSON of by, reason and the call's id>`. The id tells two calls apart. */
export function formatForced({
  session,
  fencingToken,
  reason,
  by,
  call,
}: ForcedNote & { readonly call?: string }): string {
  return `${session}/${fencingToken}/${JSON.stringify({ by, reason, call })}`;
}

/** Reads a stored note; null where the text is none. */
export function parseForced(text: unknown): ForcedNote | null {
  if (typeof text !== 'string') return null;
  const match = /^([^/]+)\/([1-9][0-9]{0,15})\/(\{.*\})$/s.exec(text);
  const [, session, token, rest = ''] = match ?? [];
  const fencingToken = Number(token);
  if (!isSessionId(session) || !(fencingToken <= COUNT_MAX)) return null;
  const told = read(rest);
  if (told === null || typeof told.by !== 'string' || typeof told.reason !== 'string') return null;
  return { session, fencingToken, reason: told.reason, by: told.by };
}

function read(json: string): { readonly by?: unknown; readonly reason?: unknown } | null {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'object' ? value : null;
  } catch {
    return null;
  }
}
