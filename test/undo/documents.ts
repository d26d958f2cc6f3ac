/** A small undo document. */
import type { UndoDocument, UndoTable } from '../../src/undo/document.js';

export function table(changes: Partial<UndoTable> = {}): UndoTable {
  const columns = ['id', 'name'].map((name, at) => ({
    name,
    type: ['pg_catalog', at === 0 ? 'int4' : 'text'] as const,
    generated: false,
    always: false,
  }));
  return { schema: 'public', name: 'account', columns, key: ['id'], ...changes };
}

export function document(changes: Partial<UndoDocument> = {}): UndoDocument {
  return {
    version: 1,
    decision: 'ab12-1-7',
    hold: '3md7dn6tkk',
    at: '2026-01-02T03:04:05.678Z',
    transaction: '731',
    environment: 'production',
    database: 'shop',
    user: 'eng_dana',
    role: 'engineers',
    sql: 'UPDATE account SET name = NULL',
    tables: [table()],
    triggers: [],
    sequences: [],
    rows: [
      { table: 0, was: ['1', "it's"], left: ['1', null] },
      { table: 0, was: ['2', null], left: null },
      { table: 0, was: null, left: ['3', 'new'] },
    ],
    ...changes,
  };
}
