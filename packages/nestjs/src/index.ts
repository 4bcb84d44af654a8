/** What the package exports. */
export { currentLock, Locked, type LockedOptions } from './locked.js';
export { LocksModule, type LocksModuleAsyncOptions, type LocksModuleOptions } from './locks-module.js';
