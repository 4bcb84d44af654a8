/**
 * Where messages go that no caller is waiting for: the logger a user may give, and the form of it that the library
 * calls without a care.
 */
import { callSafely } from './safely.js';

/** Where messages go. A method that throws, or whose promise rejects, harms nothing. */
export interface Logger {
  /** Something failed that no caller is told of, such as a release. `details` is mostly an error. */
  error(message: string, ...details: unknown[]): unknown;
  /** Something is not as it should be, and is being dealt with. */
  warn?(message: string, ...details: unknown[]): unknown;
  /** What the library does, for finding a fault. */
  debug?(message: string, ...details: unknown[]): unknown;
}

/** A logger that has all methods and never throws. */
export interface SafeLogger {
  error(message: string, ...details: unknown[]): void;
  warn(message: string, ...details: unknown[]): void;
  debug(message: string, ...details: unknown[]): void;
}

/** What is used where no logger is given: errors to `console.error`, the rest nowhere. */
export const consoleLogger: Logger = {
  error: (message, ...details) => console.error(message, ...details),
};

/** Wraps a logger. A logger that fails has nowhere else to say so. */
export function safeLogger(logger: Logger): SafeLogger {
  const ignore = (): void => {};
  return {
    error: (...message) => callSafely(() => logger.error(...message), ignore),
    warn: (...message) => callSafely(() => logger.warn?.(...message), ignore),
    debug: (...message) => callSafely(() => logger.debug?.(...message), ignore),
  };
}
