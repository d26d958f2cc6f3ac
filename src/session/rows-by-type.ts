/**
 * Tables of what may come when (client-transitions.ts, server-transitions.ts), as they
 * are looked up for every message: by its type byte.
 */
function byType<Name extends string, Action>(
  row: Readonly<Record<Name, Action>>,
  codes: Readonly<Record<Name, number>>,
): readonly (Action | undefined)[] {
  const actions: (Action | undefined)[] = new Array<Action | undefined>(256).fill(undefined);
  for (const name of Object.keys(row) as Name[]) actions[codes[name]] = row[name];
  return actions;
}

/** `table`, a row's actions indexed by the message's type byte; undefined for a byte that is no message type. */
export function rowsByType<Row extends string, Name extends string, Action>(
  table: Readonly<Record<Row, Readonly<Record<Name, Action>>>>,
  codes: Readonly<Record<Name, number>>,
): Readonly<Record<Row, readonly (Action | undefined)[]>> {
  const entries = (Object.keys(table) as Row[]).map((row) => [row, byType(table[row], codes)] as const);
  return Object.fromEntries(entries) as unknown as Record<Row, readonly (Action | undefined)[]>;
}
