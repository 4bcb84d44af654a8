/**
 * What is wrong with a connection string that the driver does not accept, without a piece of it: which part, and by its
 * place. The driver's own message repeats the part, which may be a password, or be taken for a host by mistake. Names
 * of options are shown only where they are the driver's own. Pure; `connect.ts` calls it after the driver has refused.
 */
import { ipVersionOf } from '../base/address.js';

/** Whether the driver accepts a string, which is ours. */
export type Accepts = (uri: string) => boolean;

/** As the driver takes a string apart: what is before the first `@` is an account, whatever it looks like. */
const PARTS =
  /^(?<scheme>mongodb(?:\+srv)?:\/\/)(?:(?<user>[^:@]*)(?::(?<password>[^@]*))?@)?(?<hosts>[^/?@]*)(?<rest>.*)$/s;
/** They end a user name or a password, unless they are percent-encoded. */
const ENDING = /[:/?#[\]@]/;
const ENCODE = 'write the characters : / ? # [ ] @ % in it percent-encoded, such as "%40" for "@".';
const PORT_MAX = 65_535;
/** A name in the DNS, in any script. */
const HOST_NAME = /^[\p{L}\p{M}\p{N}._-]+$/u;

/** Options that a connection string may have, as the driver and the documentation of MongoDB spell them. */
const OPTION_NAMES: readonly string[] = [
  ...['appName', 'authMechanism', 'authMechanismProperties', 'authSource', 'compressors', 'connectTimeoutMS'],
  ...['directConnection', 'family', 'heartbeatFrequencyMS', 'journal', 'loadBalanced', 'localThresholdMS'],
  ...['maxConnecting', 'maxIdleTimeMS', 'maxPoolSize', 'maxStalenessSeconds', 'minPoolSize', 'monitorCommands'],
  ...['noDelay', 'proxyHost', 'proxyPassword', 'proxyPort', 'proxyUsername', 'readConcernLevel', 'readPreference'],
  ...['readPreferenceTags', 'replicaSet', 'retryReads', 'retryWrites', 'serverMonitoringMode'],
  ...['serverSelectionTimeoutMS', 'socketTimeoutMS', 'srvMaxHosts', 'srvServiceName', 'ssl', 'timeoutMS', 'tls'],
  ...['tlsAllowInvalidCertificates', 'tlsAllowInvalidHostnames', 'tlsCAFile', 'tlsCRLFile', 'tlsCertificateKeyFile'],
  ...['tlsCertificateKeyFilePassword', 'tlsInsecure', 'w', 'waitQueueTimeoutMS', 'wtimeoutMS', 'zlibCompressionLevel'],
];

/** One sentence for each problem; at least one. */
export function connectionStringProblems(uri: string, accepts: Accepts): string[] {
  const { scheme, user, password, hosts = '', rest = '' } = PARTS.exec(uri)?.groups ?? {};
  if (scheme === undefined) return ['It must start with "mongodb://" or "mongodb+srv://".'];
  const hasAccount = user !== undefined;
  const isSrv = scheme.includes('srv');
  const problems = [
    ...(hasAccount ? accountProblems({ user, password, rest }) : []),
    ...hostsProblems({ hosts: hosts.split(','), isSrv, hasAccount, rest }),
    ...restProblems(rest, { isSrv, accepts }),
  ];
  return problems.length > 0 ? problems : [together(rest)];
}

/** The same for one that the driver accepts: drivers before 7 take what follows the first of two "@" for the host. */
export function acceptedStringProblems(uri: string): string[] {
  return secondAtProblems(PARTS.exec(uri)?.groups?.rest ?? '');
}

/** Whether it can be a host; what the driver takes for one may be a piece of a password, and fails late or never. */
export function isHostName(name: string): boolean {
  return HOST_NAME.test(name) || ipVersionOf(name) === 6;
}

function accountProblems({
  user,
  password,
  rest,
}: {
  user: string;
  password: string | undefined;
  rest: string;
}): string[] {
  const problems: string[] = [];
  if (user === '') problems.push('There is no user name before the "@".');
  if (ENDING.test(user) || !isEncoded(user)) {
    problems.push(`The user name, or what stands before the first "@", is not percent-encoded: ${ENCODE}`);
  }
  if (password !== undefined && (ENDING.test(password) || !isEncoded(password))) {
    problems.push(`The password is not percent-encoded: ${ENCODE}`);
  }
  return [...problems, ...secondAtProblems(rest)];
}

function secondAtProblems(rest: string): string[] {
  const hasSecond = /^[^/?]*@/.test(rest);
  return hasSecond ? ['There is more than one "@": write "%40" in the user name and the password.'] : [];
}

interface Hosts {
  readonly hosts: readonly string[];
  readonly isSrv: boolean;
  readonly hasAccount: boolean;
  readonly rest: string;
}

function hostsProblems({ hosts, isSrv, hasAccount, rest }: Hosts): string[] {
  if (hosts.length === 1 && hosts[0] === '') {
    const socket = rest.includes('.sock') ? ' In the path of a Unix socket, write "%2F" for each "/".' : '';
    return [`There is no host${hasAccount ? ' after the "@"' : ''}.${socket}`];
  }
  if (isSrv && hosts.length > 1) return ['With "mongodb+srv://" there is one host; here are several.'];
  return hosts.flatMap((host, index) => {
    const problem = isSrv && host.includes(':') ? 'must have no port with "mongodb+srv://".' : hostProblem(host);
    if (problem === null) return [];
    const forgotten = hasAccount || !host.includes(':') ? '' : FORGOTTEN;
    return [`Host ${index + 1} ${problem}${forgotten}`];
  });
}

const FORGOTTEN = ' If that is a user name and a password, "@" and the host are missing after them.';

function hostProblem(host: string): string | null {
  if (host.endsWith('.sock'))
    return isEncoded(host) ? null : 'is the path of a socket with a "%" that encodes nothing.';
  const [, name = '', port] = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/s.exec(host) ?? [];
  if (port !== undefined && !(/^\d{1,5}$/.test(port) && Number(port) > 0 && Number(port) <= PORT_MAX)) {
    return `has a port that is not a number from 1 to ${PORT_MAX}.`;
  }
  const isName = name.startsWith('[')
    ? ipVersionOf(name.slice(1, -1)) === 6
    : isEncoded(name) && isHostName(decodeURIComponent(name));
  return isName ? null : 'is not the name or the address of a host.';
}

function restProblems(rest: string, { isSrv, accepts }: { isSrv: boolean; accepts: Accepts }): string[] {
  const [path = ''] = /^[^?#]*/.exec(rest) ?? [];
  const problems = isEncoded(path) ? [] : ['The name of the database has a "%" that encodes nothing: write "%25".'];
  const options = optionsOf(rest);
  const counts = new Map<string, number>();
  options.forEach(([name, value], index) => {
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    const called = calledOption(name, index);
    if (value === '') problems.push(`${called} has no value.`);
    else if (count === 2 && !/readPreferenceTags/i.test(name)) problems.push(`${called} is there more than once.`);
    else if (!isAlone([name, value], { isSrv, accepts })) problems.push(`${called} ${refusal(name)}.`);
  });
  if (problems.length > 0 && rest.includes('@')) {
    problems.push('There is an "@" behind the hosts: if a user name or a password has it, write "%40" there.');
  }
  return problems;
}

function optionsOf(rest: string): [string, string][] {
  const [, query = ''] = /^[^?#]*\?([^#]*)/.exec(rest) ?? [];
  return [...new URLSearchParams(query)];
}

/** By its name where that is one of the driver's. */
function calledOption(name: string, index: number): string {
  const known = knownName(name);
  return known === undefined ? `Option ${index + 1}` : `The option "${known}"`;
}

function refusal(name: string): string {
  return knownName(name) === undefined
    ? 'is none that a connection string may have, or has a value that the driver does not accept'
    : 'has a value that the driver does not accept';
}

function knownName(name: string): string | undefined {
  return OPTION_NAMES.find((known) => known.toLowerCase() === name.toLowerCase());
}

/** Whether the driver accepts an option in a string that has nothing else, with an account or without one. */
function isAlone(
  [name, value]: readonly [string, string],
  { isSrv, accepts }: { isSrv: boolean; accepts: Accepts },
): boolean {
  const query = new URLSearchParams([[name, value]]);
  const [scheme, host] = isSrv ? ['mongodb+srv', 'db.host.example'] : ['mongodb', 'localhost'];
  return ['', 'user:password@'].some((account) => accepts(`${scheme}://${account}${host}/?${query}`));
}

/** Each part would do alone. */
function together(rest: string): string {
  const names = optionsOf(rest).flatMap(([name]) => knownName(name) ?? []);
  const listed = names.length > 0 ? `: ${[...new Set(names)].map((name) => `"${name}"`).join(', ')}` : '';
  return `Its options do not go together, or not with its user name, its password and its hosts${listed}.`;
}

function isEncoded(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}
