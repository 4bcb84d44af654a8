/**
 * The commands that the docs name, in shell blocks and in running text: each `npm run`, `npm test`, `npx vitest`, `node <file>` and `dlocks` is one
 * that there is. Programs that are not this repository's are not looked at.
 */
/**
 * @typedef {object} Known
 * @property {readonly string[]} scripts names of the workspace's npm scripts
 * @property {readonly string[]} files tracked files
 * @property {readonly string[]} projects names of the test projects
 * @property {ReadonlyMap<string, string>} dlocks what the command line says to `--help`: of itself under '', of each command under its name
 */

/** @typedef {{ where: string, line: string }} Command */

const OURS = /^(npm (run|test)\b|npx vitest\b|npx dlocks\b|dlocks\b|node (tools|packages|verification|bench|test)\/)/;

/**
 * The commands of these pages: every line of a shell block, and inline code that begins like one.
 * @param {readonly import('./markdown.mjs').Page[]} pages
 * @param {readonly import('./blocks.mjs').Block[]} blocks
 * @returns {Command[]}
 */
export function commandsOf(pages, blocks) {
  const shell = blocks.filter(({ kind }) => kind === 'shell');
  const inBlocks = shell.flatMap(({ page, line, code }) =>
    joined(code)
      .split('\n')
      .map((text, index) => ({ where: `${page}:${line + index}`, line: text })),
  );
  const inText = pages.flatMap(({ name, inlineCode }) =>
    inlineCode
      .filter(({ text }) => OURS.test(text))
      .map(({ line, text }) => ({ where: `${name}:${line}`, line: text })),
  );
  return [...inBlocks, ...inText];
}

/** A line that ends in a backslash goes on in the next. @param {string} code */
const joined = (code) => code.replace(/\\\n/g, ' ');

/**
 * One sentence for each command that does not exist.
 * @param {readonly Command[]} commands
 * @param {Known} known
 */
export function unknownCommands(commands, known) {
  return commands.flatMap(({ where, line }) =>
    partsOf(line).flatMap((words) => {
      const wrong = problemOf(words, known);
      return wrong === undefined ? [] : [`${where} ${words.join(' ')}: ${wrong}`];
    }),
  );
}

/** The single commands of a line, without prompt, comment and variables. @param {string} line */
function partsOf(line) {
  const bare = line.replace(/^\s*[$%] /, '').replace(/(^|\s)#.*$/, '');
  const parts = bare.split(/&&|\|\|?|;/);
  return parts.map(wordsOf).filter((words) => words.length > 0);
}

/** @param {string} part */
function wordsOf(part) {
  const words = part.match(/(?:[^\s'"]|'[^']*'|"[^"]*")+/g) ?? [];
  const first = words.findIndex((word) => !/^\w+=/.test(word));
  return first === -1 ? [] : words.slice(first);
}

/**
 * @param {readonly string[]} words
 * @param {Known} known
 * @returns {string | undefined}
 */
function problemOf([program = '', ...args], known) {
  if (program === 'npx' && args[0] === 'vitest') return vitestProblem(args.slice(1), known);
  if (program === 'npx' && args[0] === 'dlocks') return dlocksProblem(args.slice(1), known);
  if (program === 'npx' && args[0]?.startsWith('-')) return undefined;
  if (program === 'dlocks') return dlocksProblem(args, known);
  if (program === 'npm') return npmProblem(args, known);
  if (program === 'node') return nodeProblem(args, known);
  return undefined;
}

/** @param {readonly string[]} args @param {Known} known */
function npmProblem([first = '', second = ''], { scripts }) {
  const name = first === 'run' ? second : first === 'test' ? 'test' : undefined;
  return name === undefined || scripts.includes(name) ? undefined : 'there is no such script';
}

/** @param {readonly string[]} args @param {Known} known */
function nodeProblem(args, { files }) {
  const file = args
    .find((word) => !word.startsWith('-'))
    ?.replace(/^(packages\/[\w-]+)\/dist\/(.*)\.js$/, '$1/src/$2.ts');
  if (file === undefined || !/^(tools|packages|verification|bench|test)\//.test(file)) return undefined;
  return files.includes(file) ? undefined : 'there is no such file';
}

/** @param {readonly string[]} args @param {Known} known */
function vitestProblem(args, { files, projects }) {
  for (const [index, word] of args.entries()) {
    const previous = args[index - 1];
    if (previous === '--project' && !projects.includes(word)) return 'there is no such project';
    if (word.startsWith('-') || word.startsWith('<') || word === 'run' || previous?.startsWith('-')) continue;
    if (!files.some((name) => name.startsWith('test/') && name.includes(word))) return 'no test file is called so';
  }
  return undefined;
}

/** @param {readonly string[]} args @param {Known} known */
function dlocksProblem(args, { dlocks }) {
  // What comes behind -- is somebody else's command.
  const own = args.includes('--') ? args.slice(0, args.indexOf('--')) : args;
  const name = own.find((word) => dlocks.has(word) && word !== '') ?? '';
  if (name === '' && own.some((word) => /^[a-z]/.test(word))) return 'there is no such command';
  const help = `${dlocks.get('') ?? ''}\n${dlocks.get(name) ?? ''}`;
  const flags = own.filter((word) => /^--?[a-z]/.test(word)).map((word) => word.replace(/=.*$/, ''));
  const wrong = flags.filter((flag) => !new RegExp(`(^|[\\s,])${flag}(?![\\w-])`, 'm').test(help));
  return wrong.length === 0 ? undefined : `it has no ${wrong.join(', ')}`;
}

/**
 * What the command line says of itself and of each of its commands.
 * @param {{ helpInformation(): string, name(): string, commands: readonly any[] }} program
 * @returns {Map<string, string>}
 */
export function dlocksHelp(program) {
  /** @type {[string, string][]} */
  const each = program.commands.map((command) => [command.name(), command.helpInformation()]);
  return new Map([['', program.helpInformation()], ...each]);
}
