/**
 * Which role a session has: the first entry of the policy that matches its
 * login, as in pg_hba.conf.
 *
 * Law: a pure function of the policy and the login. What it cannot read (an
 * address that is none) matches no network.
 */
import ipaddr from 'ipaddr.js';
import { globMatches } from './glob.js';
import type { Login, Policy, Role, RoleMatch } from './types.js';

type Address = ipaddr.IPv4 | ipaddr.IPv6;
type Network = readonly [Address, number];

/** The role of a session, or null: then the login is to be refused. */
export function matchRole(policy: Policy, login: Login): Role | null {
  return policy.roles.find((role) => matchesLogin(role.match, login)) ?? null;
}

function matchesLogin(match: RoleMatch, login: Login): boolean {
  return (
    anyGlob(match.users, login.user) &&
    anyGlob(match.databases, login.database) &&
    anyGlob(match.applications, login.application) &&
    (match.networks === undefined || anyNetwork(match.networks, login.address))
  );
}

function anyGlob(patterns: readonly string[] | undefined, value: string): boolean {
  return patterns === undefined || patterns.some((pattern) => globMatches(pattern, value));
}

function anyNetwork(networks: readonly string[], address: string): boolean {
  const parsed = parseAddress(address);
  if (parsed === null) return false;
  return networks.some((text) => {
    const network = parseNetwork(text);
    return !('problem' in network) && contains(network, parsed);
  });
}

function contains(network: Network, address: Address): boolean {
  const [base, bits] = network;
  // ipaddr.js types the two kinds apart; a network holds only addresses of its own kind.
  if (address instanceof ipaddr.IPv4) return base instanceof ipaddr.IPv4 && address.match(base, bits);
  return base instanceof ipaddr.IPv6 && address.match(base, bits);
}

/** An IP address as Node's sockets spell it: an IPv4-mapped IPv6 address is its IPv4 address, a zone (`%eth0`) is no part of it. */
function parseAddress(text: string): Address | null {
  const bare = text.replace(/%.*$/, '');
  return ipaddr.isValid(bare) ? ipaddr.process(bare) : null;
}

/** Whether a text is the address of a client, as sockets spell it. */
export function isAddress(text: string): boolean {
  return parseAddress(text) !== null;
}

/**
 * Reads a CIDR block such as `10.0.0.0/8` or `fd00::/8`. Stricter than the
 * package, which also takes `10.1`, octal and hexadecimal parts: a network that
 * people and program read differently is worse than an error.
 */
export function parseNetwork(text: string): Network | { readonly problem: string } {
  const slash = text.indexOf('/');
  const addressText = slash === -1 ? text : text.slice(0, slash);
  const bitsText = slash === -1 ? null : text.slice(slash + 1);
  const address = strictAddress(addressText);
  if (address === null)
    return { problem: `"${text}" is no network: expected a CIDR block such as 10.0.0.0/8 or fd00::/8` };
  const width = address instanceof ipaddr.IPv4 ? 32 : 128;
  if (bitsText === null)
    return { problem: `"${text}" has no prefix length; for this one address write ${text}/${width}` };
  if (!/^(0|[1-9]\d{0,2})$/.test(bitsText) || Number(bitsText) > width) {
    return { problem: `the prefix length of "${text}" must be a number from 0 to ${width}` };
  }
  const bits = Number(bitsText);
  if (address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress()) {
    return {
      problem: `"${text}" is an IPv4-mapped network, which never matches: clients are matched by their IPv4 address; write it as IPv4`,
    };
  }
  const base = networkAddress(address, bits);
  if (base.toNormalizedString() !== address.toNormalizedString()) {
    return { problem: `"${text}" has bits set behind its prefix; did you mean ${base.toString()}/${bits}?` };
  }
  return [address, bits];
}

/** Whether every address of `inner` lies in `outer`. Both are CIDR blocks that `parseNetwork` accepts. */
export function networkContains(outer: string, inner: string): boolean {
  const a = parseNetwork(outer);
  const b = parseNetwork(inner);
  if ('problem' in a || 'problem' in b) return false;
  return a[1] <= b[1] && contains(a, b[0]);
}

function strictAddress(text: string): Address | null {
  if (ipaddr.IPv4.isValidFourPartDecimal(text) && !/(^|\.)0\d/.test(text)) return ipaddr.IPv4.parse(text);
  if (text.includes(':') && !text.includes('%') && ipaddr.IPv6.isValid(text)) return ipaddr.IPv6.parse(text);
  return null;
}

function networkAddress(address: Address, bits: number): Address {
  const bytes = address.toByteArray().map((byte, index) => {
    const kept = Math.min(8, Math.max(0, bits - index * 8));
    return byte & (0xff << (8 - kept)) & 0xff;
  });
  return ipaddr.fromByteArray(bytes);
}
