/**
 * The container files cannot be run where there is no container engine; what can
 * be known without one is checked here: that they parse, that what they name is
 * there, and that every metric they ask for is one that Holdfast has.
 */
import { existsSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { parsePolicy } from '../../src/config/policy-file.js';
import { parseSettings } from '../../src/config/settings.js';
import { createMetrics } from '../../src/metrics.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

const read = (name: string) => readFile(path.join(ROOT, name), 'utf8');

interface Service {
  readonly image?: string;
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly depends_on?: readonly string[] | Readonly<Record<string, unknown>>;
  readonly networks?: readonly string[];
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
  readonly networks: Readonly<Record<string, unknown>>;
}

describe('Dockerfile', () => {
  it('copies only what .dockerignore lets in and what is there', async () => {
    const kept = new Set(
      (await read('.dockerignore'))
        .split('\n')
        .flatMap((line) => (line.startsWith('!') ? [line.slice(1)] : [])),
    );
    const lines = (await read('Dockerfile')).split('\n');
    const copied = lines
      .filter((line) => line.startsWith('COPY ') && !line.includes('--from='))
      .flatMap((line) => line.split(/\s+/).slice(1, -1));
    expect(copied.length).toBeGreaterThan(5);
    for (const source of copied) {
      expect(existsSync(path.join(ROOT, source)), source).toBe(true);
      const inContext = kept.has(source) || [...kept].some((entry) => source.startsWith(`${entry}/`));
      expect(inContext, `${source} is not kept out by .dockerignore`).toBe(true);
    }
  });

  it('runs as an ordinary user, without development dependencies, with a health check', async () => {
    const final = (await read('Dockerfile')).split(/^FROM /m).at(-1) ?? '';
    expect(final).toMatch(/^USER node$/m);
    expect(final).toMatch(/^HEALTHCHECK [\s\S]*\/healthz/m);
    expect(await read('Dockerfile')).toContain('npm prune --omit=dev');
    expect(final.indexOf('USER node')).toBeLessThan(final.indexOf('ENTRYPOINT'));
  });

  it('starts with settings and a policy that are valid', async () => {
    const env = Object.fromEntries(
      [...(await read('Dockerfile')).matchAll(/(HOLDFAST_\w+)=(\S+)/g)].map(([, name = '', value = '']) => [
        name,
        value,
      ]),
    );
    const parsed = parseSettings(await read('docker/holdfast.yaml'), '/etc/holdfast/holdfast.yaml', env);
    expect(parsed.problems).toEqual([]);
    expect(parsed.settings).toMatchObject({
      environment: 'production',
      listen: { host: '0.0.0.0', port: 6432 },
      upstream: { host: 'postgres', port: 5432 },
      admin: { host: '0.0.0.0', port: 9432 },
      policy: '/etc/holdfast/policy.yaml',
      audit: { path: '/var/lib/holdfast/audit.jsonl' },
    });
    expect(parsePolicy(await read('config/policy.yaml'), 'config/policy.yaml', {})).toHaveProperty('policy');
  });
});

describe('compose.yaml', () => {
  it('names only files, volumes, networks and services that are there', async () => {
    const compose = parse(await read('docker/compose.yaml')) as Compose;
    const names = Object.keys(compose.services);
    expect(names).toEqual(['postgres', 'holdfast', 'prometheus', 'grafana']);
    for (const [name, service] of Object.entries(compose.services)) {
      for (const mount of service.volumes ?? []) {
        const source = mount.split(':')[0] ?? '';
        if (source.startsWith('.')) expect(existsSync(path.join(ROOT, 'docker', source)), mount).toBe(true);
        else expect(compose.volumes, mount).toHaveProperty(source);
      }
      for (const network of service.networks ?? []) expect(compose.networks).toHaveProperty(network);
      const needed = service.depends_on ?? [];
      for (const other of Array.isArray(needed) ? (needed as string[]) : Object.keys(needed))
        expect(names).toContain(other);
      // What is published is published to this machine alone.
      for (const port of service.ports ?? []) expect(port, name).toMatch(/^127\.0\.0\.1:/);
    }
  });

  it('lets nobody reach PostgreSQL but Holdfast', async () => {
    const { services, networks } = parse(await read('docker/compose.yaml')) as Compose;
    expect(services['postgres']?.ports).toBeUndefined();
    expect(networks['database']).toEqual({ internal: true });
    const there = Object.keys(services).filter((name) => services[name]?.networks?.includes('database'));
    expect(there).toEqual(['postgres', 'holdfast']);
  });
});

describe('Prometheus and Grafana', () => {
  /** Every name that the exposition text declares, and the series of its histograms. */
  async function knownSeries(): Promise<Set<string>> {
    const known = new Set(['up']);
    for (const [, name = '', type] of (await createMetrics().text()).matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
      known.add(name);
      if (type === 'histogram') for (const suffix of ['_bucket', '_sum', '_count']) known.add(name + suffix);
    }
    return known;
  }

  const seriesIn = (expression: string) =>
    [...expression.matchAll(/\b(up|(?:holdfast|process|nodejs)_\w+)\b/g)].map(([name]) => name);

  async function expressions(): Promise<Map<string, string>> {
    const found = new Map<string, string>();
    const dashboard = JSON.parse(await read('docker/grafana/dashboards/holdfast.json')) as {
      panels: { title: string; datasource: { uid: string }; targets: { expr: string }[] }[];
    };
    for (const { title, targets } of dashboard.panels) {
      for (const [index, { expr }] of targets.entries()) found.set(`panel ${title} ${String(index)}`, expr);
    }
    const alerts = parse(await read('docker/alerts.yaml')) as {
      groups: { rules: { alert: string; expr: string }[] }[];
    };
    for (const { rules } of alerts.groups)
      for (const { alert, expr } of rules) found.set(`alert ${alert}`, expr);
    return found;
  }

  it('ask only for metrics that Holdfast has', async () => {
    const known = await knownSeries();
    for (const [where, expression] of await expressions()) {
      const series = seriesIn(expression);
      expect(series.length, where).toBeGreaterThan(0);
      for (const name of series) expect(known, `${where}: ${name}`).toContain(name);
    }
  });

  it('show every metric that Holdfast has', async () => {
    const shown = [...(await expressions()).values()]
      .flatMap(seriesIn)
      .map((name) => name.replace(/_bucket$/, ''));
    const own = [...(await knownSeries())].filter(
      (name) => name.startsWith('holdfast_') && !/_(bucket|sum|count)$/.test(name),
    );
    expect(own.filter((name) => !shown.includes(name))).toEqual([]);
  });

  it('are provisioned to each other', async () => {
    const folder = path.join(ROOT, 'docker/grafana/provisioning');
    for (const file of await readdir(folder, { recursive: true })) {
      if (file.endsWith('.yaml'))
        expect(parse(await readFile(path.join(folder, file), 'utf8'))).toHaveProperty('apiVersion', 1);
    }
    const { datasources } = parse(await read('docker/grafana/provisioning/datasources/prometheus.yaml')) as {
      datasources: { uid: string; url: string }[];
    };
    const dashboard = await read('docker/grafana/dashboards/holdfast.json');
    const uids = new Set(
      [...dashboard.matchAll(/"type": "prometheus",\s+"uid": "(\w+)"/g)].map(([, uid]) => uid),
    );
    expect([...uids]).toEqual(datasources.map(({ uid }) => uid));
    const { scrape_configs: scrapes } = parse(await read('docker/prometheus.yaml')) as {
      scrape_configs: { static_configs: { targets: string[] }[] }[];
    };
    expect(scrapes[0]?.static_configs[0]?.targets).toEqual(['holdfast:9432']);
  });
});
