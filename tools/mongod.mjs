/** Which server the tests and the demo run on. */
/** @returns {Promise<{ uri: string, binary?: undefined } | { uri?: undefined, binary: string }>} */
export async function chooseServer() {
  const uri = process.env.MONGODB_URI;
  if (uri) return { uri };
  const binary = process.env.MONGOMS_SYSTEM_BINARY;
  if (!binary) throw new Error('no mongod: set MONGOMS_SYSTEM_BINARY');
  return { binary };
}
