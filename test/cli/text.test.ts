/**
 * The command line's words: text of strangers that cannot act on a terminal, passwords that are not printed, durations, widths, words for a shell.
 * Nothing here starts a process but the shell that is asked whether it understands a word.
 */
import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatDuration, parseDuration } from '../../packages/cli/src/duration.js';
import {
  clip,
  escapeMessage,
  escapeText,
  safeJson,
  shellWord,
  textWidth,
  withoutCredentials,
} from '../../packages/cli/src/text.js';

/** What a terminal would act upon, or a reader not see. */
const UNSAFE = /[\p{C}\p{Zl}\p{Zp}]/u;
const anyText = fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)) });

describe('text of strangers', () => {
  test('has nothing left that a terminal would act upon, in lines and in JSON, and JSON parses to what it was', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(escapeText(text)).not.toMatch(UNSAFE);
        expect(escapeMessage(text).replaceAll('\n', '')).not.toMatch(UNSAFE);
        expect(safeJson({ [text]: [text] })).not.toMatch(UNSAFE);
        expect(JSON.parse(safeJson({ [text]: [text] }))).toEqual({ [text]: [text] });
      }),
    );
    for (const text of ['\u{e0041}', '\u{10ffff}', '\ud800', '\u2028', '\u00ad', '\u061c'])
      expect([escapeText(text), JSON.parse(safeJson(text))]).toEqual([expect.stringMatching(/^\\u/), text]);
  });

  test('stays different where it was different', () => {
    fc.assert(
      fc.property(anyText, anyText, (a, b) => {
        expect(escapeText(a) === escapeText(b)).toBe(a === b);
      }),
    );
    expect(escapeText('\\n')).not.toBe(escapeText('\n'));
  });

  test('is left as it is where it is harmless', () => {
    for (const text of ['account/42', 'Zürich', '予約', 'שלום', '🔒', "it's", '100 %']) {
      expect([escapeText(text), escapeMessage(text), safeJson(text)]).toEqual([text, text, `"${text}"`]);
    }
  });

  test('is cut by cells and not by characters, never longer than asked', () => {
    expect([textWidth('abc'), textWidth('予約'), textWidth('é'), textWidth('\u001b[1mabc\u001b[22m')]).toEqual([
      3, 4, 1, 3,
    ]);
    expect(clip('予約済み', 5)).toBe('予約…');
    expect(clip('\u001b[1mabcdef\u001b[22m', 4)).toBe('\u001b[1mabc\u001b[22m…');
    fc.assert(
      fc.property(anyText.map(escapeText), fc.integer({ min: 1, max: 40 }), (text, cellsCount) => {
        const cut = clip(text, cellsCount);
        expect(textWidth(cut)).toBeLessThanOrEqual(cellsCount);
        if (textWidth(text) <= cellsCount) expect(cut).toBe(text);
      }),
    );
  });

  test('is a word that a shell gives back as it was', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (text) => {
        const word = shellWord(text);
        expect(word).not.toMatch(UNSAFE);
        expect(
          execFileSync('bash', ['--norc', '-c', `printf %s ${word}`], { encoding: 'utf8', env: { LC_ALL: 'C.UTF-8' } }),
        ).toBe(text);
      }),
      {
        numRuns: 50,
        examples: [["it's"], ['a\nb'], ['\u001b[31m\\'], ["\u0007'\\n"], ['$(reboot)'], ['-n'], ['\u{e0041}']],
      },
    );
  });
});

describe('passwords', () => {
  test.each([
    ['mongodb://user:secret@host/db?x=1', 'mongodb://***@host/db?x=1'],
    [
      'at mongodb+srv://user:secret@host, twice: mongodb://a:secret@b',
      'at mongodb+srv://***@host, twice: mongodb://***@b',
    ],
    ['mongodb://user:sec@ret@host/db', 'mongodb://***@host/db'],
    ['mongodb://user:secret@[::1]:27017,b/db', 'mongodb://***@[::1]:27017,b/db'],
    ['mongodb://host/db', 'mongodb://host/db'],
    ['"mongodb://a:27017,b,c:1/db?replicaSet=rs0"', '"mongodb://a:27017,b,c:1/db?replicaSet=rs0"'],
    ['mongodb://admin:secret/db and more', 'mongodb://*** and more'],
    ['mongodb://user@host:secret', 'mongodb://***'],
    ['mongodb://user:a@b/secret@host', 'mongodb://***'],
    [
      "'mongodb://h/?authMechanismProperties=AWS_SESSION_TOKEN:secret&w=1&proxyPassword=secret'",
      "'mongodb://h/?authMechanismProperties=***&w=1&proxyPassword=***'",
    ],
  ])('are taken out of %s', (text, without) => {
    expect(withoutCredentials(text)).toBe(without);
  });
});

describe('durations', () => {
  test.each([
    ['500ms', 500],
    ['30s', 30_000],
    ['30', 30_000],
    ['0', 0],
    ['1.5m', 90_000],
    ['2h', 7_200_000],
    ['1d', 86_400_000],
    ['.5s', 500],
  ])('%s is %d ms', (text, durationMS) => {
    expect(parseDuration('--timeout', text)).toBe(durationMS);
  });

  test.each(['', '-1', '1 s', '1w', 's', '1e3', '30d', 'Infinity', '1.s'])(
    '"%s" is none, and the option is named',
    (text) => {
      expect(() => parseDuration('--timeout', text)).toThrow(/^--timeout must be a duration/);
    },
  );

  test.each([
    [0, '0ms'],
    [999, '999ms'],
    [1_000, '1.0s'],
    [9_949, '9.9s'],
    [9_950, '10s'],
    [59_400, '59s'],
    [59_600, '1m 0s'],
    [3_599_999, '1h 0m'],
    [90_061_000, '1d 1h'],
    [-5, '0ms'],
  ])('%d ms are told as %s', (durationMS, text) => {
    expect(formatDuration(durationMS)).toBe(text);
  });
});
