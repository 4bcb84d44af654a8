/**
 * The network between the processes and the members of the set, as TCP proxies that can do what networks do: cut
 * connections, hold bytes back in one direction or both without telling anybody, and be slow. Each process has an
 * address of its own (127.0.1.n) at which it finds every member, so that each pair of a process and a member is a link
 * with a state of its own. Where members too talk through it, a connection's sender is read off its first message: with
 * test commands enabled a server says in it who it is, as it does for MongoDB's own `mongobridge`.
 *
 * Held bytes are delivered when the link is opened again, as a network would: late requests included.
 */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** `to`: towards the server. */
export type Direction = 'to' | 'from';

export interface LinkState {
  /** Directions in which nothing goes through. */
  readonly held: readonly Direction[];
  /** Connections are reset, and new ones too. */
  readonly cut: boolean;
  /** How long each piece takes in each direction, at least and at most. */
  readonly delayMS: readonly [number, number];
}

export const OPEN: LinkState = { held: [], cut: false, delayMS: [0, 0] };

/** A black hole. */
export const HELD: LinkState = { ...OPEN, held: ['to', 'from'] };

/** Who talks: a process by its name, or a member as `member n`. */
export type Party = string;

/** A place where connections come in. */
export interface Entrance {
  readonly address: string;
  readonly port: number;
  /** null: it is told by the first message. */
  readonly source: Party | null;
  readonly target: number;
  readonly targetPort: number;
}

export function memberParty(index: number): Party {
  return `member ${index}`;
}

export class Bridge {
  readonly #servers = new Map<Server, Entrance>();
  readonly #connections = new Set<Connection>();
  readonly #states = new Map<string, LinkState>();
  /** By the port a member really listens on. */
  readonly #members: ReadonlyMap<number, Party>;

  constructor(memberPorts: readonly number[]) {
    this.#members = new Map(memberPorts.map((port, index) => [port, memberParty(index)]));
  }

  async listen(entrance: Entrance): Promise<void> {
    const server = createServer({ allowHalfOpen: true }, (near) => this.#join(near, entrance));
    server.listen(entrance.port, entrance.address);
    await once(server, 'listening');
    this.#servers.set(server, entrance);
  }

  /** Nobody comes in there any more. */
  leave(source: Party): void {
    for (const [server, entrance] of this.#servers) {
      if (entrance.source !== source) continue;
      this.#servers.delete(server);
      server.close();
    }
  }

  /** Sets the state of the link from a party to a member, for connections that are and that come. */
  set(source: Party, target: number, state: LinkState): void {
    this.#states.set(linkOf(source, target), state);
    for (const connection of this.#connections)
      if (connection.source === source && connection.target === target) connection.enter(state);
  }

  /** Breaks the connections there are; new ones work. */
  reset(source: Party, target: number): void {
    for (const connection of [...this.#connections])
      if (connection.source === source && connection.target === target) connection.reset();
  }

  /** Every link is open. What was held goes on its way. */
  heal(): void {
    this.#states.clear();
    for (const connection of this.#connections) connection.enter(OPEN);
  }

  close(): void {
    for (const server of this.#servers.keys()) server.close();
    this.#servers.clear();
    for (const connection of [...this.#connections]) connection.reset();
  }

  #join(near: Socket, { source, target, targetPort }: Entrance): void {
    near.on('error', () => near.destroy());
    if (source !== null) {
      this.#connect(near, { source, target, targetPort });
      return;
    }
    near.once('data', (chunk) => {
      near.pause();
      near.unshift(chunk);
      this.#connect(near, { source: this.#senderOf(chunk), target, targetPort });
    });
  }

  #connect(near: Socket, { source, target, targetPort }: { source: Party; target: number; targetPort: number }): void {
    const state = this.#states.get(linkOf(source, target)) ?? OPEN;
    const far = connect({ port: targetPort, host: '127.0.0.1', allowHalfOpen: true });
    const connection = new Connection({ source, target, near, far, state });
    this.#connections.add(connection);
    connection.onEnd(() => this.#connections.delete(connection));
  }

  /** What is not a member is the harness. */
  #senderOf(first: Buffer): Party {
    const at = first.indexOf('hostInfo\0');
    const text = at < 0 ? '' : first.toString('latin1', at + 13, at + 13 + 256);
    const port = Number(/^[^\0]*:(\d+)\0/.exec(text)?.[1] ?? Number.NaN);
    return this.#members.get(port) ?? 'harness';
  }
}

function linkOf(source: Party, target: number): string {
  return `${source} > ${target}`;
}

/** One connection: two sockets, and what is on its way between them. */
class Connection {
  readonly source: Party;
  readonly target: number;
  readonly #near: Socket;
  readonly #far: Socket;
  readonly #pipes: readonly [Pipe, Pipe];
  #onEnd: () => void = () => {};
  #ended = false;

  constructor(about: { source: Party; target: number; near: Socket; far: Socket; state: LinkState }) {
    this.source = about.source;
    this.target = about.target;
    this.#near = about.near;
    this.#far = about.far;
    for (const socket of [this.#near, this.#far]) {
      socket.setNoDelay(true);
      socket.on('error', () => this.reset());
    }
    this.#pipes = [new Pipe(this.#near, this.#far, 'to'), new Pipe(this.#far, this.#near, 'from')];
    for (const pipe of this.#pipes) pipe.onEnd(() => this.#closeWhenBothEnded());
    this.enter(about.state);
  }

  onEnd(callback: () => void): void {
    this.#onEnd = callback;
    if (this.#ended) callback();
  }

  enter(state: LinkState): void {
    if (state.cut) this.reset();
    else for (const pipe of this.#pipes) pipe.enter(state);
  }

  reset(): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const pipe of this.#pipes) pipe.stop();
    for (const socket of [this.#near, this.#far]) {
      // One that is ending already cannot be reset: its handle would never close, and this process never end (Node 20).
      if (socket.connecting || socket.writableEnded) socket.destroy();
      else socket.resetAndDestroy();
    }
    this.#onEnd();
  }

  #closeWhenBothEnded(): void {
    if (!this.#pipes.every(({ ended }) => ended)) return;
    this.#ended = true;
    this.#near.destroy();
    this.#far.destroy();
    this.#onEnd();
  }
}

/** One direction of a connection. */
class Pipe {
  ended = false;
  readonly #to: Socket;
  readonly #direction: Direction;
  /** What was held back, and null where the sender has ended. */
  #waiting: (Buffer | null)[] = [];
  #state: LinkState = OPEN;
  /** When the last piece is due: later ones must not overtake it. */
  #dueAt = 0;
  readonly #timers = new Set<NodeJS.Timeout>();
  #onEnd: () => void = () => {};

  constructor(from: Socket, to: Socket, direction: Direction) {
    this.#to = to;
    this.#direction = direction;
    from.on('data', (chunk) => this.#take(chunk));
    from.on('end', () => this.#take(null));
    from.on('close', () => this.#take(null));
    from.resume();
  }

  onEnd(callback: () => void): void {
    this.#onEnd = callback;
  }

  enter(state: LinkState): void {
    this.#state = state;
    if (this.#held) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const piece of waiting) this.#send(piece);
  }

  stop(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#waiting = [];
    this.ended = true;
  }

  get #held(): boolean {
    return this.#state.held.includes(this.#direction);
  }

  #take(piece: Buffer | null): void {
    if (this.#held) this.#waiting.push(piece);
    else this.#send(piece);
  }

  #send(piece: Buffer | null): void {
    const [least, most] = this.#state.delayMS;
    const now = performance.now();
    this.#dueAt = Math.max(this.#dueAt, most === 0 ? 0 : now + least + (most - least) * Math.random());
    if (this.#dueAt <= now) {
      this.#write(piece);
      return;
    }
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#goOn(piece);
    }, this.#dueAt - now);
    this.#timers.add(timer);
  }

  /** It has travelled; the link may be held by now. */
  #goOn(piece: Buffer | null): void {
    if (this.#held) this.#waiting.push(piece);
    else this.#write(piece);
  }

  #write(piece: Buffer | null): void {
    if (this.ended) return;
    if (piece !== null) {
      this.#to.write(piece);
      return;
    }
    this.ended = true;
    this.#to.end();
    this.#onEnd();
  }
}
