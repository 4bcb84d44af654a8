/** The errors: one class for each code, with the facts to act on. */

import { describe, expect, it } from 'vitest';
import * as errors from '#core/errors.js';

const facts = { cause: new Error('why'), resource: 'r', id: 0 };

const TABLE: readonly [errors.LockError, errors.LockErrorCode, boolean][] = [
  [new errors.LockTimeoutError('m', { ...facts, waitedMS: 5 }), 'LOCK_TIMEOUT', true],
  [new errors.LockLostError('m', facts), 'LOCK_LOST', false],
  [new errors.LockClosedError('m', facts), 'LOCK_CLOSED', false],
  [new errors.LockNotConfiguredError('m', facts), 'LOCK_NOT_CONFIGURED', false],
  [new errors.LockInvalidOptionError(['m'], facts), 'LOCK_INVALID_OPTION', false],
  [new errors.LockInvalidArgumentError('m', { ...facts, argument: 'id' }), 'LOCK_INVALID_ARGUMENT', false],
  [new errors.LockUnsupportedTopologyError('m', facts), 'LOCK_UNSUPPORTED_TOPOLOGY', false],
  [new errors.LockMissingPrivilegesError('m', facts), 'LOCK_MISSING_PRIVILEGES', false],
  [new errors.LockNewerVersionError('m', facts), 'LOCK_NEWER_VERSION', false],
  [new errors.LockOutcomeUnknownError('m', facts), 'LOCK_OUTCOME_UNKNOWN', true],
  [new errors.LockLimitError('m', facts), 'LOCK_LIMIT', true],
  [new errors.LockUnavailableError('m', facts), 'LOCK_UNAVAILABLE', true],
];

describe('the errors', () => {
  it.each(TABLE)('%s', (error, code, retryable) => {
    expect(error).toBeInstanceOf(errors.LockError);
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ code, retryable, message: 'm', ...facts });
    expect(error.name).toBe(error.constructor.name);
    expect(`LOCK_${error.name.replace(/^Lock|Error$/g, '').replace(/(?<=[a-z])[A-Z]/g, '_$&')}`.toUpperCase()).toBe(
      code,
    );
  });

  it('are one class for each code, and no class without one', () => {
    const classes = Object.values(errors).filter((value) => typeof value === 'function' && value !== errors.LockError);
    expect(new Set(TABLE.map(([error]) => error.constructor))).toEqual(new Set(classes));
    expect(new Set(TABLE.map(([, code]) => code)).size).toBe(TABLE.length);
  });

  it('leave out what is not known', () => {
    const error = new errors.LockClosedError('m');
    expect('resource' in error || 'id' in error || 'cause' in error).toBe(false);
    expect('holder' in new errors.LockTimeoutError('m', { waitedMS: 1 })).toBe(false);
    expect('result' in new errors.LockLostError('m')).toBe(false);
  });

  it('carry the facts of their own', () => {
    const holder = { session: 's', fencingToken: 7, host: 'h', pid: 1 };
    expect(new errors.LockTimeoutError('m', { waitedMS: 12, holder })).toMatchObject({ waitedMS: 12, holder });
    expect(new errors.LockLostError('m', { fencingToken: 9, result: undefined })).toMatchObject({ fencingToken: 9 });
    expect('result' in new errors.LockLostError('m', { result: undefined })).toBe(true);
    expect(new errors.LockInvalidOptionError(['One.', 'Two.'])).toMatchObject({
      message: 'One. Two.',
      problems: ['One.', 'Two.'],
    });
  });
});
