/**
 * What may be said of a failure of the driver. Its own words may repeat any part of the connection string, and a part
 * may hold a secret: a password behind a forgotten `@`, or the name of a host that is none. So they are never passed
 * on. What is said is made of fixed phrases by the name of the error, of the codes that Node and the driver give, and
 * of the words of the server, which knows no connection string. Pure; `failures.ts` and `connect.ts` call it, and the
 * command line.
 */
import { ipVersionOf } from '../base/address.js';

/** The command took longer than our own limit: the reason of the signal that ends it. */
export class CommandLimitError extends Error {
  override readonly name = 'CommandLimitError';
}

/** Some messages of the server repeat the whole command. */
const SERVER_TEXT_MAX_COUNT = 300;
const CONNECTION_STRINGS = /mongodb(\+srv)?:\/\/[^\s"']*/gi;
/** How many hosts are listed; a replica set has at most 50 members. */
const HOSTS_MAX_COUNT = 10;
/** How far causes are followed for a code. */
const CAUSES_MAX_COUNT = 8;
/** Codes of Node, of OpenSSL and of the system, and what Node calls the operation; anything else is not repeated. */
const CODE = /^[A-Z][A-Z0-9_]{1,63}$/;
const OPERATION = /^[a-zA-Z]{1,20}$/;
const NAME = /^[A-Z]\w{0,63}$/;
const CODE_NAME = /^\w{1,64}$/;

/** Errors that hold what the server answered, and nothing of the driver. */
const SERVER_NAMES: ReadonlySet<string> = new Set(['MongoServerError', 'MongoWriteConcernError']);

/** What the driver's errors mean, by their names; mongoose has some of the same by names of its own. */
const PHRASES: Readonly<Record<string, string>> = {
  MongoServerError: 'the server refused the command',
  MongoWriteConcernError: 'the write was not confirmed',
  MongoServerSelectionError: 'no suitable server was found in time',
  MongoNetworkError: 'the connection failed',
  MongoNetworkTimeoutError: 'the server did not answer in time',
  MongoPoolClearedError: 'the connections were dropped after one of them failed',
  MongoPoolClearedOnNetworkError: 'the connections were dropped after one of them failed',
  MongoPoolClosedError: 'the connection pool is closed',
  MongoWaitQueueTimeoutError: 'no connection of the pool became free in time',
  MongoServerClosedError: 'the connection to the server was closed',
  MongoTopologyClosedError: 'the MongoClient is closed',
  MongoNotConnectedError: 'the MongoClient is not connected',
  MongoClientClosedError: 'the MongoClient was closed',
  MongoCompatibilityError: 'the driver and the server do not support each other',
  MongoMissingCredentialsError: 'the credentials are not complete',
  MongoMissingDependencyError: 'a package that the driver needs is not installed',
  MongoParseError: 'the driver does not accept an option',
  MongoAPIError: 'the driver refused the call or an option',
  MongoInvalidArgumentError: 'the driver refused a value',
  MongoRuntimeError: 'the driver could not go on',
  MongoUnexpectedServerResponseError: 'the server gave an answer that the driver does not understand',
  MongoAWSError: 'the login by MONGODB-AWS failed in the driver',
  MongoOIDCError: 'the login by MONGODB-OIDC failed in the driver',
  MongoAzureError: 'the login by MONGODB-OIDC failed in the driver',
  MongoGCPError: 'the login by MONGODB-OIDC failed in the driver',
  MongoKerberosError: 'the login by GSSAPI failed in the driver',
  AbortError: 'the command was aborted',
};
const OTHER_PHRASE = 'an unexpected failure';
const FILE_PHRASE = 'a file that an option names cannot be read';

/** Packages that the driver may ask for. */
const DEPENDENCIES: ReadonlySet<unknown> = new Set([
  'kerberos',
  'zstd',
  '@aws-sdk/credential-providers',
  'gcp-metadata',
  'snappy',
  'socks',
  'mongodb-client-encryption',
]);

const SERVER_TYPES: Readonly<Record<string, string>> = {
  Standalone: 'a standalone server',
  Mongos: 'a mongos',
  RSPrimary: 'a primary',
  RSSecondary: 'a secondary',
  RSArbiter: 'an arbiter',
  RSOther: 'a member that is not usable',
  RSGhost: 'a member that is not initiated',
};

/** What is read of an error; each may be missing, or of any kind. */
type Facts = Readonly<Record<string, unknown>>;

const NO_FACTS: Facts = {};

/**
 * Describes a failure of the driver without anything of the connection string in it.
 * @param error What was thrown, of any kind.
 * @param client The MongoClient it came from. By it the hosts that the connection string names are counted, and those
 * that the replica set has named are shown; without it both are `a host`.
 * @returns A phrase without a full stop: what it was, the name of the error, a code, and for each host what is known of
 * it. Of an answer of the server: its own words.
 */
export function describeFailure(error: unknown, client?: unknown): string {
  return orElse(OTHER_PHRASE, () => phraseOf(error, client));
}

/**
 * What goes with an error of ours as its `cause`: name, codes and labels of the driver's error, and our words for it.
 */
export function describedCause(error: unknown, client?: unknown): Error {
  const cause = new Error(describeFailure(error, client));
  const { name, code, codeName, labels } = orElse({ name: 'Error' } as Marks, () => marksOf(error));
  Object.defineProperty(cause, 'name', { value: name, configurable: true, writable: true });
  // The frames of the driver's error begin with its words, and ours say nothing of where it came from.
  Object.defineProperty(cause, 'stack', { value: `${name}: ${cause.message}`, configurable: true, writable: true });
  return Object.assign(
    cause,
    code !== undefined && { code },
    codeName !== undefined && { codeName },
    labels !== undefined && { errorLabels: labels },
  );
}

/** Reads what may throw when it is read: what was thrown may be anything. */
export function orElse<T>(otherwise: T, look: () => T): T {
  try {
    return look();
  } catch {
    return otherwise;
  }
}

interface Marks {
  readonly name: string;
  readonly code?: number | string;
  readonly codeName?: string;
  readonly labels?: readonly string[];
}

function marksOf(error: unknown): Marks {
  const { name, code, codeName, errorLabels } = factsOf(error);
  const labels = Array.isArray(errorLabels) ? errorLabels.filter((label) => matches(CODE_NAME, label)) : [];
  return {
    name: matches(NAME, name) ? name : 'Error',
    ...((typeof code === 'number' || matches(CODE, code)) && { code }),
    ...(matches(CODE_NAME, codeName) && { codeName }),
    ...(labels.length > 0 && { labels }),
  };
}

function phraseOf(error: unknown, client: unknown): string {
  if (error instanceof CommandLimitError) return error.message;
  const { name, reason, dependencyName } = factsOf(error);
  const answered = typeof name === 'string' && SERVER_NAMES.has(name) ? serverText(error) : '';
  if (answered !== '') return answered;
  const known = typeof name === 'string' ? name.replace(/^Mongoose/, 'Mongo') : '';
  const phrase = Object.hasOwn(PHRASES, known) ? PHRASES[known] : undefined;
  const code = systemCodeOf(error);
  const what = phrase ?? (code?.startsWith('open ') === true ? FILE_PHRASE : OTHER_PHRASE);
  const named = matches(NAME, name) ? `${what} (${name})` : what;
  const hosts = known === 'MongoServerSelectionError' ? hostsOf(reason, client) : null;
  const detail = hosts ?? (DEPENDENCIES.has(dependencyName) ? String(dependencyName) : code);
  return detail === null ? named : `${named}: ${detail}`;
}

/** What the server answered. It has seen no connection string, but may repeat what somebody has stored. */
function serverText(error: unknown): string {
  const { message } = factsOf(error);
  const text = String(message ?? '').replaceAll(CONNECTION_STRINGS, '<connection string>');
  return text.length > SERVER_TEXT_MAX_COUNT ? `${text.slice(0, SERVER_TEXT_MAX_COUNT)}…` : text;
}

/** `getaddrinfo ENOTFOUND`: the first code of Node among an error and its causes; null: there is none. */
function systemCodeOf(error: unknown): string | null {
  let at = error;
  for (let count = 0; count < CAUSES_MAX_COUNT; count += 1) {
    const { code, syscall, cause, errors } = factsOf(at);
    if (matches(CODE, code)) return matches(OPERATION, syscall) ? `${syscall} ${code}` : code;
    at = cause ?? (Array.isArray(errors) ? errors[0] : undefined);
  }
  return null;
}

/** What the driver knows of each host it has tried; null: it does not say. */
function hostsOf(topology: unknown, client: unknown): string | null {
  const { servers } = factsOf(topology);
  if (!(servers instanceof Map)) return null;
  if (servers.size === 0) return 'no host is a member of the replica set that the connection string names';
  const nameOf = hostNames(client);
  const states = [...servers].slice(0, HOSTS_MAX_COUNT).map(([address, server]) => {
    return `${nameOf(String(address))}: ${stateOf(server)}`;
  });
  return [...states, ...(servers.size > HOSTS_MAX_COUNT ? ['…'] : [])].join('; ');
}

function stateOf(server: unknown): string {
  const { type, error } = factsOf(server);
  if (typeof type === 'string' && Object.hasOwn(SERVER_TYPES, type)) return SERVER_TYPES[type] ?? '';
  if (typeof error !== 'object' || error === null) return 'no answer yet';
  return systemCodeOf(error) ?? phraseOf(error, undefined);
}

/**
 * How a host is called. One that the connection string names is called by its place there, because a string whose `@`
 * was forgotten or misplaced has a user name or a password in that place; addresses and `localhost` are neither, and go
 * with it. Those that the replica set or the DNS has named are hosts for certain.
 */
function hostNames(client: unknown): (address: string) => string {
  const { hosts, srvHost } = factsOf(factsOf(client).options);
  const named = Array.isArray(hosts) && typeof srvHost !== 'string' ? hosts.map(String) : [];
  return (address) => {
    const place = named.indexOf(address);
    if (place === -1 && Array.isArray(hosts)) return address;
    const called = place === -1 ? 'a host' : `host ${place + 1} of the connection string`;
    const literal = literalOf(address);
    return literal === null ? called : `${called} (${literal})`;
  };
}

/** An IP address or `localhost`, without its port, which may be a password of digits; null: it is neither. */
function literalOf(address: string): string | null {
  const [, bracketed, plain] = /^(?:\[([\da-f:.]+)\]|([^:]+)):\d+$/.exec(address) ?? [];
  if (ipVersionOf(bracketed ?? '') === 6) return bracketed ?? null;
  return ipVersionOf(plain ?? '') === 4 || plain === 'localhost' ? (plain ?? null) : null;
}

function factsOf(value: unknown): Facts {
  return typeof value === 'object' && value !== null ? (value as Facts) : NO_FACTS;
}

function matches(pattern: RegExp, value: unknown): value is string {
  return typeof value === 'string' && pattern.test(value);
}
