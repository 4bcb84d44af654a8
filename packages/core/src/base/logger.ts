/**
 * Where messages go that no caller is waiting for: the logger a user may give, and the form of it that the library
 * calls without a care. Two kinds are taken as they are: those that want the message first, as `console` does, and those
 * of pino, which want the facts first and drop what stands behind a message without placeholders.
 */
import { callSafely } from './safely.js';

/**
 * Where messages go: `console`, three functions of that kind, or a logger of pino. The message comes first; but a logger
 * of pino, or of what is made with it, such as fastify's (it has `bindings`), is given one object, with `event`, the
 * error as `err` and the facts of the event beside it, and then the message. A method that throws, or whose promise
 * rejects, harms nothing.
 */
export interface Logger {
  /** Something failed that no caller is told of, such as a release. `details` is mostly an error. */
  error(message: string, ...details: unknown[]): unknown;
  /** Something is not as it should be, and is being dealt with. */
  warn?(message: string, ...details: unknown[]): unknown;
  /** What the library does, for finding a fault. */
  debug?(message: string, ...details: unknown[]): unknown;
}

/** What of pino is called in its own way: the facts first. `bindings` tells it from the others. */
interface PinoLogger {
  error(facts: object, message: string): unknown;
  warn(facts: object, message: string): unknown;
  debug(facts: object, message: string): unknown;
  bindings(): object;
}

/** How much a message matters. */
export type LogLevel = 'error' | 'warn' | 'debug';

/** What an event is logged as. */
export interface LogLine {
  readonly level: LogLevel;
  readonly message: string;
  /** The name of the event, for whoever filters. */
  readonly event: string;
  /** The event itself; an `error` in it comes before the other facts. */
  readonly facts: object;
}

/** A logger that has all methods and never throws. */
export interface SafeLogger {
  error(message: string, ...details: unknown[]): void;
  warn(message: string, ...details: unknown[]): void;
  debug(message: string, ...details: unknown[]): void;
  /** Logs an event, in the order that the logger wants. */
  tell(line: LogLine): void;
}

/** What is used where no logger is given: errors to `console.error`, the rest nowhere. */
export const consoleLogger: Logger = {
  error: (message, ...details) => console.error(message, ...details),
};

type Write = (level: LogLevel, message: string, details: readonly unknown[]) => unknown;

/** Wraps a logger. A logger that fails has nowhere else to say so. */
export function safeLogger(logger: Logger): SafeLogger {
  const isPino = isPinoLogger(logger);
  const write = isPino ? factsFirst(logger) : messageFirst(logger);
  const safely: Write = (level, message, details) => callSafely(() => write(level, message, details), ignore);
  return {
    error: (message, ...details) => void safely('error', message, details),
    warn: (message, ...details) => void safely('warn', message, details),
    debug: (message, ...details) => void safely('debug', message, details),
    tell: ({ level, message, event, facts }) =>
      void safely(level, message, isPino ? [{ event, ...facts }] : detailsOf(facts)),
  };
}

function messageFirst(logger: Logger): Write {
  return (level, message, details) => logger[level]?.(message, ...details);
}

function factsFirst(logger: PinoLogger): Write {
  return (level, message, details) => logger[level](factsOf(details), message);
}

/** Whether a logger wants the facts first. */
function isPinoLogger(logger: object): logger is PinoLogger {
  return typeof (logger as Partial<PinoLogger>).bindings === 'function';
}

/** An error first, as most loggers like it, then the other facts where there are any. */
function detailsOf(event: object): unknown[] {
  if (!('error' in event)) return [event];
  const { error, ...facts } = event;
  return Object.keys(facts).length > 0 ? [error, facts] : [error];
}

/** One object of all details. Its error is called `err`, which is what pino writes with message, stack and causes. */
function factsOf(details: readonly unknown[]): object {
  const facts: Record<string, unknown> = {};
  for (const detail of details) {
    if (isError(detail)) facts.err ??= detail;
    else if (typeof detail === 'object' && detail !== null) Object.assign(facts, detail);
    else facts.detail = detail;
  }
  return withErr(facts);
}

/** The error of an event goes where pino looks for one; what is no error stays where it is. */
function withErr(facts: Record<string, unknown>): object {
  for (const name of ['error', 'cause']) {
    if (!isError(facts[name]) || facts.err !== undefined) continue;
    facts.err = facts[name];
    delete facts[name];
  }
  return facts;
}

/** By its kind, not its class: it may be of another realm. */
function isError(value: unknown): value is Error {
  return value instanceof Error || Object.prototype.toString.call(value) === '[object Error]';
}

function ignore(): void {}
