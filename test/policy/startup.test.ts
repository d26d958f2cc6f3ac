import { describe, expect, it } from 'vitest';
import { judgeStartupParameters } from '../../src/policy/startup.js';
import { role } from './hand-made.js';

const judged = (parameters: Record<string, string>, access: 'read' | 'admin' = 'read'): string[] =>
  judgeStartupParameters(new Map(Object.entries(parameters)), role({ access })).map(
    ({ rule, action }) => `${action} ${rule}`,
  );

describe('judgeStartupParameters', () => {
  it('lets pass what drivers send', () => {
    expect(
      judged({
        user: 'shop_app',
        database: 'shop',
        application_name: 'psql',
        client_encoding: 'UTF8',
        DateStyle: 'ISO',
        TimeZone: 'UTC',
        extra_float_digits: '2',
        options: '-c statement_timeout=5s --search-path=public',
        '_pq_.some_extension': 'x',
        replication: 'false',
      }),
    ).toEqual([]);
  });

  it('refuses for every role what would make SQL unreadable, in either spelling', () => {
    for (const access of ['read', 'admin'] as const) {
      expect(judged({ standard_conforming_strings: 'off' }, access)).toEqual(['deny prohibited']);
      expect(judged({ Client_Encoding: 'LATIN1' }, access)).toEqual(['deny prohibited']);
      expect(judged({ options: '-c standard_conforming_strings=off' }, access)).toEqual(['deny prohibited']);
      expect(judged({ options: '--standard-conforming-strings=off' }, access)).toEqual(['deny prohibited']);
    }
  });

  it('wants access for settings that change who or what the session is', () => {
    expect(judged({ session_replication_role: 'replica' })).toEqual(['deny access']);
    expect(judged({ session_replication_role: 'replica' }, 'admin')).toEqual([]);
    expect(judged({ options: '-csession_replication_role=replica' })).toEqual(['deny access']);
  });

  it('refuses options that it cannot read', () => {
    expect(judged({ options: '-P' }, 'admin')).toEqual(['deny syntax']);
  });

  it('reports everything, not the first only', () => {
    expect(
      judged({ standard_conforming_strings: 'off', options: '-c session_replication_role=replica' }),
    ).toEqual(['deny prohibited', 'deny access']);
  });
});
