import { describe, expect, it } from 'vitest';
import { matchRole, networkContains, parseNetwork } from '../../src/policy/match.js';
import type { Login, Policy, RoleMatch } from '../../src/policy/types.js';
import { role } from './hand-made.js';

const policy = (...matches: readonly RoleMatch[]): Policy => ({
  mode: 'enforce',
  roles: matches.map((match, at) => role({ name: `r${at}`, match })),
  approvers: [],
  sha256: '',
});
const login = (partial: Partial<Login> = {}): Login => ({
  user: 'shop_app',
  database: 'shop',
  application: 'checkout',
  address: '10.1.2.3',
  ...partial,
});
const nameOf = (of: Policy, who: Login): string | null => matchRole(of, who)?.name ?? null;

describe('matchRole', () => {
  it('takes the first role that matches, as pg_hba.conf does', () => {
    const of = policy({ users: ['eng_*'] }, { users: ['shop_*'] }, { users: ['shop_app'] }, {});
    expect(nameOf(of, login())).toBe('r1');
    expect(nameOf(of, login({ user: 'eng_dana' }))).toBe('r0');
    expect(nameOf(of, login({ user: 'somebody' }))).toBe('r3');
  });

  it('has no role for a session that nothing matches', () => {
    expect(nameOf(policy({ users: ['eng_*'] }), login())).toBeNull();
    expect(nameOf(policy(), login())).toBeNull();
  });

  it('wants every part of a match to hold', () => {
    const of = policy({
      users: ['shop_app'],
      databases: ['shop'],
      applications: ['check*'],
      networks: ['10.0.0.0/8'],
    });
    expect(nameOf(of, login())).toBe('r0');
    expect(nameOf(of, login({ user: 'other' }))).toBeNull();
    expect(nameOf(of, login({ database: 'other' }))).toBeNull();
    expect(nameOf(of, login({ application: 'other' }))).toBeNull();
    expect(nameOf(of, login({ address: '11.0.0.1' }))).toBeNull();
  });

  it('compares names with their case, as PostgreSQL compares them at login', () => {
    expect(nameOf(policy({ users: ['dana'] }), login({ user: 'Dana' }))).toBeNull();
  });

  it.each([
    ['10.0.0.0/8', '10.255.255.255', true],
    ['10.0.0.0/8', '::ffff:10.1.2.3', true],
    ['10.0.0.0/8', '::ffff:11.1.2.3', false],
    ['127.0.0.1/32', '127.0.0.1', true],
    ['0.0.0.0/0', '192.0.2.1', true],
    ['0.0.0.0/0', '2001:db8::1', false],
    ['fd00::/8', 'fd12::1', true],
    ['fd00::/8', '2001:db8::1', false],
    ['fd00::/8', '10.0.0.1', false],
    ['::1/128', '::1', true],
    ['fe80::/10', 'fe80::1%eth0', true],
    ['::/0', '10.0.0.1', false],
    ['0.0.0.0/0', 'no address', false],
    ['0.0.0.0/0', '', false],
  ])('network %s, client %s: %s', (network, address, expected) => {
    expect(nameOf(policy({ networks: [network] }), login({ address }))).toBe(expected ? 'r0' : null);
  });
});

describe('parseNetwork', () => {
  it.each([
    '10.0.0.0',
    '10.0.0.1/8',
    '10.1/8',
    '010.0.0.0/8',
    '0x0a000000/8',
    '10.0.0.0/33',
    '10.0.0.0/08',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    '::ffff:10.0.0.0/104',
    'fd00::/129',
    'fe80::%eth0/64',
    'localhost/8',
    '',
  ])('refuses %j', (text) => {
    expect(parseNetwork(text)).toHaveProperty('problem');
  });

  it('says which network was meant', () => {
    expect(parseNetwork('10.1.2.3/8')).toEqual({
      problem: '"10.1.2.3/8" has bits set behind its prefix; did you mean 10.0.0.0/8?',
    });
    expect(parseNetwork('::1')).toEqual({
      problem: '"::1" has no prefix length; for this one address write ::1/128',
    });
  });

  it('knows what lies within what', () => {
    expect(networkContains('10.0.0.0/8', '10.1.0.0/16')).toBe(true);
    expect(networkContains('10.1.0.0/16', '10.0.0.0/8')).toBe(false);
    expect(networkContains('0.0.0.0/0', 'fd00::/8')).toBe(false);
    expect(networkContains('::/0', 'fd00::/8')).toBe(true);
  });
});
