/** `dlocks ls`: the locks that are held now, page by page. */
import type { Command } from 'commander';
import type { LockPage, LockSummary } from 'mongo-distributed-locks';
import { addConnectionOptions, type Connection, type ConnectionFlags } from '../connection.js';
import { act, type Context, connected, interruptible } from '../context.js';
import { EXIT } from '../exit-codes.js';
import { wholeNumber } from '../numbers.js';
import { notice } from '../terminal.js';
import { escapeText, shellWord } from '../text.js';
import { age, columnWidths, fitted, leaseLeft, someone, tableLines, tokens } from '../view.js';

interface LsFlags extends ConnectionFlags {
  readonly prefix?: string;
  readonly limit?: string;
  readonly after?: string;
  readonly all?: boolean;
}

const HEAD = ['RESOURCE', 'ID', 'FOR', 'TOKEN', 'LEASE', 'WAITING', 'HOLDER'];
const LIMIT = { least: 1, most: 1_000 };
const LIMIT_DEFAULT = 100;

/** Adds the command. */
export function addLsCommand(program: Command, context: Context): void {
  const command = program
    .command('ls')
    .summary('list the locks that are held')
    .description('Lists the locks that are held now, by resource and id, with their holders and how many wait.')
    .option('--prefix <text>', 'only resources that begin so')
    .option('--limit <count>', `locks to a page, 1 to ${LIMIT.most}; default: ${LIMIT_DEFAULT}`)
    .option('--after <cursor>', 'the page after the one that ended with this cursor')
    .option('--all', 'every page, one after the other');
  addConnectionOptions(command);
  act<LsFlags>(command, context, (flags) => ls(context, flags));
}

async function ls(context: Context, flags: LsFlags): Promise<number> {
  const limit = flags.limit === undefined ? LIMIT_DEFAULT : wholeNumber('--limit', flags.limit, LIMIT);
  return connected(context, flags, async (connection) => {
    const printer = flags.json ? jsonPrinter(context) : tablePrinter(context);
    for await (const page of pages(context, connection, { ...flags, limit })) printer(page, flags.all === true);
    return EXIT.OK;
  });
}

interface PagesRequest {
  readonly prefix?: string;
  readonly after?: string;
  readonly all?: boolean;
  readonly limit: number;
}

/** One page, or all from there on. */
async function* pages(context: Context, { locks }: Connection, request: PagesRequest): AsyncGenerator<LockPage> {
  const { prefix, limit, all } = request;
  let after = request.after ?? null;
  do {
    const asked = { limit, ...(prefix !== undefined && { prefix }), ...(after !== null && { after }) };
    const page: LockPage = await interruptible(context, locks.list(asked));
    yield page;
    after = page.after;
  } while (all && after !== null);
}

type Printer = (page: LockPage, all: boolean) => void;

function jsonPrinter({ terminal }: Context): Printer {
  return (page) => terminal.out.json(page);
}

/** Columns grow from page to page and never shrink, so that a long list stays one table. */
function tablePrinter({ terminal }: Context): Printer {
  const { out } = terminal;
  let widths: number[] = [];
  let isFirst = true;
  return ({ locks, after }, all) => {
    if (isFirst && locks.length === 0) notice(terminal, 'no lock is held');
    const rows = [...(isFirst && locks.length > 0 ? [HEAD] : []), ...locks.map(row)];
    widths = columnWidths(rows, widths);
    tableLines(rows, widths).forEach((line, index) => {
      const text = fitted(out, line);
      out.line(isFirst && index === 0 ? out.style('bold', text) : text);
    });
    isFirst = false;
    if (!all && after !== null) notice(terminal, `there are more: --after ${shellWord(after)}, or --all`);
  };
}

function row({ resource, id, holder, waitersCount }: LockSummary): string[] {
  const since = age(holder.since, new Date());
  const names = [escapeText(resource), escapeText(id)];
  return [...names, since, tokens(holder), leaseLeft(holder), String(waitersCount), someone(holder)];
}
