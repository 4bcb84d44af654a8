/** The arguments of the calls: what is refused, by which name, and that nothing is sent then. */

import { describe, expect, it } from 'vitest';
import { checkExec, checkLock, checkTryLock } from '#core/arguments.js';
import { LockInvalidArgumentError } from '#core/errors.js';

const pair = { resource: 'r', id: 1 };
const fn = (): number => 1;

function refusedArgument(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    if (error instanceof LockInvalidArgumentError) return error.argument;
    throw error;
  }
  return 'accepted';
}

describe('the arguments of lock', () => {
  it('become a request, with the own values of the caller and no time limit', () => {
    expect(checkLock(pair)).toEqual({ key: 'lock:r/1', resource: 'r', id: 1, timeoutMS: Number.POSITIVE_INFINITY });
  });

  it('keep what is given', () => {
    const { signal } = new AbortController();
    const given = { ...pair, timeoutMS: 5, signal, label: 'job 7' };
    expect(checkLock(given)).toEqual({ key: 'lock:r/1', ...given });
  });

  it('take undefined for not given', () => {
    const given = { ...pair, timeoutMS: undefined, signal: undefined, label: undefined, fn: undefined };
    expect(checkLock(given)).toEqual(checkLock(pair));
  });

  it.each([0, 0.5, 2 ** 31, 2 ** 53, Number.MAX_VALUE, Number.POSITIVE_INFINITY])(
    'allow a timeoutMS of %d',
    (timeoutMS) => {
      expect(checkLock({ ...pair, timeoutMS }).timeoutMS).toBe(timeoutMS);
    },
  );

  it.each([-1, -0.001, Number.NaN, Number.NEGATIVE_INFINITY, '5', 5n, null, true, new Date(0)])(
    'refuse a timeoutMS of %s',
    (timeoutMS) => {
      expect(refusedArgument(() => checkLock({ ...pair, timeoutMS }))).toBe('timeoutMS');
    },
  );

  it.each([null, {}, new AbortController(), 'signal', { aborted: false }])('refuse %o for a signal', (signal) => {
    expect(refusedArgument(() => checkLock({ ...pair, signal }))).toBe('signal');
  });

  it('take a signal of another realm, known by its shape', () => {
    const signal = { aborted: false, reason: undefined, addEventListener: () => {}, removeEventListener: () => {} };
    expect(checkLock({ ...pair, signal }).signal).toBe(signal);
  });

  it.each(['', 7, null, '\uD800', 'x'.repeat(257)])('refuse %j for a label', (label) => {
    expect(refusedArgument(() => checkLock({ ...pair, label }))).toBe('label');
  });

  it('name resource and id', () => {
    expect(refusedArgument(() => checkLock({ id: 1 }))).toBe('resource');
    expect(refusedArgument(() => checkLock({ resource: 'r' }))).toBe('id');
    expect(refusedArgument(() => checkLock({ resource: 'r', id: { $gt: '' } }))).toBe('id');
  });

  it.each([undefined, null, 'r', 7])('refuse %s for the whole', (request) => {
    expect(refusedArgument(() => checkLock(request))).toBe('request');
  });

  it('refuse a name there is not, instead of waiting for ever on a misspelt limit', () => {
    expect(refusedArgument(() => checkLock({ ...pair, timeoutMs: 5 }))).toBe('timeoutMs');
    expect(refusedArgument(() => checkLock({ ...pair, fn }))).toBe('fn');
  });
});

describe('the arguments of tryLock', () => {
  it('are those of lock without a wait', () => {
    expect(checkTryLock({ ...pair, label: 'x' })).toMatchObject({ key: 'lock:r/1', label: 'x' });
    expect(refusedArgument(() => checkTryLock({ ...pair, timeoutMS: 5 }))).toBe('timeoutMS');
    expect(refusedArgument(() => checkTryLock({ ...pair, signal: new AbortController().signal }))).toBe('signal');
  });
});

describe('the arguments of exec', () => {
  it('are those of lock and fn', () => {
    expect(checkExec({ ...pair, timeoutMS: 5, fn })).toEqual({ checked: checkLock({ ...pair, timeoutMS: 5 }), fn });
  });

  it.each([undefined, null, {}, 'fn'])('refuse %o for fn', (given) => {
    expect(refusedArgument(() => checkExec({ ...pair, fn: given as never }))).toBe('fn');
  });
});
