/**
 * One YAML file: its data, with `${NAME}` taken from the environment, and the
 * place of every value in it.
 *
 * Law: knows YAML and places, nothing of what settings or policies mean.
 */
import { readFile } from 'node:fs/promises';
import { LineCounter, isAlias, isMap, isNode, isScalar, isSeq, parseDocument, visit } from 'yaml';
import type { Document, Node } from 'yaml';
import type { Problem } from './problems.js';

type Path = readonly PropertyKey[];

/** The environment that `${NAME}` reads from, as `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>;

export interface YamlSource {
  readonly file: string;
  /** What is wrong with the file as YAML, and variables that are not set. */
  readonly problems: readonly Problem[];
  /** The file's content as plain data; null where it is empty or no YAML. */
  data(): unknown;
  /** A problem at a value, or at the key that names it; where the path does not exist, at what would hold it. */
  problem(path: Path, message: string, target?: 'key' | 'value'): Problem;
  /** A problem of the value at this path is among `problems` already. */
  hasProblem(path: Path): boolean;
  /** Makes a number of a text that came from the environment; false where that is not possible. */
  convertNumber(path: Path): boolean;
}

/** Reads a file's bytes as UTF-8. The result is the text, or the one problem that hinders. */
export async function readText(
  path: string,
): Promise<{ readonly text: string; readonly bytes: Buffer } | { readonly problem: Problem }> {
  const problem = (message: string): { problem: Problem } => ({
    problem: { file: path, line: 1, column: 1, message },
  });
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    return problem(`cannot be read: ${reasonOf(error)}`);
  }
  try {
    return { text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes), bytes };
  } catch {
    return problem('is not valid UTF-8');
  }
}

/** Why the file system refused, in words: `no such file`. */
export function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  switch (code) {
    case 'ENOENT':
      return 'no such file';
    case 'EACCES':
      return 'permission denied';
    case 'EISDIR':
      return 'it is a directory';
    default:
      return error instanceof Error ? error.message : String(error);
  }
}

/** Parses YAML 1.2 (`off` and `no` are text). Never throws: mistakes are in `problems`. */
export function parseYaml(text: string, file: string, env: Environment): YamlSource {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  const problems: Problem[] = [];
  const troubled = new Set<Node>();
  const fromEnvironment = new Set<Node>();

  const at = (offset: number, message: string): Problem => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(line, 1), column: Math.max(col, 1), message };
  };
  const start = (node: Node | null): number => node?.range?.[0] ?? 0;

  // One misplaced character confuses the parser about all that follows: of such errors only the first helps.
  const isDuplicate = (error: { readonly code: string }): boolean => error.code === 'DUPLICATE_KEY';
  const syntax = [...document.errors, ...document.warnings].filter((error) => !isDuplicate(error));
  for (const error of [...document.errors.filter(isDuplicate), ...syntax.slice(0, 1)]) {
    problems.push(at(error.pos[0], yamlWords(error.code, error.message)));
  }
  if (document.errors.length === 0) {
    visit(document, {
      Scalar: (key, node) => {
        if (key === 'key' || typeof node.value !== 'string' || !node.value.includes('${')) return;
        const { value, problem } = interpolated(node.value, env);
        fromEnvironment.add(node);
        if (problem === null) node.value = value;
        else {
          troubled.add(node);
          problems.push(at(start(node), problem));
        }
      },
    });
  }

  const plain = (): unknown => {
    try {
      return document.toJS({ maxAliasCount: 100 });
    } catch (error) {
      problems.push(at(0, error instanceof Error ? error.message : String(error)));
      return null;
    }
  };
  let cached: { readonly data: unknown } | null = null;

  return {
    file,
    problems,
    data: () => (cached ??= { data: document.errors.length > 0 ? null : plain() }).data,
    problem: (path, message, target = 'value') => {
      const found = lookUp(document, path);
      return at(start(target === 'key' ? (found.key ?? found.node) : (found.node ?? found.key)), message);
    },
    hasProblem: (path) => {
      const { node } = lookUp(document, path);
      return node !== null && troubled.has(node);
    },
    convertNumber: (path) => {
      const { node } = lookUp(document, path);
      if (!isScalar(node) || !fromEnvironment.has(node)) return false;
      const text: unknown = node.value;
      if (typeof text !== 'string' || !/^-?\d+(\.\d+)?$/.test(text)) return false;
      node.value = Number(text);
      cached = null;
      return true;
    },
  };
}

function interpolated(text: string, env: Environment): { value: string; problem: string | null } {
  let problem: string | null = null;
  const value = text.replace(/\$\{([^}]*)\}?/g, (whole, name: string) => {
    if (!whole.endsWith('}') || !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
      problem ??= `${whole} names no environment variable: expected \${NAME}`;
      return whole;
    }
    const found = env[name];
    if (found === undefined) problem ??= `the environment variable ${name} is not set`;
    return found ?? whole;
  });
  return { value, problem };
}

/** The deepest node on the path that exists, and the key that names it. */
function lookUp(document: Document, path: Path): { node: Node | null; key: Node | null } {
  let node: Node | null = resolved(document, document.contents);
  let key: Node | null = null;
  for (const segment of path) {
    if (isMap(node)) {
      const pair = node.items.find(
        (item) => isScalar(item.key) && String(item.key.value) === String(segment),
      );
      if (pair === undefined) break;
      key = isNode(pair.key) ? pair.key : null;
      node = isNode(pair.value) ? resolved(document, pair.value) : null;
    } else if (isSeq(node) && typeof segment === 'number') {
      const item = node.items[segment];
      if (!isNode(item)) break;
      key = null;
      node = resolved(document, item);
    } else break;
  }
  return { node, key };
}

function resolved(document: Document, node: unknown): Node | null {
  if (isAlias(node)) return node.resolve(document) ?? null;
  return isNode(node) ? node : null;
}

/** The parser's words, where they are not plain enough. */
function yamlWords(code: string, message: string): string {
  switch (code) {
    case 'DUPLICATE_KEY':
      return 'this key stands here twice; which of the two counts?';
    case 'TAB_AS_INDENT':
      return 'tabs cannot indent YAML; use spaces';
    default:
      return `not valid YAML: ${message}`;
  }
}
