/** The table of the peers, and a contender of any of them. The questions and the contending processes read it. */
import type { ConnectSettings } from '../worker/orders.js';
import { ETCD } from './etcd.js';
import { OURS, pollingEvery } from './ours.js';
import type { Contender, Peer } from './peer.js';
import { POSTGRES } from './postgres.js';
import { REDIS_SEMAPHORE, REDLOCK } from './redis.js';
import { SEED } from './seed.js';
import { ZOOKEEPER } from './zookeeper.js';

export const PEERS: readonly Peer[] = [
  OURS,
  pollingEvery(50),
  pollingEvery(200),
  pollingEvery(1_000),
  SEED,
  REDLOCK,
  REDIS_SEMAPHORE,
  POSTGRES,
  ETCD,
  ZOOKEEPER,
];

export async function contenderOf({ peer, ...settings }: ConnectSettings): Promise<Contender> {
  const found = PEERS.find(({ name }) => name === peer);
  if (found === undefined) throw new Error(`There is no peer ${peer}`);
  return found.connect(settings);
}
