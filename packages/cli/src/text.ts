/**
 * Text of strangers made fit for a terminal: resource, id, labels, reasons and host names are chosen by callers, and must not move the cursor,
 * recolour, reorder or forge lines. Also where passwords are taken out of what is printed. Everything that is printed passes here.
 */

/** Controls, what is not seen or turns text round, halves of surrogate pairs, characters that nobody knows; line and paragraph separators. */
const UNSAFE = /[\p{C}\p{Zl}\p{Zp}]/gu;

const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\\': '\\\\' };

/** The text with every character escaped that a terminal would act upon, and backslashes doubled, so that it can be told apart. */
export function escapeText(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll(UNSAFE, escaped);
}

/** For messages, whose own backslashes and line ends are ours: only what a terminal would act upon. */
export function escapeMessage(text: string): string {
  return text.replaceAll(UNSAFE, (character) => (character === '\n' ? character : escaped(character)));
}

/** JSON on one line in which nothing is left that a terminal would act upon; it parses to the same value. */
export function safeJson(value: unknown): string {
  return JSON.stringify(value).replaceAll(UNSAFE, (character) => {
    return Array.from({ length: character.length }, (_, index) => unit(character.charCodeAt(index))).join('');
  });
}

/** What a terminal shows over two cells: the common part of East Asian wide characters, and emoji. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\p{Emoji_Presentation}\u{20000}-\u{3fffd}]/u;
// Our own: anybody else's were escaped.
const STYLE = new RegExp(`(${'\\u001b'}\\[[\\d;]*m)`, 'g');

/** How many cells a text takes, colours of ours left out. */
export function textWidth(text: string): number {
  return [...text.replaceAll(STYLE, '')].reduce((width, character) => width + cells(character), 0);
}

/** Cut to a number of cells, with a mark where something is missing. Colours of ours are kept. */
export function clip(text: string, cellsCount: number): string {
  if (textWidth(text) <= cellsCount) return text;
  let left = cellsCount - 1;
  const kept = text.split(STYLE).map((part, index) => {
    // Every other part is a colour.
    if (index % 2 === 1) return part;
    return [...part]
      .filter((character) => {
        left -= cells(character);
        return left >= 0;
      })
      .join('');
  });
  return `${kept.join('')}…`;
}

function cells(character: string): number {
  if (/\p{M}/u.test(character)) return 0;
  return WIDE.test(character) ? 2 : 1;
}

const CONNECTION_STRINGS = /(mongodb(?:\+srv)?:\/\/)([^\s/?#"'<>]*)([^\s"'<>]*)/gi;
/** A port that is none may be a password whose host was forgotten. */
const HOSTS = /^[^:,@]*(:\d+)?(,[^:,@]*(:\d+)?)*$/;
const SECRET_OPTIONS =
  /\b((?:authMechanismProperties|proxyUsername|proxyPassword|tlsCertificateKeyFilePassword)=)[^&#]*/gi;

/**
 * The text without the credentials of any connection string in it. A last net for what others have stored and for what
 * was given on the command line as something else: no message of ours has a connection string in it.
 */
export function withoutCredentials(text: string): string {
  return text.replaceAll(CONNECTION_STRINGS, (_all, scheme: string, authority: string, rest: string) => {
    const hosts = authority.slice(authority.lastIndexOf('@') + 1);
    const shown = authority === hosts ? hosts : `***@${hosts}`;
    if (rest.includes('@') || !(HOSTS.test(hosts) || hosts.startsWith('['))) return `${scheme}***`;
    return `${scheme}${shown}${rest.replaceAll(SECRET_OPTIONS, '$1***')}`;
  });
}

/** A word as it may be pasted into a shell; what is not to be seen in the manner of bash, zsh and ksh. */
export function shellWord(text: string): string {
  if (/^[\w%+,./:=@-]+$/.test(text)) return text;
  if (!hasUnsafe(text)) return `'${text.replaceAll("'", "'\\''")}'`;
  const quoted = text.replaceAll(/['\\]/g, '\\$&').replaceAll(UNSAFE, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return code > 0xffff ? `\\U${code.toString(16).padStart(8, '0')}` : unit(code);
  });
  return `$'${quoted}'`;
}

function hasUnsafe(text: string): boolean {
  return text.search(UNSAFE) !== -1;
}

function escaped(character: string): string {
  return SHORT[character] ?? unit(character.codePointAt(0) ?? 0);
}

function unit(code: number): string {
  return code > 0xffff ? `\\u{${code.toString(16)}}` : `\\u${code.toString(16).padStart(4, '0')}`;
}
