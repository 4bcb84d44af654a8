/**
 * Loads a package of `package.json` beside this file. They are no dependencies of the workspace: `tools/bench.mjs` installs them into the user's
 * cache and says where by `BENCH_PEERS_FOLDER`. The peers call it; each declares what little it uses.
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';

/** Throws where the packages are not installed. `of`: a package among the dependencies of that one. */
export function packageOfPeer<T>(name: string, { of }: { of?: string } = {}): T {
  const folder = process.env.BENCH_PEERS_FOLDER;
  if (!folder) throw new Error('the npm packages of the peers are not installed');
  const require = createRequire(join(folder, 'package.json'));
  return (of === undefined ? require : createRequire(require.resolve(of)))(name) as T;
}
