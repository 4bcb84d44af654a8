/**
 * Which engine a run uses: the real one, or a copy of its sources with one rule taken out (`mutants.ts`). A copy has
 * error classes of its own, so they come along.
 */
import { Engine } from '#core/engine/engine.js';
import { LockOutcomeUnknownError, LockUnavailableError } from '#core/errors.js';
import type { LinkErrors } from './link.js';

export interface EngineModule {
  readonly Engine: typeof Engine;
  readonly errors: LinkErrors;
}

export const realEngine: EngineModule = {
  Engine,
  errors: {
    unavailable: () => new LockUnavailableError('no primary'),
    outcomeUnknown: () => new LockOutcomeUnknownError('connection lost'),
  },
};
