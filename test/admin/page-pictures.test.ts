/**
 * The page with holds as they come in practice, at the sizes and in the colours that
 * people have. With HOLDFAST_SCREENSHOTS=1 it writes docs/screenshots/.
 */
import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { KIM, approver, tokenOf } from '../holds/support.js';
import { CHROMIUM, NEEDS_CHROMIUM, openWindow, startBrowser } from '../support/browser.js';
import { TOTI, startApi } from './api-support.js';
import type { Api } from './api-support.js';
import { scenes } from './page-scenes.js';

const DIRECTORY = fileURLToPath(new URL('../../docs/screenshots/', import.meta.url));
const WRITE = process.env['HOLDFAST_SCREENSHOTS'] === '1';
const PHONE = { viewport: { width: 360, height: 740 } };

describe.skipIf(CHROMIUM === null)(`pictures of the page${NEEDS_CHROMIUM}`, { timeout: 60_000 }, () => {
  let browser: Browser;

  beforeAll(async () => {
    browser = await startBrowser();
    if (WRITE) await mkdir(DIRECTORY, { recursive: true });
  });

  afterAll(() => browser.close());

  /** An API whose time stands still at the browser's, so that pictures do not depend on how long they take. */
  async function start(): Promise<Api> {
    const api = await startApi();
    api.clock.now = Date.now();
    api.approvers = [TOTI, KIM, approver('lee', { users: ['eng_lee', 'eng_sam'] })];
    return api;
  }

  async function open(api: Api, as: string, options?: BrowserContextOptions): Promise<Page> {
    const { page, context, signIn, complaints } = await openWindow(browser, api.port, options);
    onTestFinished(async () => {
      await context.close();
      expect(complaints).toEqual([]);
    });
    await signIn(tokenOf(as));
    return page;
  }

  /** Nothing sticks out sideways. */
  async function fits(page: Page): Promise<void> {
    expect(await page.evaluate('document.documentElement.scrollWidth - innerWidth')).toBe(0);
  }

  async function picture(page: Page, name: string): Promise<void> {
    await fits(page);
    if (!WRITE) return;
    const path = `${DIRECTORY}${name}.png`;
    await page.screenshot({ path, fullPage: true, animations: 'disabled' });
  }

  test('empty', async () => {
    const page = await open(await start(), 'toti', { viewport: { width: 1000, height: 420 } });
    await page.getByText('Nothing waits.').waitFor();
    await picture(page, 'empty');
  });

  test('one hold, the second look, and on a phone in the dark', async () => {
    const api = await start();
    const { one } = scenes(api.clock.now);
    await api.store.request(one);
    const desk = { viewport: { width: 1000, height: 800 } };
    const page = await open(api, 'toti', desk);
    await page.getByText('The whole statement').waitFor();
    expect(await page.locator('.stake').textContent()).toBe(
      'about 302 rows in it; reaches 3 more tables of about 1,815 rows · keeps its locks while it waits',
    );
    expect(await page.locator('.left .time').textContent()).toMatch(/^0:[1-5]\d$/);
    expect(await page.locator('.tables tbody tr').allTextContents()).toEqual([
      expect.stringMatching(/^public\.account.*changes rows.*302/),
      ...['user', 'user_in_account', 'user_identity'].map((name): unknown =>
        expect.stringMatching(new RegExp(`^public\\.${name}not named: By the foreign key`)),
      ),
      expect.stringMatching(/^public\.user.*reads/),
    ]);
    await picture(page, 'one');

    await page.getByLabel('Reason').fill('Ticket 4711: support has asked the owners.');
    await page.getByLabel('One-time code').fill('123456');
    await page.getByRole('button', { name: 'Approve …' }).click();
    const group = page.getByRole('group', { name: 'Sure?' });
    await group.getByRole('button', { name: 'Yes', disabled: false }).waitFor();
    // A comment before it does not stand for the statement.
    expect(await group.locator('.first-line').textContent()).toBe('DELETE FROM account');
    expect(await group.textContent()).toContain('After yours 1 more approval will be needed.');
    // Somebody else votes meanwhile: it has to be looked at again.
    await api.store.vote(one.id, { choice: 'approve', approver: KIM, reason: 'fine with me' });
    await page.getByText('Somebody has voted meanwhile: look again.').waitFor();
    expect(await group.isVisible()).toBe(false);

    const phone = await open(api, 'lee', { ...PHONE, colorScheme: 'dark' });
    await phone.getByText('The whole statement').waitFor();
    await picture(phone, 'phone');
  });

  test('many, by the deadline that comes first; then some end while one looks', async () => {
    const api = await start();
    const { one, others } = scenes(api.clock.now);
    for (const request of [...others, one]) await api.store.request(request);
    await api.store.vote(one.id, { choice: 'approve', approver: KIM, reason: null });
    const page = await open(api, 'lee', { viewport: { width: 1000, height: 800 } });
    await page.locator('.target').nth(3).waitFor();
    expect(await page.title()).toBe('(4) Holdfast approvals');
    expect(await page.locator('#waiting-list h2').allTextContents()).toEqual([
      'DELETE public.account',
      'UPDATE public.user_identity',
      'DROP TABLE public.orders_backup',
      'TRUNCATE public.sessions, public.session_events',
    ]);
    expect(await page.locator('#waiting-list .env').allTextContents()).toEqual([
      'PRODUCTION',
      'STAGING',
      'PRODUCTION',
      'PRODUCTION',
    ]);
    expect(await page.locator('#waiting-list .not-mine').count()).toBe(2);
    await picture(page, 'many');
    const phone = await open(api, 'lee', PHONE);
    await phone.locator('.target').nth(3).waitFor();
    await fits(phone);

    const [drop, json, truncate] = others.map(({ id }) => id);
    const deny = { choice: 'deny', approver: KIM, reason: 'The nightly report still reads it.' } as const;
    await api.store.vote(drop ?? '', deny);
    const approve = { choice: 'approve', approver: KIM, reason: 'agreed with the support team' } as const;
    await api.store.vote(json ?? '', approve);
    await api.store.release(json ?? '', others[1]?.fingerprint ?? '');
    await api.store.withdraw(truncate ?? '', 'client_cancel');
    await page.locator('.banner').getByText('Withdrawn by the person who asked').waitFor();
    await page.locator('.banner').getByText('Denied by kim.').waitFor();
    expect(await page.title()).toBe('(1) Holdfast approvals');
    await page.getByRole('link', { name: 'History' }).click();
    await page.locator('#history-list .banner').getByText('Withdrawn by the person who asked').waitFor();
    await page.locator('#history-list .banner').getByText('Approved by kim, and released to run.').waitFor();
    await page.locator('#history-list .banner q').waitFor();
    await picture(page, 'history');
  });

  test('signing in', async () => {
    const api = await start();
    const { page, context } = await openWindow(browser, api.port, { viewport: { width: 1000, height: 480 } });
    onTestFinished(() => context.close());
    await page.getByLabel('Your approver token').fill('not-the-token-of-anybody');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByText('That is not the token of an approver in the policy in force.').waitFor();
    await fits(page);
  });

  test('without a connection everything is marked, and nothing can be decided', async () => {
    const api = await start();
    await api.store.request(scenes(api.clock.now).one);
    const { page, context, signIn } = await openWindow(browser, api.port, {
      viewport: { width: 1000, height: 640 },
    });
    onTestFinished(() => context.close());
    await signIn(tokenOf('kim'));
    const deny = page.getByRole('button', { name: 'Deny …' });
    await deny.click();
    await api.close();
    await page.getByText('Reconnecting …').waitFor();
    expect(await page.getByRole('alert').filter({ hasText: 'Not live since' }).textContent()).toContain(
      'What is below may be out of date.',
    );
    // Also the second look is gone.
    await page.getByText('nothing can be decided here now').waitFor();
    expect(await page.getByRole('button', { name: 'Yes, deny' }).count()).toBe(0);
    expect(await deny.isDisabled()).toBe(true);
  });
});
