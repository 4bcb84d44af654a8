/** Where what was fetched or done is kept between runs, outside of the checkout. Servers, the benchmarks' peers and the long runs are kept there. */
import { homedir } from 'node:os';
import { join } from 'node:path';

/** `MONGO_DISTRIBUTED_LOCKS_CACHE`, else a folder in the user's cache; it need not exist yet. */
export function cacheFolder() {
  const own = process.env.MONGO_DISTRIBUTED_LOCKS_CACHE;
  return own || join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'mongo-distributed-locks');
}
