/**
 * The package over one version of mongoose, beside whatever driver is its peer: connections that are connected and not yet, models that write while
 * they hold a lock named by an ObjectId of mongoose's, and in a fenced transaction. Compiled against that mongoose's types, then run.
 */
import assert from 'node:assert/strict';
import { LockClient } from 'mongo-distributed-locks';
import mongoose, { type ClientSession, type Connection } from 'mongoose';

const uri = process.env.MONGODB_URI ?? '';
const dbName = process.env.DATABASE ?? '';
const CUSTOMERS_COUNT = 8;
const SEATS_COUNT = 3;

const showSchema = new mongoose.Schema({ name: String, free: { type: Number, required: true }, sold: [String] });
const saleSchema = new mongoose.Schema({ customer: String });

/** Checks and then acts: right only while nobody else does. */
async function sell(connection: Connection, id: mongoose.Types.ObjectId, customer: string): Promise<boolean> {
  const show = await connection.model('Show', showSchema).findById(id).orFail();
  if (show.free === 0) return false;
  show.free -= 1;
  show.sold.push(customer);
  await show.save();
  return true;
}

/** Two connections, one of them not connected yet when its client is made; as many seats are sold as there are. */
async function contend(connecting: Connection, connected: Connection): Promise<void> {
  const clients = [connecting, connected].map((connection) => ({ connection, locks: new LockClient({ connection }) }));
  const Show = connected.model('Show', showSchema);
  const { _id } = await Show.create({ name: 'Hamlet', free: SEATS_COUNT, sold: [] });
  const sales = clients.flatMap(({ connection, locks }, index) =>
    Array.from({ length: CUSTOMERS_COUNT }, (_, customer) =>
      locks.exec({ resource: 'Show', id: _id, fn: () => sell(connection, _id, `${index}-${customer}`) }),
    ),
  );
  assert.equal((await Promise.all(sales)).filter(Boolean).length, SEATS_COUNT);
  const show = await Show.findById(_id).orFail();
  assert.deepEqual({ free: show.free, sold: show.sold.length }, { free: 0, sold: SEATS_COUNT });
  await Promise.all(clients.map(({ locks }) => locks.close()));
}

/** What models write in the transaction of a hold is committed; where `fn` throws, or the lock is unlocked, nothing is. */
async function fenced(connection: Connection): Promise<void> {
  const locks = new LockClient({ connection });
  const Sale = connection.model('Sale', saleSchema);
  await Sale.createCollection();
  const sale = (customer: string) => async (session: ClientSession) => {
    await Sale.create([{ customer }], { session });
    assert.equal(await Sale.countDocuments({ customer }).session(session), 1);
  };
  const lock = await locks.lock({ resource: 'Sale', id: new mongoose.Types.ObjectId() });
  await lock.withTransaction(sale('in time'));
  const failure = new Error('of the caller');
  const fails = lock.withTransaction(async (session: ClientSession) => {
    await sale('taken back')(session);
    throw failure;
  });
  await assert.rejects(fails, failure);
  const late = lock.withTransaction(async (session: ClientSession) => {
    await sale('too late')(session);
    await lock.unlock();
  });
  await assert.rejects(late, { code: 'LOCK_LOST' });
  assert.deepEqual(
    (await Sale.find()).map(({ customer }) => customer),
    ['in time'],
  );
  await locks.close();
}

async function nothingLeft(connection: Connection): Promise<void> {
  assert.equal(await connection.collection('dlocks').countDocuments({ key: { $exists: true } }), 0);
  assert.equal(await connection.collection('dlocks').countDocuments({ grant: { $type: 'string' } }), 0);
  assert.equal(await connection.collection('dlocks.sessions').countDocuments({ state: 'alive' }), 0);
}

const connected = await mongoose.createConnection(uri, { dbName }).asPromise();
const connecting = mongoose.createConnection(uri, { dbName });
await contend(connecting, connected);
await fenced(connected);
await nothingLeft(connected);
await connected.dropDatabase();
await Promise.all([connecting.close(), connected.close()]);
console.log('mongoose: done');
