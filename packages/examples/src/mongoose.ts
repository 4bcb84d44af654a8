/**
 * With mongoose: the client is wired to a connection, and an ObjectId of mongoose names what is locked. The locks live
 * in the connection's database, beside its models, and go through its own driver.
 */
import assert from 'node:assert/strict';
import { LockClient } from 'mongo-distributed-locks';
import mongoose from 'mongoose';
import { withDatabase } from './support/database.js';

const CUSTOMERS_COUNT = 8;

await withDatabase(async ({ uri, db }) => {
  const connection = mongoose.createConnection(uri, { dbName: db.databaseName });
  const Seats = connection.model('Seats', new mongoose.Schema({ show: String, free: Number, sold: [String] }));
  const locks = new LockClient({ connection }); // connected or not yet: it waits for it

  const { _id } = await Seats.create({ show: 'Hamlet', free: 3, sold: [] });

  /** Checks and then acts: right only while nobody else does. */
  async function sell(customer: string): Promise<boolean> {
    const seats = await Seats.findById(_id).orFail();
    if (!seats.free) return false;
    seats.free -= 1;
    seats.sold.push(customer);
    await seats.save();
    return true;
  }

  const customers = Array.from({ length: CUSTOMERS_COUNT }, (_, index) => `customer ${index + 1}`);
  const sold = await Promise.all(
    customers.map((customer) => locks.exec({ resource: Seats.modelName, id: _id, fn: () => sell(customer) })),
  );

  const { free, sold: names } = await Seats.findById(_id).orFail();
  console.log(`${sold.filter(Boolean).length} of ${CUSTOMERS_COUNT} customers got one of 3 seats: ${names.join(', ')}`);
  assert.deepEqual(sold, [true, true, true, false, false, false, false, false]); // first come, first served
  assert.deepEqual({ free, names: [...names] }, { free: 0, names: customers.slice(0, 3) });

  await locks.close();
  await connection.close();
});
