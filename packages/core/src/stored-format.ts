/**
 * What tools need to read the stored documents by themselves: the subpath `mongo-distributed-locks/stored-format`. Pure
 * readers; `docs/protocol.md` has the documents. Re-exports only.
 */
export type { ForcedRelease } from './errors.js';
export {
  type LockState,
  type Raw,
  readLock,
  readSession,
  readTicket,
  type SessionState,
  type TicketState,
} from './protocol/documents.js';
export { type ForcedNote, parseForced } from './protocol/forced.js';
export { callersCount, type Grant, lastToken, parseGrant, type TicketRef, ticketId } from './protocol/grant.js';
export { decodeKey, encodeKey, type KeyTexts, keyPrefix } from './protocol/key.js';
export { parseTrace, type TraceNote } from './protocol/trace.js';
