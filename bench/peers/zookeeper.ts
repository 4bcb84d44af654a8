/** ZooKeeper's own lock recipe, over node-zookeeper-client: a sequential ephemeral node, and a watch on the one before it. One session a process. */
import { packageOfPeer } from './package-of-peer.js';
import type { Peer } from './peer.js';

type Answer<T> = (error: Error | null, value: T) => void;

interface ZooKeeper {
  once(event: 'connected', heard: () => void): void;
  connect(): void;
  close(): void;
  mkdirp(path: string, answer: Answer<string>): void;
  create(path: string, mode: number, answer: Answer<string>): void;
  getChildren(path: string, answer: Answer<readonly string[]>): void;
  exists(path: string, watcher: () => void, answer: Answer<unknown>): void;
  remove(path: string, version: number, answer: Answer<unknown>): void;
}

interface ZooKeeperPackage {
  createClient(address: string): ZooKeeper;
  readonly CreateMode: { readonly EPHEMERAL_SEQUENTIAL: number };
}

function asked<T>(ask: (answer: Answer<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => ask((error, value) => (error ? reject(error) : resolve(value))));
}

/** Resolves when that node is gone. */
async function untilGone(client: ZooKeeper, path: string): Promise<void> {
  let changed = (): void => {};
  const change = new Promise<void>((resolve) => {
    changed = resolve;
  });
  const found = await asked<unknown>((answer) => client.exists(path, () => changed(), answer));
  if (found) await change;
}

export const ZOOKEEPER: Peer = {
  name: 'ZooKeeper recipe',
  how: 'a sequential node, a watch on the one before it',
  server: 'zookeeper',
  async connect({ address, key }) {
    const { createClient, CreateMode } = packageOfPeer<ZooKeeperPackage>('node-zookeeper-client');
    const client = createClient(address);
    const connected = new Promise<void>((resolve) => client.once('connected', resolve));
    client.connect();
    await connected;
    const folder = `/${key}`;
    await asked<string>((answer) => client.mkdirp(folder, answer));
    return {
      async acquire() {
        const path = await asked<string>((answer) =>
          client.create(`${folder}/n-`, CreateMode.EPHEMERAL_SEQUENTIAL, answer),
        );
        const own = path.slice(folder.length + 1);
        for (;;) {
          const nodes = [...(await asked<readonly string[]>((answer) => client.getChildren(folder, answer)))].sort();
          const before = nodes[nodes.indexOf(own) - 1];
          if (before === undefined) break;
          await untilGone(client, `${folder}/${before}`);
        }
        return () => asked<unknown>((answer) => client.remove(path, -1, answer));
      },
      close: async () => client.close(),
    };
  },
};
