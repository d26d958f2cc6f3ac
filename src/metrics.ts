/**
 * What Holdfast counts, under the names of design.md §7.
 *
 * Law of this file: it owns the metrics' names, labels and buckets, and knows
 * nothing of what they measure. The hot path never looks a label up: it holds a
 * child, resolved once per session or per cached decision, and a child's `inc` is
 * one addition to a field. prom-client formats the text and supplies the process
 * metrics; it sees the values at scrape time only.
 *
 * No label may hold SQL, a literal or a user's free text. The callers guarantee
 * that; the cap on children per metric is the second line, so that a mistake
 * costs precision and not memory.
 */
import { collectDefaultMetrics, Registry, type Metric } from 'prom-client';

/** Children per metric; label sets beyond it share one child whose labels are all `other`. */
export const MAX_CHILDREN = 10_000;

const OVERFLOW_LABEL = 'other';

export interface CounterChild {
  /** Adds `n` (1 where omitted; never negative). */
  inc(n?: number): void;
}

export interface GaugeChild {
  inc(n?: number): void;
  dec(n?: number): void;
  set(value: number): void;
}

export interface HistogramChild {
  /** `seconds`: the unit of every histogram here. */
  observe(seconds: number): void;
}

/** A metric with labels. `child` always answers the same object for the same label values: keep it. */
export interface Family<Labels extends readonly string[], Child> {
  child(...values: { readonly [K in keyof Labels]: string }): Child;
}

export interface Metrics {
  readonly decisions: Family<['role', 'operation', 'verdict'], CounterChild>;
  readonly ruleMatches: Family<['role', 'rule', 'action'], CounterChild>;
  readonly decisionSeconds: HistogramChild;
  readonly sessions: Family<['role'], GaugeChild>;
  readonly sessionsRefused: Family<['reason'], CounterChild>;
  readonly holds: Family<['state'], GaugeChild>;
  /** 1 while a shared store of holds can be reached, 0 while not. */
  readonly holdsStoreUp: { set(value: number): void };
  readonly holdWaitSeconds: HistogramChild;
  readonly webhookDeliveries: Family<['result'], CounterChild>;
  readonly rowsAffected: Family<['role', 'operation'], CounterChild>;
  readonly upstreamErrors: Family<['reason'], CounterChild>;
  readonly auditRecords: Family<['kind'], CounterChild>;
  readonly auditFailures: CounterChild;
  readonly auditWriteSeconds: HistogramChild;
  readonly policyReloads: Family<['result'], CounterChild>;
  /** The policy in force: `set` replaces the one series that there is. */
  readonly policyInfo: { set(sha256: string): void };
  readonly analysisCache: Family<['result'], CounterChild>;
  readonly catalogReads: Family<['result'], CounterChild>;
  readonly catalogReadSeconds: HistogramChild;
  /** The Content-Type of `text()`. */
  readonly contentType: string;
  /** Everything in Prometheus' text exposition format 0.0.4. */
  text(): Promise<string>;
}

/** Microseconds for a cached decision up to seconds for a large text in the analysis pool. */
const DECISION_BUCKETS = [5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 5e-3, 2.5e-2, 0.1, 0.5, 1, 5];
/** A write to the page cache takes microseconds, a flush to disk milliseconds. */
const AUDIT_WRITE_BUCKETS = [5e-6, 1e-5, 2.5e-5, 1e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 0.1, 0.5, 1];
const CATALOG_READ_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** People answer in minutes. */
const HOLD_WAIT_BUCKETS = [1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600];

/** One sample as prom-client's registry formats it. */
interface Sample {
  readonly value: number;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly metricName?: string;
}

interface Description {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
}

/** A number that is read at scrape time. */
interface Cell extends GaugeChild {
  value: number;
}

function createCell(): Cell {
  return {
    value: 0,
    inc(n = 1) {
      this.value += n;
    },
    dec(n = 1) {
      this.value -= n;
    },
    set(value) {
      this.value = value;
    },
  };
}

interface HistogramCell extends HistogramChild {
  /** Per bucket, not cumulative; the last one is +Inf. */
  readonly counts: number[];
  sum: number;
}

function createHistogramCell(buckets: readonly number[]): HistogramCell {
  return {
    counts: new Array<number>(buckets.length + 1).fill(0),
    sum: 0,
    observe(seconds) {
      // Linear: most values end in the first few buckets, where this beats a binary search.
      let bucket = 0;
      while (bucket < buckets.length && seconds > (buckets[bucket] as number)) bucket++;
      this.counts[bucket] = (this.counts[bucket] ?? 0) + 1;
      this.sum += seconds;
    },
  };
}

/**
 * Hands samples to prom-client at scrape time. The registry needs of a metric
 * only `name` and `get()`; its type names its own four classes, hence the cast.
 */
function register(registry: Registry, description: Description, samples: () => readonly Sample[]): void {
  const source = {
    ...description,
    aggregator: 'sum',
    get: () => Promise.resolve({ ...description, aggregator: 'sum', values: samples() }),
  };
  registry.registerMetric(source as unknown as Metric);
}

function family<const Labels extends readonly string[]>(
  registry: Registry,
  description: Description,
  labelNames: Labels,
): Family<Labels, Cell> {
  const children = new Map<string, { readonly labels: Record<string, string>; readonly cell: Cell }>();
  register(registry, description, () =>
    Array.from(children.values(), ({ labels, cell }) => ({ labels, value: cell.value })),
  );

  function add(key: string, values: readonly string[]): Cell {
    const labels = Object.fromEntries(labelNames.map((name, index) => [name, values[index] ?? '']));
    const cell = createCell();
    children.set(key, { labels, cell });
    return cell;
  }

  const overflowValues = labelNames.map(() => OVERFLOW_LABEL);
  return {
    child(...values) {
      const key = values.join('\u0000');
      const known = children.get(key);
      if (known !== undefined) return known.cell;
      if (children.size < MAX_CHILDREN) return add(key, values);
      const overflowKey = overflowValues.join('\u0000');
      return children.get(overflowKey)?.cell ?? add(overflowKey, overflowValues);
    },
  };
}

function single(registry: Registry, description: Description): Cell {
  const cell = createCell();
  register(registry, description, () => [{ labels: {}, value: cell.value }]);
  return cell;
}

function histogram(
  registry: Registry,
  name: string,
  help: string,
  buckets: readonly number[],
): HistogramChild {
  const cell = createHistogramCell(buckets);
  register(registry, { name, help, type: 'histogram' }, () => {
    const samples: Sample[] = [];
    let cumulative = 0;
    cell.counts.forEach((count, index) => {
      cumulative += count;
      const le = buckets[index] ?? '+Inf';
      samples.push({ metricName: `${name}_bucket`, labels: { le }, value: cumulative });
    });
    samples.push({ metricName: `${name}_sum`, labels: {}, value: cell.sum });
    samples.push({ metricName: `${name}_count`, labels: {}, value: cumulative });
    return samples;
  });
  return cell;
}

/**
 * Builds every metric in a registry of its own, so that two proxies in one
 * process (tests) do not share counts.
 *
 * @param options.processMetrics prom-client's process and Node.js metrics; on unless said otherwise.
 */
export function createMetrics(options: { readonly processMetrics?: boolean } = {}): Metrics {
  const registry = new Registry();
  if (options.processMetrics ?? true) collectDefaultMetrics({ register: registry });

  const counter = <const Labels extends readonly string[]>(
    name: string,
    help: string,
    labels: Labels,
  ): Family<Labels, CounterChild> => family(registry, { name, help, type: 'counter' }, labels);
  const gauge = <const Labels extends readonly string[]>(
    name: string,
    help: string,
    labels: Labels,
  ): Family<Labels, GaugeChild> => family(registry, { name, help, type: 'gauge' }, labels);

  let holdsStoreUp: number | null = null;
  register(
    registry,
    {
      name: 'holdfast_holds_store_up',
      help: 'Whether the shared store of holds can be reached: 1 or 0; nothing where holds are kept in the process.',
      type: 'gauge',
    },
    () => (holdsStoreUp === null ? [] : [{ labels: {}, value: holdsStoreUp }]),
  );

  let policySha256: string | null = null;
  register(
    registry,
    { name: 'holdfast_policy_info', help: 'The policy in force, by the SHA-256 of its file.', type: 'gauge' },
    () => (policySha256 === null ? [] : [{ labels: { sha256: policySha256 }, value: 1 }]),
  );

  return {
    decisions: counter('holdfast_decisions_total', 'Judged statements.', ['role', 'operation', 'verdict']),
    ruleMatches: counter('holdfast_rule_matches_total', 'Rules that matched a judged statement.', [
      'role',
      'rule',
      'action',
    ]),
    decisionSeconds: histogram(
      registry,
      'holdfast_decision_seconds',
      'Time from the last byte of a message to its verdict.',
      DECISION_BUCKETS,
    ),
    sessions: gauge('holdfast_sessions', 'Open sessions.', ['role']),
    sessionsRefused: counter('holdfast_sessions_refused_total', 'Sessions refused before they opened.', [
      'reason',
    ]),
    holds: gauge('holdfast_holds', 'Statements waiting for people, and those that did.', ['state']),
    holdsStoreUp: {
      set(value) {
        holdsStoreUp = value;
      },
    },
    holdWaitSeconds: histogram(
      registry,
      'holdfast_hold_wait_seconds',
      'Time that a held statement waited.',
      HOLD_WAIT_BUCKETS,
    ),
    webhookDeliveries: counter(
      'holdfast_webhook_deliveries_total',
      'Messages to webhooks, by what became of them.',
      ['result'],
    ),
    rowsAffected: counter('holdfast_rows_affected_total', 'Rows that forwarded statements affected.', [
      'role',
      'operation',
    ]),
    upstreamErrors: counter('holdfast_upstream_errors_total', 'Failures of the connection to the server.', [
      'reason',
    ]),
    auditRecords: counter('holdfast_audit_records_total', 'Records for the audit log.', ['kind']),
    auditFailures: single(registry, {
      name: 'holdfast_audit_failures_total',
      help: 'Batches that could not be written to the audit log.',
      type: 'counter',
    }),
    auditWriteSeconds: histogram(
      registry,
      'holdfast_audit_write_seconds',
      'Time to make one batch of audit records durable.',
      AUDIT_WRITE_BUCKETS,
    ),
    policyReloads: counter('holdfast_policy_reloads_total', 'Attempts to load the policy again.', ['result']),
    policyInfo: {
      set(sha256) {
        policySha256 = sha256;
      },
    },
    analysisCache: counter('holdfast_analysis_cache_total', 'Lookups of the decision cache.', ['result']),
    catalogReads: counter('holdfast_catalog_reads_total', 'Readings of a database’s catalogs.', ['result']),
    catalogReadSeconds: histogram(
      registry,
      'holdfast_catalog_read_seconds',
      'Time that a reading of the catalogs took, in which the session that made it waited.',
      CATALOG_READ_BUCKETS,
    ),
    contentType: registry.contentType,
    text: () => registry.metrics(),
  };
}
