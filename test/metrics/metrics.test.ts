import { describe, expect, it } from 'vitest';
import { createMetrics, MAX_CHILDREN, type Metrics } from '../../src/metrics.js';

/** The samples of one metric, `name{labels} value` each. */
async function samples(metrics: Metrics, name: string): Promise<string[]> {
  const text = await metrics.text();
  return text.split('\n').filter((line) => line.startsWith(name));
}

function bare(): Metrics {
  return createMetrics({ processMetrics: false });
}

describe('names and labels', () => {
  it('are those of the contract', async () => {
    const metrics = bare();
    metrics.decisions.child('app', 'select', 'allow').inc();
    metrics.ruleMatches.child('app', 'truncate', 'deny').inc(2);
    metrics.sessions.child('app').set(3);
    metrics.sessionsRefused.child('no_role').inc();
    metrics.holds.child('pending').inc();
    metrics.rowsAffected.child('app', 'update').inc(17);
    metrics.upstreamErrors.child('connect').inc();
    metrics.auditRecords.child('decision').inc();
    metrics.auditFailures.inc();
    metrics.policyReloads.child('failure').inc();
    metrics.policyInfo.set('abc');
    metrics.analysisCache.child('hit').inc();
    const lines = (await metrics.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    expect(lines.filter((line) => !line.includes('_seconds')).sort()).toEqual([
      'holdfast_analysis_cache_total{result="hit"} 1',
      'holdfast_audit_failures_total 1',
      'holdfast_audit_records_total{kind="decision"} 1',
      'holdfast_decisions_total{role="app",operation="select",verdict="allow"} 1',
      'holdfast_holds{state="pending"} 1',
      'holdfast_policy_info{sha256="abc"} 1',
      'holdfast_policy_reloads_total{result="failure"} 1',
      'holdfast_rows_affected_total{role="app",operation="update"} 17',
      'holdfast_rule_matches_total{role="app",rule="truncate",action="deny"} 2',
      'holdfast_sessions_refused_total{reason="no_role"} 1',
      'holdfast_sessions{role="app"} 3',
      'holdfast_upstream_errors_total{reason="connect"} 1',
    ]);
  });

  it('have their types, and the histograms are there before anything was observed', async () => {
    const types = (await bare().text()).split('\n').filter((line) => line.startsWith('# TYPE'));
    expect(types.sort()).toEqual([
      '# TYPE holdfast_analysis_cache_total counter',
      '# TYPE holdfast_audit_failures_total counter',
      '# TYPE holdfast_audit_records_total counter',
      '# TYPE holdfast_audit_write_seconds histogram',
      '# TYPE holdfast_catalog_read_seconds histogram',
      '# TYPE holdfast_catalog_reads_total counter',
      '# TYPE holdfast_decision_seconds histogram',
      '# TYPE holdfast_decisions_total counter',
      '# TYPE holdfast_hold_wait_seconds histogram',
      '# TYPE holdfast_holds gauge',
      '# TYPE holdfast_holds_store_up gauge',
      '# TYPE holdfast_policy_info gauge',
      '# TYPE holdfast_policy_reloads_total counter',
      '# TYPE holdfast_rows_affected_total counter',
      '# TYPE holdfast_rule_matches_total counter',
      '# TYPE holdfast_sessions gauge',
      '# TYPE holdfast_sessions_refused_total counter',
      '# TYPE holdfast_upstream_errors_total counter',
      '# TYPE holdfast_webhook_deliveries_total counter',
    ]);
  });

  it('come with the process metrics of prom-client', async () => {
    const metrics = createMetrics();
    expect(await samples(metrics, 'process_cpu_seconds_total')).toHaveLength(1);
    expect(metrics.contentType).toMatch(/^text\/plain; version=0\.0\.4/);
  });
});

describe('values', () => {
  it('a histogram counts cumulatively, at its bounds too', async () => {
    const metrics = bare();
    for (const seconds of [1, 1.5, 10, 99_999]) metrics.holdWaitSeconds.observe(seconds);
    const lines = await samples(metrics, 'holdfast_hold_wait_seconds');
    expect(lines).toContain('holdfast_hold_wait_seconds_bucket{le="1"} 1');
    expect(lines).toContain('holdfast_hold_wait_seconds_bucket{le="5"} 2');
    expect(lines).toContain('holdfast_hold_wait_seconds_bucket{le="15"} 3');
    expect(lines).toContain('holdfast_hold_wait_seconds_bucket{le="3600"} 3');
    expect(lines).toContain('holdfast_hold_wait_seconds_bucket{le="+Inf"} 4');
    expect(lines).toContain('holdfast_hold_wait_seconds_sum 100011.5');
    expect(lines).toContain('holdfast_hold_wait_seconds_count 4');
  });

  it('a gauge goes both ways', async () => {
    const metrics = bare();
    const sessions = metrics.sessions.child('app');
    sessions.inc();
    sessions.inc();
    sessions.dec();
    expect(await samples(metrics, 'holdfast_sessions{')).toEqual(['holdfast_sessions{role="app"} 1']);
  });

  it('of the policy in force there is one series', async () => {
    const metrics = bare();
    expect(await samples(metrics, 'holdfast_policy_info')).toEqual([]);
    metrics.policyInfo.set('a');
    metrics.policyInfo.set('b');
    expect(await samples(metrics, 'holdfast_policy_info')).toEqual(['holdfast_policy_info{sha256="b"} 1']);
  });

  it('of two proxies in one process are apart', async () => {
    const [one, other] = [bare(), bare()];
    one.auditFailures.inc();
    expect(await samples(other, 'holdfast_audit_failures_total')).toEqual([
      'holdfast_audit_failures_total 0',
    ]);
  });
});

describe('children', () => {
  it('are the same object for the same labels', () => {
    const { decisions } = bare();
    expect(decisions.child('a', 'b', 'allow')).toBe(decisions.child('a', 'b', 'allow'));
    expect(decisions.child('a', 'b', 'allow')).not.toBe(decisions.child('ab', '', 'allow'));
  });

  it('are escaped as the text format wants it', async () => {
    const metrics = bare();
    metrics.sessions.child('a"b\\c\nd').inc();
    expect(await samples(metrics, 'holdfast_sessions{')).toEqual([
      String.raw`holdfast_sessions{role="a\"b\\c\nd"} 1`,
    ]);
  });

  it('are bounded in number', async () => {
    const metrics = bare();
    for (let index = 0; index < MAX_CHILDREN + 10; index++) {
      metrics.rowsAffected.child('app', `operation ${index.toString()}`).inc();
    }
    const lines = await samples(metrics, 'holdfast_rows_affected_total{');
    expect(lines).toHaveLength(MAX_CHILDREN + 1);
    expect(lines).toContain('holdfast_rows_affected_total{role="other",operation="other"} 10');
  });
});
