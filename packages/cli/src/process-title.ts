/**
 * What other users of the machine read of this process, in `ps` and below `/proc`: its command line. A connection
 * string in it is taken out as soon as we run; before that, and in the history of the shell, it can be read. `main.ts`
 * calls it before it loads anything else.
 */

/** What is needed of the process. */
interface Titled {
  readonly platform: string;
  title: string;
}

const HIDDEN = '***';

/**
 * Sets the title of the process where its command line holds a connection string: on Linux and macOS that overwrites
 * it.
 */
export function hideArguments(titled: Titled, args: readonly string[]): void {
  // There it would rename the window, and hide nothing.
  if (titled.platform === 'win32') return;
  const shown = withoutConnectionStrings(args);
  if (shown.some((arg, index) => arg !== args[index])) titled.title = ['dlocks', ...shown].join(' ');
}

/** The arguments, with every connection string, and every value of `--uri` whatever it is, left out. */
export function withoutConnectionStrings(args: readonly string[]): string[] {
  return args.map((arg, index) => {
    if (args[index - 1] === '--uri') return HIDDEN;
    if (arg.startsWith('--uri=')) return `--uri=${HIDDEN}`;
    return arg.replace(/mongodb(\+srv)?:.*$/is, HIDDEN);
  });
}
