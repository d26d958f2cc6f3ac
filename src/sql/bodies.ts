/**
 * Bodies of DO blocks, functions and procedures: the SQL in them is walked like any
 * other, so that what they do is known as far as it is written there.
 *
 * Law of this file: bounded in depth and in number, and it never throws. What it
 * cannot read it names; whether that refuses anything is decided by whoever asked.
 */
import type { Body, BodyReading, Collector, Context } from './collect.js';
import { parse, parsePlPgSql, scan } from './parser.js';
import { recordDefaults } from './plpgsql-declarations.js';
import { bindVariables } from './plpgsql-variables.js';
import { takeApart, type PlQuery, type PlVariables } from './plpgsql.js';
import { pieceOf, spanOf, type Piece, type Source } from './source.js';
import { createOffsets, type Offsets } from './offsets.js';
import { child, constant, list, unwrap, type Tree } from './tree.js';
import { command } from './visit.js';
import { walk } from './walk.js';

/** Bodies within bodies: DO in DO, or in a string that EXECUTE runs. */
const DEPTH_LIMIT = 8;

/** Pieces of SQL in the bodies of one text. Each is parsed by itself and takes some ten microseconds. */
const PIECES_LIMIT = 10_000;

/** What is left of the limits, shared by all bodies of one text. */
export interface Budget {
  pieces: number;
}

export function createBudget(): Budget {
  return { pieces: PIECES_LIMIT };
}

/** Reads one body: notes what it does in the collector, and says what could not be read. */
export function readBody(body: Body, collect: Collector, budget: Budget): BodyReading {
  const depth = collect.source().depth + 1;
  if (depth > DEPTH_LIMIT) return { unread: 'it is nested too deeply', dynamic: null };
  const reader = createReader(body, collect, budget, depth);
  if (body.language === 'sql') return reader.sql();
  if (body.language === 'plpgsql') return reader.plpgsql();
  return { unread: `it is written in "${body.language}"`, dynamic: null };
}

interface Reader {
  sql(): BodyReading;
  plpgsql(): BodyReading;
}

const NAMELESS: PlVariables = { scalars: new Set(), rows: new Set(), labels: new Set() };

function createReader(body: Body, collect: Collector, budget: Budget, depth: number): Reader {
  const outer = collect.source();
  const literal = outer.local.toUtf16(body.location);
  const verbatim = outer.text.indexOf(body.text, literal);
  /** The body as a source; a body that stands in quotes with escapes is pointed at as a whole. */
  const source = pieceOf(
    outer,
    { text: body.text, start: verbatim === -1 ? null : verbatim, anchor: literal },
    depth,
  );
  let dynamic: string | null = null;

  /** Walks one statement of a piece. `expression`: it is none but was made one. */
  const visitOne = (
    raw: Tree,
    piece: Source,
    context: Context,
    variables: PlVariables,
    expression: boolean,
  ) => {
    if (budget.pieces <= 0) return 'it holds too many statements';
    budget.pieces -= 1;
    const statement = raw['stmt'];
    bindVariables(statement, variables);
    const own: Source = {
      ...piece,
      statement: () => piece.text.slice(...spanOf(raw, piece.text, piece.local)),
    };
    const problem = collect.enter(own, () => {
      if (!expression) command(statement, context, collect);
      return walk(statement, context, collect);
    });
    if (problem !== null) return `it holds ${problem.type}, which Holdfast does not know`;
    return collect.namesInBodies() ? 'it prepares or discards statements' : null;
  };

  const visit = (
    piece: Source,
    context: Context,
    variables: PlVariables,
    expression: boolean,
  ): string | null => {
    const parsed = parse(piece.text);
    if (parsed.kind !== 'statements') return 'the parser refuses a part of it';
    let problem: string | null = null;
    for (const raw of parsed.statements) problem ??= visitOne(raw, piece, context, variables, expression);
    return problem;
  };

  const expression = (piece: Piece, variables: PlVariables): string | null =>
    visit(pieceOf(source, selected(piece), depth), body.context, variables, true);

  /** Many expressions, parsed at once: most of what a small expression costs is the call of the parser. */
  const expressions = (pieces: readonly Piece[], variables: PlVariables): string | null => {
    let problem: string | null = null;
    for (let from = 0; from < pieces.length; from += BATCH) {
      const some = pieces.slice(from, from + BATCH);
      const together = parseTogether(some.map((piece) => SELECT + piece.text));
      for (const [index, piece] of some.entries()) {
        const raw = together?.statements[index];
        const { start, anchor } = selected(piece);
        if (together === null || raw === undefined) {
          problem ??= expression(piece, variables);
          continue;
        }
        const before = together.starts[index] ?? 0;
        const whole = { text: together.text, start: start === null ? null : start - before, anchor };
        problem ??= visitOne(
          raw,
          pieceOf(source, whole, depth, together.offsets),
          body.context,
          variables,
          true,
        );
      }
    }
    return problem;
  };

  /** One piece of PL/pgSQL; plain expressions are left to `later`. */
  const query = (step: PlQuery, places: Places, variables: PlVariables, later: Piece[]): string | null => {
    const { start, anchor } = places.find(step);
    if (step.form === 'assignment') {
      const parts = assignment(step.query);
      if (parts === null) return 'it holds an assignment that Holdfast cannot read';
      if (parts.target !== '') later.push({ text: parts.target, start, anchor });
      later.push({ text: parts.value, start: start === null ? null : start + parts.offset, anchor });
      return null;
    }
    const piece = { text: step.query, start, anchor };
    if (step.form === 'statement')
      return visit(pieceOf(source, piece, depth), body.context, variables, false);
    later.push(piece);
    return step.dynamic ? execute(step.query, start ?? anchor) : null;
  };

  /** EXECUTE of a constant is as good as the statement itself; of anything else it is dynamic. */
  const execute = (text: string, anchor: number): string | null => {
    const value = constantOf(text);
    if (value === null) {
      dynamic ??= 'it executes a string that is put together when it runs';
      return null;
    }
    const within = `under EXECUTE ${body.context.within}`;
    return visit(
      pieceOf(source, { text: value, start: null, anchor }, depth),
      { ...body.context, within },
      NAMELESS,
      false,
    );
  };

  return {
    sql() {
      const scalars = new Set(body.parameters);
      const labels = new Set([body.name]);
      const parsed = parse(body.text);
      // The server says by itself that this is no SQL, and creates nothing.
      if (parsed.kind === 'syntax_error') return READ;
      return {
        unread: visit(source, body.context, { scalars, rows: NAMELESS.rows, labels }, false),
        dynamic,
      };
    },
    plpgsql() {
      const functions = parsePlPgSql(outer.statement());
      const tree = functions?.length === 1 ? takeApart(functions[0]) : null;
      if (tree === null) return { unread: "PL/pgSQL's parser refuses it", dynamic: null };
      if (tree.steps.length > budget.pieces) return { unread: 'it holds too many statements', dynamic: null };
      const places = createPlaces(body.text);
      const variables = { ...tree.variables, labels: new Set([...tree.variables.labels, body.name]) };
      let unread = tree.unknown === null ? null : `it holds ${tree.unknown}, which Holdfast does not know`;
      const later: Piece[] = [];
      const flush = () => {
        const problem = expressions(later.splice(0), variables);
        unread ??= problem;
      };
      const defaults = recordDefaults(body.text, tree.records);
      if (defaults === null) unread ??= 'it holds a declaration that Holdfast cannot read';
      for (const text of defaults ?? []) later.push({ text, start: null, anchor: places.first });
      for (const step of tree.steps) {
        // In the order of the code, as far as that can be had.
        if (!('query' in step) || step.form === 'statement') flush();
        if (!('query' in step)) {
          collect.act(body.context, { operation: step.form, effect: 'transaction' });
          continue;
        }
        const problem = query(step, places, variables, later);
        unread ??= problem;
      }
      flush();
      return { unread, dynamic };
    },
  };
}

const READ: BodyReading = { unread: null, dynamic: null };

/** What makes an expression of PL/pgSQL a statement of SQL. */
const SELECT = 'SELECT ';

/** Expressions that are parsed in one call. */
const BATCH = 100;

function selected({ text, start, anchor }: Piece): Piece {
  return { text: SELECT + text, start: start === null ? null : start - SELECT.length, anchor };
}

interface Together {
  readonly text: string;
  readonly offsets: Offsets;
  readonly statements: readonly Tree[];
  /** UTF-16 offset of each in `text`. */
  readonly starts: readonly number[];
}

/** Parses statements in one call; null unless each of them is found exactly in its own place, as if parsed alone. */
function parseTogether(texts: readonly string[]): Together | null {
  if (texts.length < 2) return null;
  const text = texts.join(BETWEEN);
  const parsed = parse(text);
  if (parsed.kind !== 'statements' || parsed.statements.length !== texts.length) return null;
  const offsets = createOffsets(text);
  const starts: number[] = [];
  let start = 0;
  for (const [index, each] of texts.entries()) {
    const [from, to] = spanOf(parsed.statements[index] ?? {}, text, offsets);
    if (from < start || to > start + each.length + 1) return null;
    starts.push(start);
    start += each.length + BETWEEN.length;
  }
  return { text, offsets, statements: parsed.statements, starts };
}

/** The line break ends a comment that the statement before may end in. */
const BETWEEN = '\n;\n';

/** `target := value`; a target without subscripts computes nothing and is given as ''. */
function assignment(text: string): { target: string; value: string; offset: number } | null {
  const simple = /^[A-Za-z_][\w$]*(?:\.[A-Za-z_][\w$]*)*\s*:?=(?![>=])/.exec(text);
  if (simple !== null) return { target: '', value: text.slice(simple[0].length), offset: simple[0].length };
  const tokens = scan(text);
  if (tokens === null) return null;
  let depth = 0;
  for (const token of tokens) {
    if (token.text === '[' || token.text === '(') depth += 1;
    if (token.text === ']' || token.text === ')') depth -= 1;
    if (depth > 0 || (token.text !== ':=' && token.text !== '=')) continue;
    const bytes = Buffer.from(text, 'utf8');
    const target = bytes.subarray(0, token.start).toString('utf8');
    const upTo = bytes.subarray(0, token.end).toString('utf8');
    return {
      target: target.includes('[') ? target : '',
      value: text.slice(upTo.length),
      offset: upTo.length,
    };
  }
  return null;
}

/** The value of an expression that is a constant, else null. */
function constantOf(text: string): string | null {
  const parsed = parse(SELECT + text);
  if (parsed.kind !== 'statements' || parsed.statements.length !== 1) return null;
  const select = child(unwrap(parsed.statements[0]?.['stmt'], 'SelectStmt'));
  const only: Tree = { targetList: select['targetList'], limitOption: 0, op: 0 };
  if (Object.keys(select).some((key) => !Object.hasOwn(only, key))) return null;
  const targets = list(select['targetList']);
  if (targets.length !== 1) return null;
  return constant(unwrap(targets[0], 'ResTarget')?.['val']) ?? null;
}

/** Where the pieces of a body stand in it, as far as its lines and their text tell. */
interface Places {
  /** Of the first thing in the body that is no white space. */
  readonly first: number;
  find(step: PlQuery): { start: number | null; anchor: number };
}

function createPlaces(body: string): Places {
  const starts = [0];
  for (let at = body.indexOf('\n'); at !== -1; at = body.indexOf('\n', at + 1)) starts.push(at + 1);
  const first = Math.max(body.search(/\S/), 0);
  let searched = 0;
  return {
    first,
    find({ query, line }) {
      const from = starts[line - 1] ?? 0;
      // PERFORM was made SELECT, and INTO was blotted out: what stands before that is looked for.
      const performed = query.startsWith(SELECT);
      const skip = performed ? SELECT.length : 0;
      const needle = (/^(?:.|\n)*?(?=\s{5}|$)/.exec(query.slice(skip))?.[0] ?? '').trimEnd();
      if (needle === '') return { start: null, anchor: from };
      // Several pieces of one line follow each other.
      let at = body.indexOf(needle, Math.max(from, searched));
      if (at === -1) at = body.indexOf(needle, from);
      if (at === -1) return { start: null, anchor: from };
      searched = at;
      return { start: at - skip, anchor: at };
    },
  };
}
