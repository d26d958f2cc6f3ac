import { describe, expect, inject, test } from 'vitest';
import { analyze, loadParser } from '../../src/sql/analyze.js';
import { grammarError } from '../../src/sql/grammar-errors.js';
import { withClient } from '../support/postgres.js';

/** Texts that the grammar refuses with more than a message, and some that it refuses with nothing more. */
const TEXTS = [
  'SELEC 1',
  'SELECT 1 FROM',
  "SELECT U&'wrong: \\061'",
  "SELECT E'wrong: \\u061'",
  "SELECT U&'wrong: +0061' UESCAPE '+'",
  'DROP OPERATOR === (int4)',
  'CREATE POLICY p ON t AS UGLY USING (true)',
  'ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u MATCH PARTIAL',
  "SELECT 'unterminated",
  'SELECT 1 /* unterminated',
  'SELECT ""',
  'CREATE PUBLICATION p FOR testpub_tbl1, TABLE t',
];

interface ServerError {
  readonly code: string;
  readonly message: string;
  readonly detail?: string;
  readonly hint?: string;
  readonly position?: string;
}

describe('a text that the grammar refuses is answered as the server answers it', () => {
  // Other versions word some of these otherwise.
  const skip = inject('postgresKind') === 'url';
  test.skipIf(skip).each(TEXTS)('%s', async (sql) => {
    await loadParser();
    const analysis = analyze(sql);
    if (analysis.kind !== 'syntax_error') throw new Error(`it was ${analysis.kind}`);
    const error = await withClient((client) =>
      client.query(sql).then(
        () => null,
        (reason: unknown) => reason as ServerError,
      ),
    );
    const { sqlstate, detail, hint } = grammarError(analysis.message, sql, analysis.position);
    expect({
      sqlstate,
      message: analysis.message,
      detail,
      hint,
      position: analysis.position?.toString(),
    }).toEqual({
      sqlstate: error?.code,
      message: error?.message,
      detail: error?.detail ?? null,
      hint: error?.hint ?? null,
      position: error?.position,
    });
  });
});
