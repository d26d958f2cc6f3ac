/** The commands about write budgets, called in this process, before the API on a real port. */
import { expect, test } from 'vitest';
import { budgetsListCommand, budgetsResetCommand } from '../../src/commands/budgets.js';
import type { HoldsSurroundings } from '../../src/commands/holds.js';
import { OperatorError } from '../../src/errors.js';
import { TOTI, TOTP_SECRET, codeAt, startApi } from '../admin/api-support.js';
import type { Api } from '../admin/api-support.js';
import { tokenOf } from '../holds/support.js';

function person(name: string): HoldsSurroundings & { readonly out: string[] } {
  const out: string[] = [];
  return {
    out,
    token: tokenOf(name),
    terminal: {
      print: (line) => {
        out.push(line);
        return Promise.resolve();
      },
      complain: () => undefined,
      color: false,
      columns: null,
      input: process.stdin,
    },
  };
}

const urlOf = ({ port }: Api): { readonly url: string } => ({ url: `http://127.0.0.1:${port.toString()}` });

function spend(api: Api, user: string, rows: number): void {
  api.budgets.counts.charge({ role: 'app', user, windowMs: 60_000 }, { rows, statements: 1 }, api.clock.now);
}

test('list is a table with strangers’ names made visible, or JSON', async () => {
  const api = await startApi();
  const dana = person('dana');
  await budgetsListCommand(urlOf(api), dana);
  expect(dana.out).toEqual(['No budgets that you may see have been used.']);
  spend(api, 'shop_app', 12);
  spend(api, 'evil\u202e', 1);
  dana.out.length = 0;
  expect(await budgetsListCommand(urlOf(api), dana)).toBe(0);
  const [titles, first, second] = (dana.out[0] ?? '').split('\n');
  expect(titles).toMatch(/^ROLE {2}USER +ROWS +STATEMENTS {2}WINDOW +SINCE +STATE$/);
  expect(first).toMatch(/^app {3}shop_app +12\/10 +1 +1 minute {2}.* ago +spent, .* left$/);
  expect(second).toMatch(/^app {3}evil⟨U\+202E⟩ +1\/10 +1 +1 minute {2}.* ago +open$/);
  dana.out.length = 0;
  await budgetsListCommand({ ...urlOf(api), json: true }, dana);
  expect(JSON.parse(dana.out[0] ?? '')).toMatchObject({ more: false, budgets: [{ user: 'shop_app' }, {}] });
});

test('reset says what does not count any more', async () => {
  const api = await startApi();
  spend(api, 'shop_app', 12);
  const dana = person('dana');
  const options = { ...urlOf(api), role: 'app', reason: 'planned' };
  expect(await budgetsResetCommand('shop_app', options, dana)).toBe(0);
  expect(dana.out).toEqual([
    'budget of shop_app (role app): reset; 12 rows and 1 statement do not count any more',
  ]);
  expect(api.resets).toMatchObject([{ approver: 'dana', reason: 'planned' }]);
});

test('reset takes a one-time code, prints JSON, and says why not', async () => {
  const api = await startApi();
  spend(api, 'shop_app', 12);
  spend(api, 'eng_dana', 12);
  const options = { ...urlOf(api), role: 'app' };
  await expect(budgetsResetCommand('eng_dana', options, person('dana'))).rejects.toThrow(
    new OperatorError('It is your own budget: somebody else must reset it.'),
  );
  await expect(budgetsResetCommand('eng_lee', options, person('dana'))).rejects.toThrow(
    'User "eng_lee" of role "app" has spent nothing that you may see.',
  );
  await expect(budgetsResetCommand('shop_app', options, person(TOTI.name))).rejects.toThrow(
    'What you decide needs a one-time code. Give it with --totp.',
  );
  const toti = person(TOTI.name);
  const totp = codeAt(TOTP_SECRET, api.clock.now);
  await budgetsResetCommand('shop_app', { ...options, totp, json: true }, toti);
  expect(JSON.parse(toti.out[0] ?? '')).toEqual({
    role: 'app',
    user: 'shop_app',
    forgotten: { rows: 12, statements: 1 },
  });
});
