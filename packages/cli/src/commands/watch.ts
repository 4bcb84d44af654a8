/**
 * `dlocks watch`: what happens to locks, as it happens, by one change stream. On a terminal a live picture; else one line for each event; for programs
 * JSON. What is observed is `observer/`'s.
 */
import type { Command } from 'commander';
import { addConnectionOptions, type Connection, type ConnectionFlags } from '../connection.js';
import { act, type Context, connected, interruptible } from '../context.js';
import { messageOf } from '../failures.js';
import type { Fact } from '../observer/facts.js';
import { Observer, type ObserverListener, type ObserverStatus } from '../observer/observer.js';
import { Interruption } from '../signals.js';
import { notice } from '../terminal.js';
import { eventLine, isLockFact } from '../watch/event-line.js';
import { LiveView } from '../watch/live-view.js';
import { Screen } from '../watch/screen.js';

interface Watched {
  readonly resource?: string;
  readonly id?: string;
}

/** Adds the command. */
export function addWatchCommand(program: Command, context: Context): void {
  const command = program
    .command('watch')
    .summary('follow what happens to locks')
    .description('Follows grants, releases, arrivals and losses as they happen, until Ctrl-C.')
    .argument('[resource]', 'only this resource')
    .argument('[id]', 'only this one of them');
  addConnectionOptions(command);
  act<ConnectionFlags>(command, context, (flags, args) => watch(context, flags, args));
}

async function watch(context: Context, flags: ConnectionFlags, args: readonly string[]): Promise<number> {
  const [resource, id] = args;
  const watched: Watched = { ...(resource !== undefined && { resource }), ...(id !== undefined && { id }) };
  return connected(context, flags, async (connection) => {
    await interruptible(context, connection.connect());
    const isLive = context.terminal.out.isTTY && !flags.json;
    const end = isLive ? showLive(context, connection, watched) : printEvents(context, connection, watched, flags);
    try {
      return await end;
    } catch (error) {
      // Nobody watches for ever: this is how it ends.
      if (error instanceof Interruption) return error.exitCode;
      throw error;
    }
  });
}

/** Opens an observer and keeps it open; ends by rejecting only. */
async function observe(context: Context, observer: Observer, whenOpen: () => void = () => {}): Promise<never> {
  try {
    await interruptible(context, observer.open());
    whenOpen();
    return await interruptible(context, new Promise<never>(() => {}));
  } finally {
    await observer.close();
  }
}

function observerOf({ db, collectionName }: Connection, listener: ObserverListener): Observer {
  return new Observer({ db, collectionName, listener });
}

function isWatched({ resource, id }: Watched, lock: { readonly resource: string; readonly id: string }): boolean {
  return (resource ?? lock.resource) === lock.resource && (id ?? lock.id) === lock.id;
}

/** Sessions belong to no lock: they are told where all is watched. A gap concerns everybody. */
function isTold(watched: Watched, fact: Fact): boolean {
  if (isLockFact(fact)) return isWatched(watched, fact);
  return watched.resource === undefined || fact.kind === 'gap';
}

async function printEvents(
  context: Context,
  connection: Connection,
  watched: Watched,
  { json }: ConnectionFlags,
): Promise<never> {
  const { terminal } = context;
  const { out } = terminal;
  const onFact = (fact: Fact): void => {
    if (!isTold(watched, fact)) return;
    if (json) out.json(fact);
    else out.line(eventLine(fact, out));
  };
  const onStatus = (status: ObserverStatus, error?: Error): void => {
    const message = error === undefined ? undefined : messageOf(error);
    if (json) out.json({ kind: 'status', status, ...(message !== undefined && { message }) });
    else if (message !== undefined) notice(terminal, `the change stream was interrupted: ${message}`);
    else if (status === 'live') notice(terminal, 'watching; Ctrl-C ends it');
  };
  return observe(context, observerOf(connection, { onFact, onStatus }));
}

async function showLive(context: Context, connection: Connection, watched: Watched): Promise<never> {
  const { out } = context.terminal;
  let view: LiveView | undefined;
  const observer = observerOf(connection, {
    onFact: (fact) => {
      if (isTold(watched, fact)) view?.add(fact);
      else view?.refresh();
    },
    onStatus: () => view?.refresh(),
  });
  let screen: Screen | undefined;
  try {
    return await observe(context, observer, () => {
      screen = new Screen(out);
      const isOne = watched.id !== undefined;
      view = new LiveView({ observer, isWatched: (lock) => isWatched(watched, lock), isOne, channel: out, screen });
    });
  } finally {
    view?.close();
    screen?.close();
  }
}
