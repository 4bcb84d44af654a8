/**
 * The compatibility matrix, one cell of it, and that a cell can fail: at compiling, at running, and where a program ends well without having come to its
 * end. The whole matrix is a step of `npm run verify`.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeProject, runProgram } from '../../tools/compat.mjs';
import { compileConsumer, installedVersion } from '../../tools/consumer.mjs';
import { sharedUri } from '../support/mongod.js';

const MODULES = 'packages/compat-mongoose8/node_modules';
const links = { mongoose: `${MODULES}/mongoose`, mongodb: `${MODULES}/mongodb` };
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mongo-distributed-locks-cell-'));
  await makeProject(folder, { programs: ['mongoose.ts'], links });
}, 60_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

async function ran(program: string, text?: string): ReturnType<typeof runProgram> {
  if (text !== undefined) await writeFile(join(folder, program), text);
  return runProgram({ folder, program, uri: sharedUri() });
}

describe('a cell', () => {
  it('is a program with mongoose 8 and the driver 6 it names, compiled with their types', async () => {
    expect(await installedVersion(folder, 'mongoose')).toMatch(/^8\./);
    expect(await installedVersion(folder, 'mongodb', 'mongoose')).toMatch(/^6\./);
    const { passed, output } = await ran('mongoose.js');
    expect(output.trim()).toBe('mongoose: done');
    expect(passed).toBe(true);
  });

  it('fails where the program fails, and shows why', async () => {
    const { passed, output } = await ran('fails.mjs', 'console.log("it: done"); throw new Error("on purpose");');
    expect(passed).toBe(false);
    expect(output).toContain('on purpose');
  });

  it('fails where the program ends well, but not at its end', async () => {
    expect(await ran('stops.mjs', 'process.exit(0); console.log("it: done");')).toMatchObject({ passed: false });
  });

  it('fails where the types do not fit', async () => {
    await writeFile(
      join(folder, 'wrong.ts'),
      "import { LockClient } from 'mongo-distributed-locks'; new LockClient(1);",
    );
    await expect(compileConsumer(folder)).rejects.toThrow('wrong.ts');
  });
});
