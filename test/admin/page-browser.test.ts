/**
 * The approvals page in a real browser, before a real proxy and a real server: what
 * people see, and what becomes of the client's statement.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { serialize } from 'pg-protocol';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { tokenOf } from '../holds/support.js';
import { CHROMIUM, NEEDS_CHROMIUM, openWindow, startBrowser } from '../support/browser.js';
import type { Window } from '../support/browser.js';
import { answers, holdPolicy, startHolds } from '../support/holds.js';
import type { HoldsGround } from '../support/holds.js';
import { withClient } from '../support/postgres.js';
import type { WireClient } from '../support/wire.js';
import { TOTP_SECRET, codeAt } from './api-support.js';

describe.skipIf(CHROMIUM === null)(`the page in Chromium${NEEDS_CHROMIUM}`, { timeout: 60_000 }, () => {
  let ground: HoldsGround;
  let browser: Browser;
  let windows: Window[] = [];

  beforeAll(async () => {
    [ground, browser] = await Promise.all([
      startHolds('page', (user) =>
        holdPolicy({
          people: [
            { name: 'sam', users: [user] },
            { name: 'toti', totpSecret: TOTP_SECRET },
          ],
        }),
      ),
      startBrowser(),
    ]);
    await withClient(
      (client) =>
        client.query('CREATE TABLE detail (id int, guarded_id int REFERENCES guarded ON DELETE CASCADE)'),
      ground.database.name,
    );
  });

  afterAll(async () => {
    await browser.close();
    await ground.close();
  });

  afterEach(async () => {
    const complaints = windows.flatMap((window) => window.complaints);
    await Promise.all(windows.map(({ context }) => context.close()));
    windows = [];
    ground.hangUp();
    expect(complaints).toEqual([]);
  });

  async function open(as: string, options?: BrowserContextOptions): Promise<Page> {
    const window = await openWindow(browser, ground.holdfast.adminPort, options);
    windows.push(window);
    await window.signIn(tokenOf(as));
    return window.page;
  }

  /** A statement that is held, and the session that waits for it. */
  async function held(sql: string): Promise<{ readonly client: WireClient; readonly id: string }> {
    const client = await ground.login();
    await client.send(serialize.query(sql));
    const { id } = await ground.approvals.next();
    return { client, id };
  }

  const card = (page: Page, id: string) => page.locator(`#hold-${id}`);

  test('a statement is seen whole, approved with a reason, and runs', async () => {
    const page = await open('dana');
    await page.getByText('Nothing waits.').waitFor();
    expect(await page.title()).toBe('Holdfast approvals');

    const { client, id } = await held(`INSERT INTO guarded (id, v)\nVALUES (1, 'seen')`);
    const hold = card(page, id);
    await hold.getByText('The whole statement').waitFor();
    expect(await page.title()).toBe('(1) Holdfast approvals');
    expect(await page.locator('#announcements').textContent()).toMatch(
      /^New: INSERT by \S+ in PRODUCTION, (0:[3-5]\d|1:0[01]) left\.$/,
    );
    expect(await hold.locator('.band .env').textContent()).toBe('PRODUCTION');
    expect(await hold.getByRole('heading', { level: 2 }).textContent()).toBe('INSERT guarded');
    expect(await hold.locator('.sql li').allTextContents()).toEqual([
      'INSERT INTO guarded (id, v)',
      "VALUES (1, 'seen')",
    ]);
    expect(await hold.locator('.tally').textContent()).toBe('0 of 1 approval · from dba');
    expect(await hold.locator('.matches').textContent()).toContain('hold: protected-tables');
    // The role does not ask for old rows.
    expect(await hold.getByText('Old rows').count()).toBe(0);

    await hold.getByLabel('Reason').fill('I have looked at it');
    await hold.getByRole('button', { name: 'Approve …' }).click();
    const sure = hold.getByRole('group', { name: 'Sure? approve INSERT in PRODUCTION' });
    expect(await sure.textContent()).toContain(
      `As ${ground.user.name} (role engineers) in database ${ground.database.name}. Yours is the last approval: it runs at once.`,
    );
    await sure.getByRole('button', { name: 'Yes, approve for PRODUCTION' }).click();
    expect(answers(await client.untilReady())).toEqual(['CommandComplete INSERT 0 1', 'ReadyForQuery I']);
    await hold.getByText('Approved by dana, and released to run.').first().waitFor();
    expect(await hold.getByRole('button', { name: /Approve|Deny/ }).count()).toBe(0);
    expect(await ground.rows('SELECT * FROM guarded')).toBe('1,seen,null');
    expect((await ground.approvals.show(id)).votes).toMatchObject([
      { approver: 'dana', choice: 'approve', reason: 'I have looked at it' },
    ]);
    expect(await page.title()).toBe('Holdfast approvals');
    await hold.getByRole('button', { name: 'Put away' }).click();
    await page.getByText('Nothing waits.').waitFor();
  });

  test('another is denied; who else looks at it sees the buttons go and what happened', async () => {
    const [dana, kim] = await Promise.all([open('dana'), open('kim')]);
    const { client, id } = await held('DROP TABLE guarded');
    await card(kim, id).getByRole('button', { name: 'Approve …' }).click();
    await card(dana, id).getByLabel('Reason').fill('not at this hour');
    await card(dana, id).getByRole('button', { name: 'Deny …' }).click();
    await card(dana, id).getByRole('button', { name: 'Yes, deny' }).click();
    const lines = await client.untilReady();
    expect(answers(lines).at(-1)).toBe('ReadyForQuery I');
    expect(answers(lines).join()).toContain('42501');
    const told = card(kim, id).locator('.banner');
    await told.locator('q').waitFor();
    expect(await told.textContent()).toContain('Denied by dana. It did not run. not at this hour');
    expect(await card(kim, id).locator('form:visible').count()).toBe(0);

    await kim.getByRole('link', { name: 'History' }).click();
    const past = kim.locator('#history-list .hold');
    await past.first().waitFor();
    await kim.getByLabel('How it ended').selectOption('denied');
    await kim.getByLabel('Find').fill('drop GUARDED');
    expect(await kim.locator('#history-list .hold:visible').count()).toBe(1);
    expect(await kim.locator('#history-list .hold:visible .start').textContent()).toBe('DROP TABLE guarded');
    await kim.getByLabel('Find').fill('nothing has this');
    expect(await kim.locator('#history-list .hold:visible').count()).toBe(0);
  });

  test('what a client writes is text, and every character of it is seen', async () => {
    const evil = `<img src=x onerror="alert(1)"><script>alert(2)</script>`;
    const page = await open('dana');
    const client = await ground.login();
    await client.send(serialize.query(`SET application_name = '${evil}'`));
    await client.untilReady();
    await client.send(
      serialize.query(
        `INSERT INTO guarded (id, v) VALUES (2, '${evil}') -- \u202e\u2066 harmless\u2069 \u0430dmin\u200b\u0007`,
      ),
    );
    const { id } = await ground.approvals.next();
    const hold = card(page, id);
    await hold.getByText('The whole statement').waitFor();
    const shown = (await hold.locator('.sql li').allTextContents()).join('\n');
    expect(shown).toContain(evil);
    expect(shown).toContain('-- ⟨U+202E⟩⟨U+2066⟩ harmless⟨U+2069⟩ \u0430dmin⟨U+200B⟩⟨U+0007⟩');
    expect(await hold.locator('.sql .marker').count()).toBe(5);
    expect(await hold.locator('.sql .foreign').textContent()).toBe('\u0430');
    expect(await hold.locator('.notice-text').textContent()).toContain('5 characters that cannot be seen');
    expect(await page.locator('#app :is(img, script)').count()).toBe(0);

    await hold.getByLabel('Reason').fill(`${evil}\u202e`);
    await hold.getByRole('button', { name: 'Deny …' }).click();
    await hold.getByRole('button', { name: 'Yes, deny' }).click();
    await client.untilReady();
    await hold.locator('.votes q').waitFor();
    expect(await hold.locator('.votes q').textContent()).toBe(`${evil}⟨U+202E⟩`);
    expect(await page.locator('#app :is(img, script)').count()).toBe(0);
  });

  test('the keyboard is enough, and no single press decides', async () => {
    const window = await openWindow(browser, ground.holdfast.adminPort);
    windows.push(window);
    const { page } = window;
    const { client, id } = await held('INSERT INTO guarded (id) VALUES (3)');
    // Focus is in the field already; the token is long, so it is pasted.
    await page.keyboard.insertText(tokenOf('toti'));
    await page.keyboard.press('Enter');
    const hold = card(page, id);
    await hold.getByText('The whole statement').waitFor();
    const focused = (): Promise<string> =>
      page.evaluate(
        `(({ id, textContent, className }) => \`\${id} \${className} \${textContent}\`)(document.activeElement)`,
      );
    const tabTo = async (what: RegExp): Promise<void> => {
      for (let at = 0; at < 15; at++) {
        await page.keyboard.press('Tab');
        if (what.test(await focused())) return;
      }
      throw new Error(`Tab does not reach ${what.source}`);
    };
    await tabTo(/-reason/);
    await page.keyboard.type('by keyboard');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    // Without the code it is not even asked twice, and the field is where one is.
    expect(await hold.locator('.vote > .problem').textContent()).toContain('one-time code');
    expect(await focused()).toContain('-code');
    await page.keyboard.type(codeAt(TOTP_SECRET, Date.now()));
    await page.keyboard.press('Tab');
    await page.keyboard.down('Enter');
    await page.keyboard.down('Enter');
    await page.keyboard.up('Enter');
    expect(await focused()).toContain('confirm');
    expect((await ground.approvals.show(id)).votes).toEqual([]);
    await page.keyboard.press('Tab');
    expect(await focused()).toContain('Back');
    const sure = hold.getByRole('button', { name: 'Yes, approve for PRODUCTION' });
    await sure.and(page.locator(':enabled')).waitFor();
    await page.keyboard.press('Tab');
    expect(await focused()).toContain('Yes, approve');
    await page.keyboard.press('Enter');
    expect(answers(await client.untilReady())).toEqual(['CommandComplete INSERT 0 1', 'ReadyForQuery I']);
    expect((await ground.approvals.show(id)).votes).toMatchObject([
      { approver: 'toti', reason: 'by keyboard' },
    ]);
  });

  test('inside a transaction the locks are named; on a small screen nothing sticks out', async () => {
    const client = await ground.login();
    await client.send(serialize.query('BEGIN'));
    await client.untilReady();
    await client.send(serialize.query(`DELETE FROM guarded WHERE v = '${'long_'.repeat(60)}'`));
    const { id } = await ground.approvals.next('DELETE');
    const page = await open('dana', { viewport: { width: 360, height: 740 }, colorScheme: 'dark' });
    await card(page, id).getByText('It keeps its locks while it waits.').waitFor();
    expect(await card(page, id).locator('.tables tbody tr').allTextContents()).toEqual([
      expect.stringMatching(/^guardedchanges rows/),
      expect.stringMatching(
        /^public\.detailnot named: By the foreign key .* would also delete rows of "?detail"?\./,
      ),
    ]);
    await card(page, id).getByText('Ids and hashes').click();
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(360);
    await ground.approvals.deny(id);
    await client.untilReady();
  });

  test('a link leads to one hold among others', async () => {
    const first = await held('INSERT INTO guarded (id) VALUES (8)');
    const second = await held('INSERT INTO guarded (id) VALUES (9)');
    const window = await openWindow(browser, ground.holdfast.adminPort);
    windows.push(window);
    await window.page.goto(`${window.page.url()}#hold-${second.id}`);
    await window.signIn(tokenOf('dana'));
    await card(window.page, second.id).getByText('The whole statement').waitFor();
    expect(
      await card(window.page, first.id).getByRole('button', { name: 'INSERT' }).getAttribute('aria-expanded'),
    ).toBe('false');
    for (const { client, id } of [first, second]) {
      await ground.approvals.deny(id);
      await client.untilReady();
    }
    // What is over is shown as well, while Holdfast still has it.
    await window.page.reload();
    await card(window.page, second.id).getByText('Denied by dana. It did not run.').first().waitFor();
  });

  test('the own request cannot be decided, and says why', async () => {
    const page = await open('sam');
    const { client, id } = await held('INSERT INTO guarded (id) VALUES (4)');
    const hold = card(page, id);
    await hold.getByText(`Hold ${id} is your own request`).waitFor();
    for (const name of ['Approve …', 'Deny …'])
      expect(await hold.getByRole('button', { name }).isDisabled()).toBe(true);
    // The client goes away: the page says so.
    client.close();
    await hold.getByText('Withdrawn because the client has gone away. It did not run.').first().waitFor();
  });

  test('the countdown goes by the server’s clock, whatever this machine’s says', async () => {
    const window = await openWindow(browser, ground.holdfast.adminPort);
    windows.push(window);
    const { page, context } = window;
    await context.addInitScript('{ const real = Date.now; Date.now = () => real() - 3 * 3600000; }');
    await page.reload();
    const { client, id } = await held('INSERT INTO guarded (id) VALUES (5)');
    await window.signIn(tokenOf('dana'));
    await card(page, id).locator('.details .part').first().waitFor();
    expect(await card(page, id).locator('.time').textContent()).toMatch(/^(0:[1-5]\d|1:00)$/);
    expect(await card(page, id).getByRole('button', { name: 'Approve …' }).isEnabled()).toBe(true);
    await ground.approvals.deny(id);
    await client.untilReady();
  });

  test('what it really did, and the whole transaction, are shown when the API has them', async () => {
    const { client, id } = await held('INSERT INTO guarded (id) VALUES (6)');
    const window = await openWindow(browser, ground.holdfast.adminPort);
    windows.push(window);
    const { page } = window;
    await page.route(`**/api/holds/${id}`, async (route) => {
      const response = await route.fetch();
      const body = (await response.json()) as object;
      const tables = [
        { schema: 'public', name: 'account', inserted: 0, updated: 0, deleted: 1_300, percent: 42.26 },
        { schema: 'public', name: '<b>user</b>', inserted: 0, updated: 7, deleted: 0, percent: null },
      ];
      const more = { impact: { tables, measured: 'preview' }, statements: ['BEGIN', 'UPDATE t SET a = 1'] };
      await route.fulfill({ response, json: { ...body, ...more } });
    });
    await window.signIn(tokenOf('dana'));
    const hold = card(page, id);
    await hold.getByText('What it really did when tried').waitFor();
    expect(await hold.locator('.stake').textContent()).toBe('1,300 rows deleted, 7 rows updated when tried');
    expect(await hold.locator('.impact tbody tr').allTextContents()).toEqual([
      'public.account1,3000042.3 %',
      'public.<b>user</b>070not known',
    ]);
    expect(await hold.locator('.so-far .sql').allTextContents()).toEqual(['BEGIN', 'UPDATE t SET a = 1']);
    await page.unrouteAll();
    await ground.approvals.deny(id);
    await client.untilReady();
  });

  for (const [oldRows, words] of [
    ['kept', (id: string) => `Old rows are kept: holdfast undo script ${id} puts them back.`],
    ['not_kept', () => 'Old rows are not kept of this: once approved, Holdfast cannot undo it.'],
  ] as const) {
    test(`whether there is a way back is said, and again at the second look: ${oldRows}`, async () => {
      const { client, id } = await held('DELETE FROM guarded WHERE id = 10');
      const window = await openWindow(browser, ground.holdfast.adminPort);
      windows.push(window);
      await window.page.route(`**/api/holds/${id}`, async (route) => {
        const response = await route.fetch();
        const body = (await response.json()) as object;
        await route.fulfill({ response, json: { ...body, old_rows: oldRows } });
      });
      await window.signIn(tokenOf('dana'));
      const hold = card(window.page, id);
      await hold.locator('.old-rows').waitFor();
      expect(await hold.locator('.old-rows').textContent()).toBe(words(id));
      await hold.getByRole('button', { name: 'Approve …' }).click();
      expect(await hold.locator('.second-look').textContent()).toContain(words(id));
      await hold.getByRole('button', { name: 'Back' }).click();
      await hold.getByRole('button', { name: 'Deny …' }).click();
      expect(await hold.locator('.second-look').textContent()).not.toContain('Old rows');
      await window.page.unrouteAll();
      await ground.approvals.deny(id);
      await client.untilReady();
    });
  }

  test('the token is not kept; signing out and losing the token leave nothing on the page', async () => {
    const page = await open('dana');
    const kept = await page.evaluate<string>(
      'JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])',
    );
    expect(kept).toMatch(/^\[\{\},\{"holdfast-session-key":"[\w-]{43}"\},""\]$/);
    const { client, id } = await held('INSERT INTO guarded (id) VALUES (7)');
    await card(page, id).getByText('The whole statement').waitFor();
    await page.reload();
    await card(page, id).getByText('The whole statement').waitFor();
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByText('You are signed out.').waitFor();
    expect(await page.locator('.hold').count()).toBe(0);
    expect(await page.title()).toBe('Holdfast approvals');
    await page.reload();
    await page.getByLabel('Your approver token').waitFor();
    await ground.approvals.deny(id);
    await client.untilReady();
  });
});
