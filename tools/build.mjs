/**
 * `npm run build`: from a fresh clone to compiled packages.
 */
import { endTogether } from './command.mjs';
import { setUp } from './workspace.mjs';

endTogether(async () => {});
await setUp().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
