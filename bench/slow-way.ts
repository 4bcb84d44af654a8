/** A way to a server on which everything takes longer: a TCP proxy on loopback that keeps what either side sends for a while, in order. */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export class SlowWay {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(target: { readonly host: string; readonly port: number }, delayMS: number) {
    this.#server = createServer((near) => {
      const far = connect({ ...target, noDelay: true });
      near.setNoDelay(true);
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(from);
        from.on('data', (chunk) => setTimeout(() => to.write(chunk), delayMS));
        from.on('error', () => {});
        from.on('close', () => {
          to.destroy();
          this.#sockets.delete(from);
        });
      }
    });
  }

  /** `target`: host and port, as the server names itself. */
  static async to(target: string, { delayMS }: { delayMS: number }): Promise<SlowWay> {
    const [host = '', port = ''] = target.split(':');
    const way = new SlowWay({ host, port: Number(port) }, delayMS);
    await new Promise<void>((resolve) => way.#server.listen(0, '127.0.0.1', resolve));
    return way;
  }

  /** Host and port. */
  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
