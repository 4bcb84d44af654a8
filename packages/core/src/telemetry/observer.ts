/**
 * What spans and metrics have in common: the facts both are told, and the attributes both are made with. Attributes are
 * few and of few values unless more is asked for; whatever a caller chose freely stays out.
 */
import type { Attributes } from '@opentelemetry/api';
import type { AcquireMessage, EventMessage, HoldMessage } from '../diagnostics.js';
import { decodeKey } from '../protocol/key.js';
import { ATTRIBUTES } from './names.js';

/** Who is told what the channels say. */
export interface LockObserver {
  /** A call begins; in its own asynchronous context. */
  onCall(call: AcquireMessage): void;
  /** A call has its lock. */
  onHeld(hold: HoldMessage): void;
  /** A call has ended, one way or the other; told after `onHeld`. */
  onCallEnded(call: AcquireMessage): void;
  /** A hold has ended. */
  onHoldEnded(hold: HoldMessage): void;
  onEvent(message: EventMessage): void;
  /** Nothing more is told: whatever is open is closed. */
  stop(): void;
}

/** Which of the caller's own values may be shown. */
export interface Shown {
  readonly resourceNames: boolean;
  readonly resourceIds: boolean;
}

/** How a call ended. */
export type CallOutcome = 'granted' | 'refused' | 'timeout' | 'aborted' | 'closed' | 'failed';

const OUTCOME_OF_CODE: Readonly<Record<string, CallOutcome>> = { LOCK_TIMEOUT: 'timeout', LOCK_CLOSED: 'closed' };

/** How a call ended, by its message. */
export function callOutcome(call: AcquireMessage): CallOutcome {
  const { result, error, signal } = call;
  // What it rejects with may be undefined: a caller's own reason is what it likes.
  if (!('error' in call)) return result === null ? 'refused' : 'granted';
  if (signal?.aborted === true && signal.reason === error) return 'aborted';
  return OUTCOME_OF_CODE[codeOf(error) ?? ''] ?? 'failed';
}

/** The value of `error.type`: a code of this library, else the name of a kind of error, else `_OTHER`. Never a message. */
export function errorType(error: unknown): string {
  const code = codeOf(error);
  if (code?.startsWith('LOCK_') === true) return code;
  const { name } = (typeof error === 'object' && error !== null ? error : {}) as { readonly name?: unknown };
  return typeof name === 'string' && /^[A-Z]\w{0,63}$/.test(name) ? name : '_OTHER';
}

/** Whether a hold was lost because somebody released it by force. */
export function isForced(error: unknown): boolean {
  return typeof error === 'object' && error !== null && (error as { forced?: unknown }).forced !== undefined;
}

/** What every span and every measurement of a call or of its hold carries. */
export function commonAttributes({ operation, key }: AcquireMessage, { resourceNames }: Shown): Attributes {
  const resource = resourceNames ? decodeKey(key)?.resource : undefined;
  return { [ATTRIBUTES.operation]: operation, ...(resource !== undefined && { [ATTRIBUTES.resource]: resource }) };
}

function codeOf(error: unknown): string | undefined {
  const { code } = (typeof error === 'object' && error !== null ? error : {}) as { readonly code?: unknown };
  return typeof code === 'string' ? code : undefined;
}
