/**
 * The download of mongodb-memory-server as a program of its own, so that one that hangs can be ended: `address` prints where it would download
 * from, `download <folder>` downloads there, checks the sum and prints the path. Its last line is the answer, or why there is none.
 * `mongod.mjs` runs it.
 */
import { createRequire } from 'node:module';

// Zero would mean no attempt at all; the caller has probed the host and has another way.
process.env.MONGOMS_MAX_RETRIES = '1';
// A binary that was named and passed over must not come back as the download.
delete process.env.MONGOMS_SYSTEM_BINARY;

const load = createRequire(import.meta.url);
const { DryMongoBinary } = load('mongodb-memory-server-core/lib/util/DryMongoBinary');
const { MongoBinaryDownload } = load('mongodb-memory-server-core/lib/util/MongoBinaryDownload');
const { MongoBinaryDownloadUrl } = load('mongodb-memory-server-core/lib/util/MongoBinaryDownloadUrl');

const [verb, folder] = process.argv.slice(2);
try {
  const options = { ...(await DryMongoBinary.generateOptions()), platform: process.platform, checkMD5: true };
  if (verb === 'address') console.log(await new MongoBinaryDownloadUrl(options).getDownloadUrl());
  else console.log(await new MongoBinaryDownload({ ...options, downloadDir: folder }).getMongodPath());
} catch (error) {
  console.log(String(error instanceof Error ? error.message : error).replaceAll('\n', ' '));
  process.exitCode = 1;
}
