/**
 * Malformed and odd connection strings with a marked secret in any part, and the search for the mark in whatever comes
 * out. Made for the tests that no message holds a secret. What a string leads to is said there.
 */
import { inspect } from 'node:util';
import fc from 'fast-check';

/** In every form that it is written in, this is found. Nothing else that is printed contains it. */
const WORD = 'zq7hunter';
/** A password of digits is a valid port, and a valid IPv4 address. */
const DIGITS = '29173';
/** Not as a part of a longer number: measured times are among what is searched, and have it by chance. */
const DIGITS_ALONE = /(?<!\d|\d\.)29173(?!\d)/;
const DIGITS_AS_ADDRESS = '0.0.113.245';

/** What a connection string forgives, forbids, decodes, folds or strips. */
const ODD = [
  ...['', '', '', '@', ':', '/', '?', '#', '[', ']', '%', '%zz', '%2F', '%40', '%0A', '%00', ' ', '\t', '\n', ','],
  ...[
    '+',
    '&',
    '=',
    '\\',
    '"',
    "'",
    '<',
    '|',
    '^',
    '..',
    'ü',
    '\u{1f512}',
    '\0',
    '\u202e',
    '://',
    'mongodb://',
    '${',
    '*',
  ],
] as const;

const everyByte = [...WORD].map((letter) => `%${letter.charCodeAt(0).toString(16)}`).join('');
const word = fc.constantFrom(WORD, WORD, WORD.toUpperCase(), `%7A${WORD.slice(1)}`, everyByte, `a.${WORD}.example`);
const odd = fc.constantFrom(...ODD);

/** A secret as people choose them. */
const secret: fc.Arbitrary<string> = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(odd, word, odd).map((parts) => parts.join('')) },
  { weight: 1, arbitrary: fc.constant(DIGITS) },
);

function either(plain: fc.Arbitrary<string>, weight = 2): fc.Arbitrary<string> {
  return fc.oneof({ weight: 3, arbitrary: plain }, { weight, arbitrary: secret });
}

const scheme = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom('mongodb://', 'mongodb://', 'mongodb+srv://') },
  { weight: 1, arbitrary: fc.constantFrom('MongoDB://', 'mongodb:/', 'mongo://', ' mongodb://', 'mongodb:///') },
);

const user = either(fc.constantFrom('admin', 'first.last', 'me%40example.com'), 1);
const account = fc.oneof(
  fc.constant(''),
  fc.tuple(user, secret).map(([name, password]) => `${name}:${password}`),
  fc.constantFrom(':', '').chain((before) => secret.map((text) => `${before}${text}`)),
);
/** Mostly there: what is after a forgotten one is taken for something else. */
const at = fc.constantFrom('@', '@', '@', '@', '', '@@', '%40', ':@');

// Nothing listens on port 1, and nothing is looked up: the tests answer for the DNS.
const hostName = either(fc.constantFrom('127.0.0.1:1', 'localhost:1', '[::1]:1', 'db.example', 'mongo', '[fe80::1%25'));
const host = fc.oneof(
  { weight: 4, arbitrary: hostName },
  {
    weight: 2,
    arbitrary: fc.tuple(hostName, either(fc.constantFrom('27017', '0', '99999', '-1', ''))).map(joined(':')),
  },
  // A password of digits in the place of the port, behind what is certain to be a host.
  {
    weight: 1,
    arbitrary: fc.constantFrom('127.0.0.1', 'localhost', '[::1]').map((name) => `${name}:${DIGITS}`),
  },
  { weight: 1, arbitrary: secret.map((text) => `%2Ftmp%2F${encodeURIComponent(text)}.sock`) },
  { weight: 1, arbitrary: secret.map((text) => `/tmp/${text}.sock`) },
  { weight: 1, arbitrary: fc.constant('') },
);
const hosts = fc.array(host, { minLength: 1, maxLength: 3 }).map((names) => names.join(','));

const database = fc.oneof(
  { weight: 2, arbitrary: fc.constantFrom('', '/', '/app') },
  { weight: 1, arbitrary: secret.map((text) => `/${text}`) },
);

/** Those whose values are repeated, decoded, read as files or looked up, by the driver or by Node. */
const OPTION_NAMES = [
  ...['authMechanism', 'authMechanismProperties', 'authSource', 'appName', 'compressors', 'connectTimeoutMS', 'dbName'],
  ...['directConnection', 'driverInfo', 'family', 'j', 'loadBalanced', 'lookup', 'maxPoolSize', 'maxStalenessSeconds'],
  ...[
    'minDHSize',
    'pkFactory',
    'proxyHost',
    'proxyPassword',
    'proxyPort',
    'proxyUsername',
    'readConcern',
    'servername',
  ],
  ...['readConcernLevel', 'readPreference', 'readPreferenceTags', 'replicaSet', 'serverApi', 'serverMonitoringMode'],
  ...[
    'srvMaxHosts',
    'srvServiceName',
    'ssl',
    'timeoutMS',
    'tls',
    'tlsCAFile',
    'tlsCertificateKeyFile',
    'w',
    'wtimeout',
  ],
  ...[
    'tlsCertificateKeyFilePassword',
    'tlsInsecure',
    'writeConcern',
    'zlibCompressionLevel',
    'localAddress',
    'ecdhCurve',
  ],
] as const;
const optionValue = fc.oneof(
  { weight: 3, arbitrary: secret },
  { weight: 1, arbitrary: secret.map((text) => `AWS_SESSION_TOKEN:${text}`) },
  { weight: 1, arbitrary: secret.map((text) => `ENVIRONMENT:${text},TOKEN_RESOURCE:${text}`) },
  { weight: 2, arbitrary: fc.constantFrom('true', 'MONGODB-AWS', 'MONGODB-OIDC', 'GSSAPI', 'PLAIN', '1', 'none', '') },
);
const option = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(fc.constantFrom(...OPTION_NAMES), optionValue).map(joined('=')) },
  { weight: 1, arbitrary: fc.tuple(secret, optionValue).map(joined('=')) },
  { weight: 1, arbitrary: secret },
);
const query = fc
  .tuple(fc.constantFrom('?', '/?'), fc.array(option, { maxLength: 3 }), fc.constantFrom('', `#${WORD}`))
  .map(([mark, options, fragment]) => `${mark}${[...options, 'serverSelectionTimeoutMS=15'].join('&')}${fragment}`);

/** Connection strings with the mark in any of their parts, or in several. */
export const oddConnectionString: fc.Arbitrary<string> = fc
  .tuple(scheme, account, at, hosts, database, fc.oneof({ weight: 3, arbitrary: query }, fc.constant('')))
  .map((parts) => parts.join(''))
  .filter((uri) => findMark(uri) !== null);

/** The form in which a text has the mark; null: it has it in none. */
export function findMark(text: string): string | null {
  const forms = [text, withoutPercents(text), withoutEscapes(text)].map((form) => form.toLowerCase());
  if (forms.some((form) => DIGITS_ALONE.test(form))) return DIGITS;
  const marks = [WORD, DIGITS_AS_ADDRESS, everyByte, ...base64Forms()];
  return marks.find((mark) => forms.some((form) => form.includes(mark.toLowerCase()))) ?? null;
}

/** Everything there is of a value: what prints it, its own properties whatever they are called, and what those hold. */
export function everythingOf(value: unknown): string {
  const parts: string[] = [];
  const seen = new Set<unknown>();
  const look = (at: unknown): void => {
    if ((typeof at !== 'object' && typeof at !== 'function') || at === null) {
      parts.push(String(at));
      return;
    }
    if (seen.has(at)) return;
    seen.add(at);
    if (at instanceof Map) for (const entry of at) entry.forEach(look);
    if (at instanceof Set) at.forEach(look);
    for (const key of Reflect.ownKeys(at)) {
      parts.push(String(key));
      const property = Reflect.getOwnPropertyDescriptor(at, key);
      look(property !== undefined && 'value' in property ? property.value : attempt(() => Reflect.get(at, key)));
    }
  };
  look(value);
  const printed = inspect(value, { depth: 20, showHidden: true, maxStringLength: null, maxArrayLength: null });
  return [attempt(() => String(value)), printed, attempt(() => JSON.stringify(value)), ...parts].join('\n');
}

function attempt(read: () => unknown): unknown {
  try {
    return read();
  } catch {
    return '';
  }
}

function joined(mark: string): (parts: readonly string[]) => string {
  return (parts) => parts.join(mark);
}

function withoutPercents(text: string): string {
  return text.replaceAll(/%[\da-f]{2}/gi, (code) => String.fromCharCode(Number.parseInt(code.slice(1), 16)));
}

/** What a URL or an inspection would print of control characters in between is no cover. */
function withoutEscapes(text: string): string {
  return text.replaceAll(/\\u[\da-f]{4}|\\[ntr\\]|[^\x21-\x7e]/gi, '');
}

/** As it stands at each of the three places within base64. */
function base64Forms(): string[] {
  return [0, 1, 2].map((before) => {
    const text = Buffer.from(`${'\0'.repeat(before)}${WORD}`).toString('base64');
    return text.slice(before === 0 ? 0 : 4, -4);
  });
}
