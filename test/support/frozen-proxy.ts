/**
 * A TCP proxy in front of one server whose connections can be frozen: nothing goes through any more, and neither side
 * is told, as when a firewall forgets a connection. Connections made later work. Or the whole way can be held back for
 * a time, later connections too: what was sent meanwhile arrives when it is open again. Used by tests of silence.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';

/** The proxy; `close` ends it. */
export class FrozenProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #frozen = new Set<Socket>();
  #isHeldBack = false;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Listens on a port of its own and passes everything on to `targetPort`. */
  static async start(targetPort: number): Promise<FrozenProxy> {
    const server = createServer();
    const proxy = new FrozenProxy(server);
    server.on('connection', (near) => proxy.#join(near, connect(targetPort, '127.0.0.1')));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('The proxy does not listen');
    return address.port;
  }

  /** How many connections go through it, frozen ones left out. */
  get liveCount(): number {
    return [...this.#sockets].filter((socket) => !this.#frozen.has(socket)).length / 2;
  }

  /** Freezes every connection there is. */
  freeze(): void {
    for (const socket of this.#sockets) this.#frozen.add(socket);
  }

  /** From now on nothing arrives. */
  holdBack(): void {
    this.#isHeldBack = true;
    for (const socket of this.#sockets) socket.pause();
  }

  /** What was held back arrives, and all that comes after it. */
  letThrough(): void {
    this.#isHeldBack = false;
    for (const socket of this.#sockets) socket.resume();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(near: Socket, far: Socket): void {
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(from);
      from.on('data', (chunk) => {
        if (!this.#frozen.has(from)) to.write(chunk);
      });
      if (this.#isHeldBack) from.pause();
      from.on('error', () => {});
      from.on('close', () => {
        this.#sockets.delete(from);
        if (!this.#frozen.has(from)) to.destroy();
      });
    }
  }
}
