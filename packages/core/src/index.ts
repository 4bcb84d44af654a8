/** What the package exports. `module.exports` is what `require` gives. */
export type { ExecContext, ExecRequest, LockRequest, TryLockRequest } from './arguments.js';
export type { Logger } from './base/logger.js';
export { LockClient } from './client.js';
export {
  DLocks,
  DLocks as default,
  DLocks as 'module.exports',
  type LockRequestWithFn,
  type LoggerErrorFn,
} from './dlocks.js';
export {
  LockClosedError,
  LockError,
  type LockErrorCode,
  type LockErrorFacts,
  type LockHolder,
  LockInvalidArgumentError,
  LockInvalidOptionError,
  LockLimitError,
  LockLostError,
  LockMissingPrivilegesError,
  LockNewerVersionError,
  LockNotConfiguredError,
  LockOutcomeUnknownError,
  LockTimeoutError,
  LockUnavailableError,
  LockUnsupportedTopologyError,
  type LockValue,
} from './errors.js';
export type {
  ErrorEvent,
  GrantedEvent,
  LockEventName,
  LockEvents,
  LockSubject,
  LostEvent,
  ReleasedEvent,
  SafeEmitter,
  SessionEvent,
  SessionLostEvent,
  SessionReapedEvent,
  StreamEvent,
  StreamInterruptedEvent,
  WaitingEvent,
} from './events.js';
export { Lock } from './lock.js';
export type {
  ClientSource,
  ConnectionSource,
  DatabaseLike,
  DbSource,
  LockClientOptions,
  LockSettings,
  MongoClientLike,
  MongooseConnectionLike,
  UriSource,
} from './options.js';
export type { BsonId, LockKeyPart } from './protocol/key.js';
