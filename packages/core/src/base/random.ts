/**
 * Chance: the only file that draws it. The engine gets a `Random` by its constructor, so a simulation can give it one
 * that repeats.
 */
import { nanoid } from 'nanoid';

/** Where ids and spread come from. */
export interface Random {
  /** A new id that no other process has or will have: 21 characters of `A-Z a-z 0-9 _ -`. */
  id(): string;
  /** A number from 0 up to, not including, 1; for spreading timers, never for ids. */
  fraction(): number;
}

// Taken when the module is loaded: a test framework may replace it later.
const { random } = Math;

/** The chance of this machine. */
export const systemRandom: Random = { id: () => nanoid(), fraction: () => random() };
