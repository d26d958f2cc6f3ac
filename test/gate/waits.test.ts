/** When a message waits for the catalogs: what is known is out of date, or does not have its names. */
import { describe, expect, it } from 'vitest';
import type { Catalog } from '../../src/catalog/catalog.js';
import { createCatalogStore } from '../../src/gate/catalog-store.js';
import type { CatalogReading, DatabaseCatalog } from '../../src/gate/catalog-store.js';
import type { RecoveryStore } from '../../src/gate/recovery-store.js';
import { Waits } from '../../src/gate/waits.js';
import type { GatedConnection } from '../../src/gate/waits.js';

interface Session {
  readonly waits: Waits;
  /** The server owes a ReadyForQuery. */
  owes: boolean;
  /** A transaction is open, so that nothing can be read. */
  inTransaction: boolean;
  /** How often it was told to ask again. */
  asked: number;
  /** The reading that it has begun. */
  reading: CatalogReading | null;
}

function session(catalog: DatabaseCatalog): Session {
  const state: Omit<Session, 'waits'> = { owes: false, inTransaction: false, asked: 0, reading: null };
  const connection: Partial<GatedConnection> = {
    ready: () => {
      one.asked += 1;
    },
    readCatalog: () => {
      if (one.owes || one.inTransaction) return false;
      one.reading = catalog.begin();
      return true;
    },
    groupOutstanding: () => one.owes,
  };
  const waits = new Waits(connection as GatedConnection, catalog, {} as RecoveryStore, false);
  const one: Session = { ...state, waits };
  return one;
}

function shop() {
  let now = 0;
  const catalog = createCatalogStore({ maxAge: 300_000, retryAfter: 5_000, clock: () => now }).enter('shop');
  catalog.begin().done({} as Catalog);
  return {
    catalog,
    session: () => session(catalog),
    at: (milliseconds: number) => {
      now = milliseconds;
    },
  };
}

const F = ['f()'];

describe('a name that the catalogs do not have', () => {
  it('has them read at once, and the message is judged by what is known then', () => {
    const one = shop().session();
    expect(one.waits.mustReadCatalog(true, [])).toBe(false);
    expect(one.waits.mustReadCatalog(true, F)).toBe(true);
    one.reading?.done({} as Catalog);
    // Still unknown: it is not there.
    expect(one.waits.mustReadCatalog(true, F)).toBe(false);
  });

  it('is nothing to wait for where nothing depends on them', () => {
    const one = shop().session();
    expect(one.waits.mustReadCatalog(false, F)).toBe(false);
    expect(one.reading).toBeNull();
  });

  it('does not have them read again and again', () => {
    const { session: login, at } = shop();
    const one = login();
    let readings = 0;
    for (let now = 0; now < 10_000; now += 10) {
      at(now);
      if (!one.waits.mustReadCatalog(true, F)) continue;
      readings += 1;
      one.reading?.done({} as Catalog);
      expect(one.waits.mustReadCatalog(true, F)).toBe(false);
    }
    expect(readings).toBe(4);
  });

  it('waits for a reading under way, and for one that has begun after it, where that is to be had', () => {
    const { session: login, at, catalog } = shop();
    at(300_001);
    const [reader, one, other] = [login(), login(), login()];
    expect(reader.waits.mustReadCatalog(true, [])).toBe(true);
    expect(one.waits.mustReadCatalog(true, F)).toBe(true);
    expect(other.waits.mustReadCatalog(true, F)).toBe(true);
    expect([one.reading, other.reading]).toEqual([null, null]);
    reader.reading?.done({} as Catalog);
    expect([one.asked, other.asked]).toEqual([1, 1]);
    expect(one.waits.mustReadCatalog(true, F)).toBe(true);
    // One reads for all; who comes while the gap is not over is judged by what there is.
    expect(other.waits.mustReadCatalog(true, F)).toBe(false);
    one.reading?.done({} as Catalog);
    expect(one.waits.mustReadCatalog(true, F)).toBe(false);
    expect(catalog.advice()).toBe('judge');
  });

  it('waits for the answers to what was sent before, for nothing can be read before them', () => {
    const one = shop().session();
    one.owes = true;
    expect(one.waits.mustReadCatalog(true, F)).toBe(true);
    expect(one.waits.heldBack).toBe(true);
    one.owes = false;
    expect(one.waits.mustHoldBack()).toBe(false);
    expect(one.waits.mustReadCatalog(true, F)).toBe(true);
    expect(one.reading).not.toBeNull();
  });

  it('is judged by what there is within a transaction', () => {
    const one = shop().session();
    one.inTransaction = true;
    expect(one.waits.mustReadCatalog(true, F)).toBe(false);
    // Nothing was looked for in vain.
    one.inTransaction = false;
    expect(one.waits.mustReadCatalog(true, F)).toBe(true);
  });

  it('is asked about from the start when the message was cancelled', () => {
    const { session: login, at } = shop();
    const one = login();
    expect(one.waits.mustReadCatalog(true, F)).toBe(true);
    one.waits.cancel();
    one.reading?.done({} as Catalog);
    expect(one.waits.takeCancelled()).toBe(true);
    at(1_000);
    expect(one.waits.mustReadCatalog(true, F)).toBe(true);
  });
});

describe('behind a change of the schema that is not answered yet', () => {
  it('waits what depends on the catalogs', () => {
    const { session: login, catalog } = shop();
    const one = login();
    one.waits.changesSchema();
    one.owes = true;
    expect(one.waits.mustReadCatalog(false, [])).toBe(false);
    expect(one.waits.mustReadCatalog(true, [])).toBe(true);
    expect(one.waits.heldBack).toBe(true);
    one.owes = false;
    one.waits.requestEnded('I', true);
    catalog.changed();
    expect(one.waits.mustHoldBack()).toBe(false);
    expect(one.waits.mustReadCatalog(true, [])).toBe(true);
    one.reading?.done({} as Catalog);
    expect(one.waits.mustReadCatalog(true, [])).toBe(false);
  });

  it('nothing waits any more once it is committed, and all is answered', () => {
    const one = shop().session();
    one.waits.changesSchema();
    one.waits.requestEnded('T', true);
    one.owes = true;
    // A COMMIT, maybe.
    expect(one.waits.mustReadCatalog(true, [])).toBe(true);
    one.waits.requestEnded('I', false);
    expect(one.waits.mustReadCatalog(true, [])).toBe(true);
    one.waits.requestEnded('I', true);
    expect(one.waits.mustReadCatalog(true, [])).toBe(false);
  });

  it('nothing waits within one group, whose answers come only behind the Sync that the client sends', () => {
    const one = shop().session();
    one.waits.changesSchema();
    expect(one.waits.mustReadCatalog(true, [])).toBe(false);
  });
});
