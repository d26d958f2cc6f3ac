/**
 * What a text of SQL does: parse it, walk it, collect the facts.
 *
 * Law of this file: pure; it never throws and never recurses on the tree. It cannot
 * see what no syntax shows: the functions behind operators, casts, domains, views,
 * defaults and row security, and what user-defined functions do. For those there is
 * the server's own read-only mode, and measuring before commit.
 */
import { createBudget, readBody, type Budget } from './bodies.js';
import { createCollector, TOP, type Readers } from './collect.js';
import type { Analysis, StatementFacts } from './facts.js';
import { createOffsets, type Offsets } from './offsets.js';
import { loadParser, parse } from './parser.js';
import { createSecretFinder, type SecretFinder } from './secrets.js';
import { spanOf, topSource } from './source.js';
import { command } from './visit.js';
import { walk, type Unclassified } from './walk.js';

export { loadParser };

/**
 * Texts up to this many bytes are analysed where they arrive; larger ones belong in
 * a worker thread. 8 KiB of the deepest nesting that the grammar permits still fits
 * the stack of the main thread with room to spare, and parse in a few milliseconds.
 */
export const INLINE_LIMIT_BYTES = 8192;

/**
 * Statements that one text may hold. Each takes several hundred bytes of facts and a
 * record of its own, where its text may be eight bytes long: without a bound, a few
 * megabytes of `SELECT 1;` would occupy the event loop for seconds and fill the heap.
 */
const STATEMENTS_LIMIT = 10_000;

/**
 * Analyses one text: a Query string or the text of a Parse. The caller guarantees
 * that it holds no NUL and is well-formed. A text without any statement gives one
 * statement with the operation `empty`, so that there is always something to judge
 * and to record.
 */
export function analyze(sql: string): Analysis {
  try {
    return analyzeText(sql);
  } catch {
    // Nothing below throws by design; if something does, nobody may pass through the gap.
    return { kind: 'unclassified', message: 'the statement could not be analysed', offset: null };
  }
}

function analyzeText(sql: string): Analysis {
  const parsed = parse(sql);
  if (parsed.kind !== 'statements') return parsed;
  if (parsed.statements.length > STATEMENTS_LIMIT) {
    return {
      kind: 'too_complex',
      sqlstate: '54000',
      message: `the text holds ${String(parsed.statements.length)} statements; at most ${String(STATEMENTS_LIMIT)} are judged at once`,
    };
  }
  const offsets = createOffsets(sql);
  if (parsed.statements.length === 0) {
    const facts = createCollector(topSource(sql, [0, 0], offsets), NOTHING_INSIDE).finish(
      [0, sql.length],
      [],
    );
    return { kind: 'statements', statements: [{ ...facts, needs: [] }] };
  }
  const text: Text = { sql, offsets, secrets: createSecretFinder(sql, offsets), budget: createBudget() };
  const statements: StatementFacts[] = [];
  for (const raw of parsed.statements) {
    const facts = analyzeStatement(raw['stmt'], spanOf(raw, sql, offsets), text, false);
    if (!('operation' in facts)) return unclassified(facts, offsets);
    statements.push(facts);
  }
  return { kind: 'statements', statements };
}

/** What all statements of one text share. */
interface Text {
  readonly sql: string;
  readonly offsets: Offsets;
  readonly secrets: SecretFinder;
  readonly budget: Budget;
}

function analyzeStatement(
  statement: unknown,
  span: readonly [number, number],
  text: Text,
  inner: boolean,
): StatementFacts | Unclassified {
  // PREPARE and DECLARE hold no further PREPARE or DECLARE in PostgreSQL's grammar, so one level is all there is.
  const readers: Readers = {
    inner: (query) => {
      if (inner) return noInner();
      const facts = analyzeStatement(query, span, text, true);
      // The walk over the outer statement meets the same node and refuses the whole.
      return 'operation' in facts ? facts : noInner();
    },
    body: (body, collector) => readBody(body, collector, text.budget),
  };
  const collect = createCollector(topSource(text.sql, span, text.offsets), readers);
  command(statement, TOP, collect);
  const problem = walk(statement, TOP, collect);
  if (problem !== null) return problem;
  return collect.finish(span, text.secrets.find(span, collect.secretPlaces));
}

/** The facts of nothing, for where the grammar cannot put a statement. */
function noInner(): StatementFacts {
  return createCollector(topSource('', [0, 0], { toUtf16: (byte) => byte }), NOTHING_INSIDE).finish(
    [0, 0],
    [],
  );
}

/** For what holds no statement. */
const NOTHING_INSIDE: Readers = {
  inner: noInner,
  body: () => ({ unread: 'it stands where none is expected', dynamic: null }),
};

function unclassified(problem: Unclassified, offsets: Offsets): Analysis {
  return {
    kind: 'unclassified',
    message: `the statement holds ${problem.type}, which Holdfast does not know`,
    offset: problem.location === null || problem.location < 0 ? null : offsets.toUtf16(problem.location),
  };
}
