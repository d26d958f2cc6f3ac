/** Rows and columns as text. Pure. */

/** Left-aligned columns, as wide as their widest cell; columns that hold only numbers are right-aligned. */
export function formatTable(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const numeric = headings.map((_, column) => rows.every((row) => /^(\d+|gone|-)$/.test(row[column] ?? '')));
  const format = (cells: readonly string[]) =>
    cells
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return numeric[column] === true ? cell.padStart(width) : cell.padEnd(width);
      })
      .join('  ')
      .trimEnd();
  const line = widths.map((width) => '-'.repeat(width)).join('  ');
  return [format(headings), line, ...rows.map(format)].join('\n');
}
