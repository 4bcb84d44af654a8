/** What this machine has for the fault suite. */
import { access } from 'node:fs/promises';
import type { Environment } from './faults/fault.js';

/** Where Debian and its kin put the library, by architecture. */
const CLOCK_LIBRARIES = ['x86_64', 'aarch64'].map(
  (architecture) => `/usr/lib/${architecture}-linux-gnu/faketime/libfaketimeMT.so.1`,
);

export async function environmentOfThisMachine(): Promise<Environment> {
  let clockLibrary: string | null = null;
  for (const path of CLOCK_LIBRARIES)
    await access(path).then(
      () => {
        clockLibrary = path;
      },
      () => {},
    );
  return { platform: process.platform, clockLibrary };
}
