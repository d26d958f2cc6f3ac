/** What the admin port says of a running Holdfast, as a Prometheus server sees it. */

/** The sum of all samples of `name` whose labels include `labels`; 0 when there is none. */
export async function metric(
  holdfast: { readonly adminPort: number },
  name: string,
  labels: Readonly<Record<string, string>> = {},
): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${String(holdfast.adminPort)}/metrics`);
  let sum = 0;
  for (const line of (await response.text()).split('\n')) {
    const match = /^([a-z0-9_]+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (match === null || match[1] !== name) continue;
    const has = Object.entries(labels).every(
      ([label, value]) => match[2]?.includes(`${label}="${value}"`) === true,
    );
    if (has) sum += Number(match[3]);
  }
  return sum;
}
