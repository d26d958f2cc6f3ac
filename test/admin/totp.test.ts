import { describe, expect, it } from 'vitest';
import { verifyTotp } from '../../src/admin/api/totp.js';
import { TOTP_SECRET, codeAt } from './api-support.js';

describe('one-time codes', () => {
  // RFC 6238, appendix B: the last six of the eight digits there.
  it.each([
    [59_000, '287082'],
    [1_111_111_109_000, '081804'],
    [1_111_111_111_000, '050471'],
    [1_234_567_890_000, '005924'],
    [2_000_000_000_000, '279037'],
    [20_000_000_000_000, '353130'],
  ])('at %i ms: %s', (now, code) => {
    expect(verifyTotp(TOTP_SECRET, code, now)).toBe(Math.floor(now / 30_000));
    expect(verifyTotp(TOTP_SECRET, code === '000000' ? '000001' : '000000', now)).toBeNull();
  });

  it('say which step they are of, one to either side', () => {
    const now = 1_111_111_109_000;
    const step = Math.floor(now / 30_000);
    for (const delta of [-1, 0, 1]) {
      expect(verifyTotp(TOTP_SECRET, codeAt(TOTP_SECRET, now + delta * 30_000), now)).toBe(step + delta);
    }
    for (const delta of [-2, 2]) {
      expect(verifyTotp(TOTP_SECRET, codeAt(TOTP_SECRET, now + delta * 30_000), now)).toBeNull();
    }
  });

  it('a secret of the shortest length that the policy takes is one', () => {
    const short = 'JBSWY3DPEHPK3PXP';
    expect(verifyTotp(short, codeAt(short, 59_000), 59_000)).toBe(1);
  });
});
