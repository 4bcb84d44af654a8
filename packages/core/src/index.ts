/** What the package exports. `module.exports` is what `require` gives. */
export type {
  CloseOptions,
  ExecContext,
  ExecRequest,
  ForceReleaseRequest,
  InspectRequest,
  ListRequest,
  LockRequest,
  TryLockRequest,
} from './arguments.js';
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
  type ForcedRelease,
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
  ContendedEvent,
  ErrorEvent,
  GrantedEvent,
  LockEventName,
  LockEvents,
  LockSubject,
  LostEvent,
  PositionEvent,
  ReleasedEvent,
  SafeEmitter,
  SessionEvent,
  SessionLostEvent,
  SessionReapedEvent,
  SessionRenewedEvent,
  StreamDeliveredEvent,
  StreamEvent,
  StreamInterruptedEvent,
  WaitingEvent,
} from './events.js';
export { Lock } from './lock.js';
export type { FencedUpdate, LockFenceOptions, LockTransactionOptions, LockYieldOptions } from './lock-arguments.js';
export type { TransactionSession } from './mongo/fenced-transactions.js';
export type {
  ClientSource,
  ConnectionSource,
  DatabaseLike,
  DbSource,
  LockClientOptions,
  LockSettings,
  LostLockRelease,
  MongoClientLike,
  MongooseConnectionLike,
  UriSource,
} from './options.js';
export type {
  ForcedView,
  HolderView,
  LockInspection,
  LockPage,
  LockSummary,
  SessionView,
  WaiterView,
} from './protocol/inspection.js';
export type { BsonId, LockKeyPart } from './protocol/key.js';
export { type Closeable, type ShutdownOptions, shutdownOnSignal } from './shutdown.js';
