import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  globMatches,
  globProblem,
  parseTablePattern,
  tablePatternMatches,
  tablePatternNamesSchema,
} from '../../src/policy/glob.js';

describe('globMatches', () => {
  it.each([
    ['*', '', true],
    ['*', 'anything', true],
    ['svc_*', 'svc_', true],
    ['svc_*', 'svc_mail', true],
    ['svc_*', 'asvc_mail', false],
    ['*_ro', 'app_ro', true],
    ['*_ro', 'app_rot', false],
    ['a*b*c', 'aXbYc', true],
    ['a*b*c', 'abc', true],
    ['a*b*c', 'acb', false],
    ['a*a', 'a', false],
    ['a*a', 'aa', true],
    ['a**b', 'ab', true],
    ['*ab*ab', 'ab', false],
    ['*ab*ab', 'abab', true],
    ['Shop', 'shop', false],
    ['a.c', 'abc', false],
    ['a+', 'aa', false],
  ])('%s on %s is %s', (pattern, text, expected) => {
    expect(globMatches(pattern, text)).toBe(expected);
  });

  it('agrees with the obvious regular expression', () => {
    const part = fc.stringMatching(/^[ab.*]{0,8}$/);
    fc.assert(
      fc.property(part, fc.stringMatching(/^[ab.]{0,12}$/), (pattern, text) => {
        const expression = new RegExp(`^${pattern.replaceAll('.', '\\.').replaceAll('*', '.*')}$`, 's');
        expect(globMatches(pattern, text)).toBe(expression.test(text));
      }),
    );
  });
});

describe('globProblem', () => {
  it('finds patterns that mean something else elsewhere', () => {
    for (const wrong of ['', 'a?', '[ab]', '{a,b}', '!a', 'a\n']) expect(globProblem(wrong)).not.toBeNull();
    for (const right of ['*', 'a', 'svc_*', 'Dana Äö', 'a.b-c']) expect(globProblem(right)).toBeNull();
  });
});

describe('table patterns', () => {
  const matches = (pattern: string, schema: string | null, name: string): boolean => {
    const parsed = parseTablePattern(pattern);
    if ('problem' in parsed) throw new Error(parsed.problem);
    return tablePatternMatches(parsed, { schema, name });
  };

  it.each([
    ['audit_*', null, 'audit_log', true],
    ['audit_*', 'public', 'audit_log', true],
    ['audit_*', null, 'my_audit_log', false],
    ['AUDIT_*', null, 'audit_log', true],
    ['"Audit_Log"', null, 'Audit_Log', true],
    ['"Audit_Log"', null, 'audit_log', false],
    ['audit_log', null, 'Audit_Log', false],
    ['billing.*', 'billing', 'invoices', true],
    ['billing.*', 'public', 'invoices', false],
    ['billing.*', null, 'invoices', true],
    ['billing.invoices', null, 'invoices', true],
    ['billing.invoices', null, 'accounts', false],
    ['bill*.inv*', 'billing', 'invoices', true],
    ['"a.b"', null, 'a.b', true],
    ['"a*"', null, 'ab', false],
    ['"a*"', null, 'a*', true],
    ['"a""b"', null, 'a"b', true],
    ['"Ab"*', null, 'Abc', true],
    ['Ä', null, 'Ä', true],
    ['*.accounts', 'x', 'accounts', true],
  ])('%s on %s.%s is %s', (pattern, schema, name, expected) => {
    expect(matches(pattern, schema, name)).toBe(expected);
  });

  it.each(['', '.', 'a.', '.a', 'a.b.c', '"a', 'a b', 'a?', '[a]', 'x'.repeat(64), 'a\u0000'])(
    'refuses %j',
    (pattern) => {
      expect(parseTablePattern(pattern)).toHaveProperty('problem');
    },
  );

  it("takes a name of 63 bytes, PostgreSQL's longest", () => {
    expect(matches('x'.repeat(63), null, 'x'.repeat(63))).toBe(true);
  });

  it('names a schema only where it spells one', () => {
    const parse = (pattern: string): ReturnType<typeof parseTablePattern> => parseTablePattern(pattern);
    const billing = parse('billing.*');
    const any = parse('audit_*');
    if ('problem' in billing || 'problem' in any) throw new Error('both are patterns');
    expect(tablePatternNamesSchema(billing, 'billing')).toBe(true);
    expect(tablePatternNamesSchema(billing, 'public')).toBe(false);
    expect(tablePatternNamesSchema(any, 'billing')).toBe(false);
  });
});
