/** The shared store does what every store does. */
import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import { storeContract } from '../holds/contract.js';
import { createDatabase } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import { openStore } from './support.js';
import type { Opened } from './support.js';

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

storeContract('the shared store', async (limits) => {
  schemas += 1;
  const opened = await openStore(database.url, `holds_${schemas.toString()}`, { limits });
  stores.push(opened);
  const { store, errors } = opened;
  return {
    store,
    errors,
    expired: async (id) => {
      expect((await opened.told(`${id} expired here`)).hold.state).toBe('expired');
    },
  };
});
