/**
 * The library that gives a server a clock of its own (libfaketime): where it is, and where it comes from. The driver of the fault suite provides
 * it; the suite says what it does not try without it.
 */
import { access } from 'node:fs/promises';
import { installPackages } from './debian.mjs';

/** Where Debian and its kin put it, by architecture. */
const PATHS = ['x86_64', 'aarch64'].map((name) => `/usr/lib/${name}-linux-gnu/faketime/libfaketimeMT.so.1`);

/** @returns {Promise<string | null>} its path */
export async function clockLibrary() {
  for (const path of PATHS) {
    const found = await access(path).then(
      () => true,
      () => false,
    );
    if (found) return path;
  }
  return null;
}

/** Installs it where that is possible; says so where it is not. */
export async function provideClockLibrary() {
  if (process.platform !== 'linux' || (await clockLibrary()) !== null) return;
  await installPackages(['libfaketime']).catch((error) => console.error(error.message));
}
