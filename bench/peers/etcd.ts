/**
 * The recipe of etcd's own `concurrency.Mutex`, over the etcd3 client: a key under a lease, created in a transaction; who has the lowest creation
 * revision holds; the others watch for the end of the key before theirs. One lease for each process, as one session would have.
 */
import { once } from 'node:events';
import { packageOfPeer } from './package-of-peer.js';
import type { Peer } from './peer.js';

interface KeyValue {
  readonly key: Buffer;
}

interface RangeBuilder {
  prefix(prefix: string): this;
  maxCreateRevision(revision: string): this;
  sort(target: 'Create', order: 'Descend'): this;
  limit(count: number): this;
  exec(): Promise<{ readonly header: { readonly revision: string }; readonly kvs: readonly KeyValue[] }>;
}

interface Watcher {
  on(event: 'delete', heard: () => void): this;
  cancel(): Promise<void>;
}

interface Etcd {
  lease(seconds: number): {
    grant(): Promise<string>;
    put(key: string): { value(value: string): { exec(): Promise<{ header: { revision: string } }> } };
    revoke(): Promise<unknown>;
  };
  getAll(): RangeBuilder;
  watch(): {
    key(key: string): { startRevision(revision: string): { create(): Promise<Watcher> } };
  };
  delete(): { key(key: string): { exec(): Promise<unknown> } };
  close(): void;
}

interface EtcdPackage {
  readonly Etcd3: new (settings: { hosts: readonly string[] }) => Etcd;
}

const LEASE_SECONDS = 30;

/** The key that has to go before that of this revision is the holder's. */
async function keyBefore(
  client: Etcd,
  { prefix, revision }: { prefix: string; revision: string },
): Promise<{ key: string; seenAt: string } | null> {
  const earlier = String(BigInt(revision) - 1n);
  const range = client.getAll().prefix(prefix).maxCreateRevision(earlier).sort('Create', 'Descend').limit(1);
  const { kvs, header } = await range.exec();
  const [last] = kvs;
  return last === undefined ? null : { key: last.key.toString(), seenAt: header.revision };
}

async function untilDeleted(client: Etcd, { key, seenAt }: { key: string; seenAt: string }): Promise<void> {
  const since = String(BigInt(seenAt) + 1n);
  const watcher = await client.watch().key(key).startRevision(since).create();
  await once(watcher as never, 'delete');
  // The watch has done its work: its end is not waited for.
  watcher.cancel().catch(() => {});
}

export const ETCD: Peer = {
  name: 'etcd recipe',
  how: 'a key under a lease, a watch on the one before it',
  server: 'etcd',
  async connect({ address, key: of }) {
    const client = new (packageOfPeer<EtcdPackage>('etcd3').Etcd3)({ hosts: address.split(',') });
    const lease = client.lease(LEASE_SECONDS);
    const id = await lease.grant();
    const prefix = `${of}/`;
    let callsCount = 0;
    return {
      async acquire() {
        callsCount += 1;
        const key = `${prefix}${id}-${callsCount}`;
        const { header } = await lease.put(key).value('').exec();
        for (;;) {
          const before = await keyBefore(client, { prefix, revision: header.revision });
          if (before === null) break;
          await untilDeleted(client, before);
        }
        return () => client.delete().key(key).exec();
      },
      async close() {
        await lease.revoke();
        client.close();
      },
    };
  },
};
