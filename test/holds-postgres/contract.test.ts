/** The shared store does what every store does. */
import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import { storeContract } from '../holds/contract.js';
import { usedCodesContract } from '../holds/used-codes-contract.js';
import { createDatabase } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import { openStore } from './support.js';
import type { Opened, Opening } from './support.js';

let database: TestDatabase;
let stores: Opened[] = [];
let schemas = 0;

beforeAll(async () => {
  database = await createDatabase('holds_contract');
});

afterEach(async () => {
  for (const { store } of stores) await store.close();
  stores = [];
});

afterAll(async () => {
  await database.drop();
});

async function open(opening: Opening = {}): Promise<Opened> {
  schemas += 1;
  const opened = await openStore(database.url, `holds_${schemas.toString()}`, opening);
  stores.push(opened);
  return opened;
}

usedCodesContract('codes remembered in the shared store', async () => (await open()).store.usedCodes);

storeContract('the shared store', async (limits) => {
  const opened = await open({ limits });
  const { store, errors } = opened;
  return {
    store,
    errors,
    expired: async (id) => {
      expect((await opened.told(`${id} expired here`)).hold.state).toBe('expired');
    },
  };
});
