/**
 * As much of mongosh's `db` as the docs use: collections by name, `find` with `sort`, `updateOne`, `deleteOne`, `createRole`, `createUser`,
 * `dropRole`. The shell waits for each call by itself; here all are waited for in the end. Only `run-blocks.mjs` calls it.
 */

/**
 * @param {import('mongodb').Db} database
 */
export function shellOf(database) {
  /** @type {Promise<unknown>[]} */
  const calls = [];
  const sent = (/** @type {Promise<unknown>} */ call) => {
    calls.push(call);
    return call;
  };
  const collections = (/** @type {string} */ name) => ({
    find: (/** @type {object} */ filter = {}) => {
      const cursor = database.collection(name).find(filter);
      // The shell sends a find when it prints it; the modifiers have been called by then.
      queueMicrotask(() => sent(cursor.toArray()));
      return cursor;
    },
    countDocuments: (/** @type {object} */ filter = {}) => sent(database.collection(name).countDocuments(filter)),
    updateOne: (/** @type {object} */ filter, /** @type {any} */ update) =>
      sent(database.collection(name).updateOne(filter, update)),
    deleteOne: (/** @type {object} */ filter) => sent(database.collection(name).deleteOne(filter)),
  });
  const commands = {
    createRole: ({ role = '', ...rest }) => sent(withoutOld({ createRole: role, ...rest }, { dropRole: role })),
    createUser: ({ user = '', ...rest }) => sent(withoutOld({ createUser: user, ...rest }, { dropUser: user })),
    runCommand: (/** @type {object} */ command) => sent(database.command(command)),
    getSiblingDB: () => db,
  };
  /** The test server may have one from an earlier block; the block's own is removed again. @param {object} command @param {object} removal */
  async function withoutOld(command, removal) {
    await database.command(command);
    await database.command(removal);
  }
  /** @type {unknown} */
  const db = new Proxy(commands, {
    get: (known, name) => (name in known ? Reflect.get(known, name) : collections(String(name))),
  });
  return { db, done: () => new Promise((resolve) => setImmediate(resolve)).then(() => Promise.all(calls)) };
}
