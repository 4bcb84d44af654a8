/**
 * The audit, asked of a stand-in registry: that it finds a known vulnerability, tells none from no answer, and never takes the one for the other.
 * The real registry is asked by `npm run check:audit`.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { auditProject } from '../../tools/audit.mjs';

const NAME = 'a-dependency';
const VERSION = '1.0.0';
const ADVISORY = {
  id: 1,
  url: 'https://github.com/advisories/GHSA-0000-0000-0000',
  title: 'a vulnerability',
  severity: 'high',
  vulnerable_versions: '<2.0.0',
  cwe: [],
  cvss: { score: 0, vectorString: null },
};

let folder: string;
let registry: Server | undefined;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mongo-distributed-locks-audited-'));
  const root = { name: 'consumer', version: '1.0.0', dependencies: { [NAME]: VERSION } };
  const packages = { '': root, [`node_modules/${NAME}`]: { version: VERSION } };
  await writeFile(join(folder, 'package.json'), JSON.stringify(root));
  await writeFile(join(folder, 'package-lock.json'), JSON.stringify({ ...root, lockfileVersion: 3, packages }));
  return () => rm(folder, { recursive: true, force: true });
});

afterEach(() => {
  registry?.close();
  registry?.closeAllConnections();
});

async function audited(listener: RequestListener): ReturnType<typeof auditProject> {
  const server = createServer(listener);
  registry = server;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const env = { npm_config_registry: `http://127.0.0.1:${port}/`, npm_config_fetch_retries: '0' };
  return auditProject('the project', folder, env);
}

const packument = {
  name: NAME,
  'dist-tags': { latest: VERSION },
  versions: { [VERSION]: { name: NAME, version: VERSION } },
};

/** A registry that knows these advisories. */
function knows(advisories: Record<string, unknown[]>): RequestListener {
  return ({ method }, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(method === 'POST' ? advisories : packument));
  };
}

test('none where the registry knows of none', async () => {
  expect(await audited(knows({}))).toEqual({ what: 'the project', found: 'none', detail: '' });
});

test('a known vulnerability is found, with its severity', async () => {
  expect(await audited(knows({ [NAME]: [ADVISORY] }))).toEqual({
    what: 'the project',
    found: 'some',
    detail: '1 high',
  });
});

test('a registry that does not answer the question is not taken for a clean answer', async () => {
  const { found, detail } = await audited((_, response) => {
    response.statusCode = 405;
    response.end();
  });
  expect(found).toBe('not answered');
  expect(detail).toContain('405');
});
