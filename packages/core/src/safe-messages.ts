/**
 * What tools need to speak of a connection of their own without repeating a secret in it: the subpath
 * `mongo-distributed-locks/safe-messages`. SECURITY.md says what is shown. Re-exports only.
 */
export { uriProblems as connectionStringProblems } from './mongo/connect.js';
export { describeFailure } from './mongo/driver-errors.js';
