/**
 * Proofs: put together, compared, and put into words.
 *
 * Law of this file: decides nothing about conditions.
 */
import type { Found, Proof } from './condition-cover.js';
import type { Wanted } from './condition-parts.js';
import { columnsOf, type ColumnUse } from './condition-place.js';
import { cut, described } from './condition-text.js';

export const NOTHING: readonly ColumnUse[] = [];

export function proof(why: () => string, unless = NOTHING, requires = NOTHING): Proof {
  return { why, unless, requires };
}

/** One proof from several that must all hold. */
export function together(proofs: readonly Proof[], otherwise: () => string): Proof {
  let unless: readonly ColumnUse[] = NOTHING;
  let requires: readonly ColumnUse[] = NOTHING;
  for (const one of proofs) {
    unless = columnsOf(unless, one.unless) ?? NOTHING;
    requires = columnsOf(requires, one.requires) ?? NOTHING;
  }
  const why =
    proofs.length === 0 ? otherwise : (): string => cut(proofs.map((one) => one.why()).join(', and '));
  return { why, requires, unless: without(unless, requires) };
}

function without(columns: readonly ColumnUse[], others: readonly ColumnUse[]): readonly ColumnUse[] {
  return columns.filter(({ key }) => !others.some((other) => other.key === key));
}

/** Needs less: first of the catalog, then of NULLs. */
export function better(first: Proof | null, second: Proof | null): Proof | null {
  if (first === null || second === null) return first ?? second;
  const difference = first.requires.length - second.requires.length;
  return (difference === 0 ? first.unless.length - second.unless.length : difference) <= 0 ? first : second;
}

export function isFree(found: Proof | null): boolean {
  return found !== null && found.unless.length === 0 && found.requires.length === 0;
}

export function explained(found: Found | null, { node }: Wanted): Proof | null {
  if (found === null) return null;
  const why = (): string => {
    const here = described(node);
    const names = [...found.unless, ...found.requires].map(({ name }) => `"${name}"`).join(', ');
    const whatever = names === '' ? 'for every row' : `whatever ${names} is`;
    switch (found.kind) {
      case 'same':
        return names === '' ? `${here} is always true` : `${here} holds ${whatever}`;
      case 'not_null':
        return names === ''
          ? `${here} is always true`
          : `${here} holds for every row, as ${names} cannot be NULL`;
      case 'opposite':
        return `${found.first === null ? here : described(found.first)} OR its opposite holds ${whatever}`;
      case 'ranges':
        return found.first === null
          ? `${here} holds ${whatever}`
          : `${cut(`${described(found.first)} OR ${here}`)} holds ${whatever}`;
    }
  };
  return proof(why, found.unless, found.requires);
}
