/**
 * Text of strangers made fit for a terminal: resource, id, labels, reasons and host names are chosen by callers, and must not move the cursor,
 * recolour, reorder or forge lines. Also where passwords are taken out of what is printed. Everything that is printed passes here.
 */

/**
 * C0 and C1 controls, DEL, line and paragraph separators, and what reorders or hides text (bidirectional controls, zero-width characters, tags),
 * and halves of surrogate pairs.
 */
const UNSAFE = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\p{Bidi_Control}\u200b-\u200d\u2060-\u2064\ufeff\u{e0000}-\u{e007f}]/gu;

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

/** Cut to a number of characters, with a mark where something is missing. Of escaped text, so no escape is cut in two by a terminal. */
export function clip(text: string, charactersCount: number): string {
  const characters = [...text];
  if (characters.length <= charactersCount) return text;
  return `${characters.slice(0, Math.max(0, charactersCount - 1)).join('')}…`;
}

/** The text without the credentials of any connection string in it. */
export function withoutCredentials(text: string): string {
  return text.replaceAll(/(mongodb(?:\+srv)?:\/\/)[^\s/?#"'<>]*@/gi, '$1***@');
}

/** A word as it may be pasted into a shell. */
export function shellWord(text: string): string {
  if (/^[\w%+,./:=@-]+$/.test(text)) return text;
  if (escapeText(text).replaceAll('\\\\', '\\') !== text) return `$'${escapeText(text).replaceAll("'", "\\'")}'`;
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function escaped(character: string): string {
  return SHORT[character] ?? unit(character.codePointAt(0) ?? 0);
}

function unit(code: number): string {
  return code > 0xffff ? `\\u{${code.toString(16)}}` : `\\u${code.toString(16).padStart(4, '0')}`;
}
