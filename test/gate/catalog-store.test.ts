/** When the catalogs of a database are read, by whom, and what counts in the meantime. */
import { describe, expect, it, vi } from 'vitest';
import type { Catalog } from '../../src/catalog/catalog.js';
import { createCatalogStore } from '../../src/gate/catalog-store.js';
import type { CatalogStore } from '../../src/gate/catalog-store.js';

const snapshot = (database: string): Catalog => ({ database }) as Catalog;

interface Clocked {
  readonly store: CatalogStore;
  readonly at: (milliseconds: number) => void;
}

function store(): Clocked {
  let now = 0;
  return {
    store: createCatalogStore({ maxAge: 1000, retryAfter: 100, clock: () => now }),
    at(milliseconds) {
      now = milliseconds;
    },
  };
}

describe('what is known of a database', () => {
  it('is nothing until it has been read; one reads, the others wait', () => {
    const shop = store().store.enter('shop');
    expect(shop.current).toBeNull();
    expect(shop.advice()).toBe('read');
    const reading = shop.begin();
    expect(shop.advice()).toBe('wait');
    expect(() => shop.begin()).toThrow();
    const waited = vi.fn();
    shop.whenRead(waited);
    expect(waited).not.toHaveBeenCalled();
    const known = snapshot('shop');
    reading.done(known);
    expect(waited).toHaveBeenCalledTimes(1);
    expect(shop.current).toBe(known);
    expect(shop.advice()).toBe('judge');
  });

  it('gets old; while it is read again the old one counts', () => {
    const { store: catalogs, at } = store();
    const shop = catalogs.enter('shop');
    const first = snapshot('shop');
    shop.begin().done(first);
    at(1000);
    expect(shop.advice()).toBe('judge');
    at(1001);
    expect(shop.advice()).toBe('read');
    const reading = shop.begin();
    expect(shop.advice()).toBe('judge');
    expect(shop.current).toBe(first);
    const second = snapshot('shop');
    reading.done(second);
    expect(shop.current).toBe(second);
    expect(shop.advice()).toBe('judge');
  });

  it('is out of date after a change of the schema; a change during a reading is not in it', () => {
    const shop = store().store.enter('shop');
    shop.begin().done(snapshot('shop'));
    shop.changed();
    expect(shop.advice()).toBe('read');
    const reading = shop.begin();
    expect(shop.advice()).toBe('wait');
    shop.changed();
    reading.done(snapshot('shop'));
    expect(shop.advice()).toBe('read');
    shop.begin().done(snapshot('shop'));
    expect(shop.advice()).toBe('judge');
  });

  it('is nothing after a reading that failed, which is not repeated at once', () => {
    const { store: catalogs, at } = store();
    const shop = catalogs.enter('shop');
    shop.begin().done(snapshot('shop'));
    shop.changed();
    const reading = shop.begin();
    const waited = vi.fn();
    shop.whenRead(waited);
    reading.failed();
    expect(waited).toHaveBeenCalledTimes(1);
    expect(shop.current).toBeNull();
    expect(shop.advice()).toBe('judge');
    at(100);
    expect(shop.advice()).toBe('read');
  });

  it('is left as it is by a reading whose session ended, and somebody else may read', () => {
    const shop = store().store.enter('shop');
    const reading = shop.begin();
    const waited = vi.fn();
    shop.whenRead(waited);
    reading.abandoned();
    expect(waited).toHaveBeenCalledTimes(1);
    expect(shop.advice()).toBe('read');
    reading.done(snapshot('late'));
    expect(shop.current).toBeNull();
  });

  it('calls back at once when nothing is being read', () => {
    const waited = vi.fn();
    store().store.enter('shop').whenRead(waited);
    expect(waited).toHaveBeenCalledTimes(1);
  });
});

describe('names that the snapshot does not have', () => {
  it('have it read before its time, once in a while', () => {
    const { store: catalogs, at } = store();
    const shop = catalogs.enter('shop');
    // Nothing is known, so everything is unknown; that is advice()'s.
    expect(shop.adviceOn(['f()'])).toBe('judge');
    shop.begin().done(snapshot('shop'));
    expect(shop.advice()).toBe('judge');
    expect(shop.adviceOn(['f()'])).toBe('read');
    const reading = shop.begin();
    shop.seeks(['f()']);
    reading.done(snapshot('shop'));
    expect(shop.adviceOn(['f()', 'g()'])).toBe('judge');
    at(999);
    expect(shop.adviceOn(['g()'])).toBe('judge');
    at(1000);
    expect(shop.adviceOn(['g()'])).toBe('read');
  });

  it('wait for a reading that is under way', () => {
    const { store: catalogs, at } = store();
    const shop = catalogs.enter('shop');
    shop.begin().done(snapshot('shop'));
    at(1001);
    const reading = shop.begin();
    expect(shop.advice()).toBe('judge');
    expect(shop.adviceOn(['f()'])).toBe('wait');
    // It may have begun before the function was made.
    reading.done(snapshot('shop'));
    expect(shop.adviceOn(['f()'])).toBe('read');
  });

  it('are not looked for where the last reading has just failed', () => {
    const { store: catalogs, at } = store();
    const shop = catalogs.enter('shop');
    shop.begin().done(snapshot('shop'));
    const reading = shop.begin();
    shop.seeks(['f()']);
    reading.failed();
    at(50);
    expect(shop.adviceOn(['g()'])).toBe('judge');
  });
});

describe('databases', () => {
  it('are shared by the sessions in them, and kept once they are known', () => {
    const { store: catalogs } = store();
    const one = catalogs.enter('shop');
    expect(catalogs.enter('shop')).toBe(one);
    expect(catalogs.enter('other')).not.toBe(one);
    const known = snapshot('shop');
    one.begin().done(known);
    catalogs.leave('shop');
    catalogs.leave('shop');
    expect(catalogs.current('shop')).toBe(known);
    expect(catalogs.enter('shop')).toBe(one);
  });

  it('that nobody got into are forgotten', () => {
    const { store: catalogs } = store();
    const tried = catalogs.enter('no_such_database');
    catalogs.leave('no_such_database');
    expect(catalogs.enter('no_such_database')).not.toBe(tried);
    catalogs.leave('never_entered');
    expect(catalogs.current('never_entered')).toBeNull();
  });
});
