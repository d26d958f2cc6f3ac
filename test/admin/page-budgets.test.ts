/**
 * Write budgets on the approvals page in a real browser, before a real proxy and a real
 * server: who has spent one is seen, it is reset there, and the user can write again.
 */
import pg from 'pg';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { budgetListSchema } from '../../src/admin/api/schemas.js';
import { sha256, tokenOf } from '../holds/support.js';
import { CHROMIUM, NEEDS_CHROMIUM, openWindow, startBrowser } from '../support/browser.js';
import type { Window } from '../support/browser.js';
import { startTestHoldfast } from '../support/holdfast.js';
import type { TestHoldfast } from '../support/holdfast.js';
import { createDatabase } from '../support/postgres.js';
import type { TestDatabase } from '../support/postgres.js';
import { createUser } from '../support/users.js';
import type { TestUser } from '../support/users.js';
import { TOTP_SECRET, codeAt } from './api-support.js';

function policy(user: string): string {
  const person = (name: string, more = ''): string =>
    `  - { name: ${name}, groups: [dba], token_sha256: "${sha256(tokenOf(name))}"${more} }`;
  return `
version: 1
roles:
  - name: app
    access: write
    rules: { write-budget: { action: deny, rows: 3, window: 1h } }
    hold: { approvals: 2, approvers: [dba] }
approvers:
${person('dana')}
${person('sam', `, users: ['${user}']`)}
${person('toti', `, totp_secret: ${TOTP_SECRET}`)}
${person('olli').replace('[dba]', '[finance]')}
`;
}

describe.skipIf(CHROMIUM === null)(`budgets on the page${NEEDS_CHROMIUM}`, { timeout: 60_000 }, () => {
  let database: TestDatabase;
  let user: TestUser;
  let holdfast: TestHoldfast;
  let client: pg.Client;
  let browser: Browser;
  let windows: Window[] = [];
  /** What the browser is expected to complain about: an answer that is an error. */
  let refused = 0;

  beforeAll(async () => {
    database = await createDatabase(
      'page_budgets',
      'CREATE TABLE account AS SELECT id FROM generate_series(1, 100) id',
    );
    user = await createUser('page_budgets', database.name);
    browser = await startBrowser();
  });

  afterAll(async () => {
    await browser.close();
    await database.drop();
    await user.drop();
  });

  beforeEach(async () => {
    holdfast = await startTestHoldfast(database, policy(user.name), { heartbeatMs: 250 });
    client = new pg.Client({ connectionString: holdfast.url(database.name, user.name, '') });
    await client.connect();
    refused = 0;
  });

  afterEach(async () => {
    const complaints = windows.flatMap((window) => window.complaints);
    await Promise.all(windows.map(({ context }) => context.close()));
    windows = [];
    await client.end();
    await holdfast.close();
    expect(complaints).toEqual(
      Array.from({ length: refused }, () => expect.stringContaining('status of 403') as string),
    );
  });

  async function open(as: string, options?: BrowserContextOptions): Promise<Page> {
    const window = await openWindow(browser, holdfast.adminPort, options);
    windows.push(window);
    await window.signIn(tokenOf(as));
    return window.page;
  }

  let next = 0;
  /** @returns the SQLSTATE of what was refused; null: it passed */
  async function write(): Promise<string | null> {
    next++;
    const error: unknown = await client
      .query('DELETE FROM account WHERE id = $1', [next])
      .then(() => null)
      .catch((reason: unknown) => reason);
    return error instanceof pg.DatabaseError ? (error.code ?? '') : (error as null);
  }

  async function spend(): Promise<void> {
    for (let row = 0; row < 3; row++) expect(await write()).toBeNull();
    expect(await write()).toBe('42501');
  }

  async function spent(): Promise<number> {
    const response = await fetch(`http://127.0.0.1:${holdfast.adminPort.toString()}/api/budgets`, {
      headers: { authorization: `Bearer ${tokenOf('dana')}` },
    });
    return budgetListSchema.parse(await response.json()).budgets[0]?.spent.rows ?? 0;
  }

  const section = (page: Page) => page.locator('#budgets');

  test('nobody has spent anything: nothing is there; then somebody has, and it is reset with a second look', async () => {
    const page = await open('dana');
    await page.getByText('Nothing waits.').waitFor();
    expect(await section(page).isVisible()).toBe(false);
    expect(await page.getByRole('link', { name: /Budgets/ }).count()).toBe(0);

    await spend();
    const row = section(page).getByRole('listitem');
    await row.waitFor();
    expect(await section(page).locator('#budgets-summary').textContent()).toBe('1 spent');
    expect(await page.locator('#announcements').textContent()).toBe(
      `Write budget spent: ${user.name} (role app).`,
    );
    expect(await row.locator('.budget-head').textContent()).toMatch(
      new RegExp(
        `^${user.name} \\(role app\\) spent · (1 h 0[01]|5\\d:\\d\\d).* until it is free by itself$`,
      ),
    );
    expect(await row.locator('.budget-used').textContent()).toMatch(
      /^3 of 3 rows and 3 statements within 1 h, since \d\d:\d\d:\d\d$/,
    );
    await page.getByRole('link', { name: 'Budgets 1' }).click();

    await row.getByText('Reset it').click();
    await row.getByLabel('Reason').fill('ticket 4712: it is meant');
    await row.getByRole('button', { name: 'Reset …' }).click();
    const sure = row.getByRole('group', { name: `Sure? reset the write budget of ${user.name} (role app)` });
    expect(await sure.textContent()).toContain('3 of 3 rows and 3 statements within 1 h.');
    expect(await spent()).toBe(3);
    await sure.getByRole('button', { name: 'Back' }).click();
    expect(await spent()).toBe(3);
    await row.getByRole('button', { name: 'Reset …' }).click();
    await sure.getByRole('button', { name: 'Yes, reset it' }).click();
    await section(page).waitFor({ state: 'hidden' });
    expect(await page.locator('#announcements').textContent()).toBe(
      `Reset: the write budget of ${user.name} (role app).`,
    );
    expect(await page.getByRole('link', { name: /Budgets/ }).count()).toBe(0);
    expect(await write()).toBeNull();
    const [record] = (await holdfast.records()).filter(({ kind }) => kind === 'budget');
    expect(record).toMatchObject({ approver: 'dana', reason: 'ticket 4712: it is meant' });
  });

  test('one that is used in part is folded, and what others reset goes by itself', async () => {
    expect(await write()).toBeNull();
    const [dana, other] = await Promise.all([open('dana'), open('dana', { colorScheme: 'dark' })]);
    const row = section(dana).getByRole('listitem');
    await section(dana).getByText('1 used in part').waitFor();
    expect(await row.isVisible()).toBe(false);
    await section(dana).locator('summary').first().click();
    expect(await row.locator('.budget-used').textContent()).toContain(
      '1 of 3 rows and 1 statement within 1 h',
    );
    expect(await row.locator('.budget-state').textContent()).toBe('used in part');
    await row.getByText('Reset it').click();
    await row.getByRole('button', { name: 'Reset …' }).click();
    await row.getByRole('button', { name: 'Yes, reset it' }).click();
    await section(dana).waitFor({ state: 'hidden' });
    await section(other).waitFor({ state: 'hidden' });
  });

  test('what somebody is at stays when another has reset it, and says that there is nothing to reset', async () => {
    await spend();
    const [dana, other] = await Promise.all([open('dana'), open('dana')]);
    const rows = [dana, other].map((page) => section(page).getByRole('listitem'));
    for (const row of rows) {
      await row.getByText('Reset it').click();
      await row.getByRole('button', { name: 'Reset …' }).click();
    }
    await rows[0]?.getByRole('button', { name: 'Yes, reset it' }).click();
    await rows[1]?.getByText('Nothing of it is spent any more: there is nothing to reset.').waitFor();
    expect(await rows[1]?.getByRole('button', { name: 'Reset …' }).isDisabled()).toBe(true);
    expect(await rows[1]?.locator('.budget-state').textContent()).toBe('free again');
    expect(await other.getByRole('link', { name: /Budgets/ }).count()).toBe(0);
  });

  test('who may not reset it reads why; who is in no group of the role sees nothing of it', async () => {
    await spend();
    const [sam, olli] = await Promise.all([open('sam'), open('olli')]);
    const row = section(sam).getByRole('listitem');
    await row.getByText('It is your own budget: somebody else must reset it.').waitFor();
    expect(await row.getByRole('button', { name: 'Reset …' }).count()).toBe(0);
    expect(await row.getByText('Reset it', { exact: true }).isVisible()).toBe(false);
    await olli.getByText('Nothing waits.').waitFor();
    expect(await section(olli).isVisible()).toBe(false);
    expect(await write()).toBe('42501');
  });

  test('what the API says to a reset is shown, and nothing is reset; by keyboard, at 360 pixels', async () => {
    await spend();
    const page = await open('toti', { viewport: { width: 360, height: 740 } });
    const row = section(page).getByRole('listitem');
    await row.getByText('Reset it').focus();
    await page.keyboard.press('Enter');
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(360);
    const form = row.getByRole('form', { name: `Reset the write budget of ${user.name} (role app)` });
    await page.keyboard.press('Tab');
    await page.keyboard.type('by keyboard');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await form.getByText('Your resets need the six digits of your one-time code.').waitFor();
    const code = codeAt(TOTP_SECRET, Date.now());
    const sure = row.getByRole('button', { name: 'Yes, reset it' });
    const decide = async (typed: string): Promise<void> => {
      await form.getByLabel('One-time code').focus();
      await page.keyboard.type(typed);
      await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
      await sure.and(page.locator(':enabled')).waitFor();
      await page.keyboard.press('Tab');
      await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
    };
    refused = 1;
    await decide(code === '000000' ? '000001' : '000000');
    await form.getByText('The one-time code is wrong.').waitFor();
    expect(await write()).toBe('42501');
    await decide(code);
    await section(page).waitFor({ state: 'hidden' });
    expect(await write()).toBeNull();
    const budgets = (await holdfast.records()).filter(({ kind }) => kind === 'budget');
    expect(budgets.map(({ reason, refused: why }) => [reason, why])).toEqual([
      ['by keyboard', 'totp_wrong'],
      ['by keyboard', null],
    ]);
  });
});
