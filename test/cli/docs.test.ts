/**
 * docs/cli.md against the program: its tables of options and exit codes are what the program itself knows, and every command has a section. A table
 * that is stale is printed as it should be; `UPDATE_DOCS=1` writes it.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { EXIT_CODES } from '../../packages/cli/src/exit-codes.js';
import { createProgram } from '../../packages/cli/src/program.js';
import { Signals } from '../../packages/cli/src/signals.js';
import { processTerminal } from '../../packages/cli/src/terminal.js';
import { ROOT } from '../../tools/command.mjs';

type Command = ReturnType<typeof createProgram>;

const PAGE = join(ROOT, 'docs/cli.md');

function program(): Command {
  const silent = Object.assign(Object.create(process), { on: () => silent });
  return createProgram({ args: [], terminal: processTerminal(), signals: new Signals(silent), exitCode: 0 });
}

const cell = (text: string): string => text.replaceAll('|', '\\|');

/** A command's own options; those of the connection are told once, with the program. */
function optionsTable(command: Command, shared: ReadonlySet<string>): string {
  const own = command.options.filter(({ flags }) => !shared.has(flags));
  const rows = own.map(({ flags, description }) => `| \`${cell(flags)}\` | ${cell(description)} |`);
  return rows.length === 0
    ? 'No options but those of the connection.'
    : ['| Option | |', '|---|---|', ...rows].join('\n');
}

/** Every generated block of the page, by the text that opens it. */
function blocks(): Map<string, string> {
  const root = program();
  const shared = new Set(root.options.map(({ flags }) => flags));
  const codes = EXIT_CODES.map(({ code, when }) => `| ${code} | ${cell(when)} |`);
  return new Map([
    ['options of dlocks', optionsTable(root, new Set())],
    ...root.commands.map((each): [string, string] => [`options of dlocks ${each.name()}`, optionsTable(each, shared)]),
    ['exit codes', ['| Code | When |', '|---|---|', ...codes].join('\n')],
  ]);
}

describe('docs/cli.md', () => {
  test.each([...blocks()])('has the %s as the program has them', async (name, table) => {
    const page = await readFile(PAGE, 'utf8');
    const [, before = '', found = ''] = new RegExp(`([^]*<!-- ${name} -->\n)([^]*?)<!-- end -->`).exec(page) ?? [];
    expect(before).not.toBe('');
    const wanted = `\n${table}\n\n`;
    if (process.env.UPDATE_DOCS) await writeFile(PAGE, `${before}${wanted}${page.slice(before.length + found.length)}`);
    else expect(found).toBe(wanted);
  });

  test('has a section for each command, and none for what is none', async () => {
    const page = await readFile(PAGE, 'utf8');
    const sections = [...page.matchAll(/^## `dlocks (\w+)/gm)].map(([, name]) => name);
    expect(sections.sort()).toEqual(
      program()
        .commands.map((each) => each.name())
        .sort(),
    );
  });

  test('names exit codes that are all different, and above those of signals where they are its own', () => {
    const codes = EXIT_CODES.map(({ code }) => code);
    expect(new Set(codes).size).toBe(codes.length);
    expect(codes.filter((code) => code > 127).every((code) => code > 128 + 64 && code < 255)).toBe(true);
  });
});
