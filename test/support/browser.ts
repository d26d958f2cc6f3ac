/**
 * Headless Chromium for the approvals page. Tests that use it skip themselves where
 * there is none; HOLDFAST_CHROMIUM names another one than the system's.
 */
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core';

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** null: there is none. */
export const CHROMIUM = [process.env['HOLDFAST_CHROMIUM'] ?? '', ...PLACES].find(existsSync) ?? null;
/** For the title of what is skipped. */
export const NEEDS_CHROMIUM =
  CHROMIUM === null ? ' (skipped: no Chromium here; apt-get install chromium, or HOLDFAST_CHROMIUM)' : '';

/** What is not there by then will not come. */
const PATIENCE_MS = 15_000;

/** With a profile of its own, which goes with it. */
export function startBrowser(): Promise<Browser> {
  if (CHROMIUM === null) throw new Error('there is no Chromium here');
  return chromium.launch({
    executablePath: CHROMIUM,
    headless: true,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

export interface Window {
  readonly page: Page;
  readonly context: BrowserContext;
  /** What the browser complained about: errors, and what the Content-Security-Policy stopped. */
  readonly complaints: readonly string[];
  readonly signIn: (token: string) => Promise<void>;
}

/** The page of one admin port, in a window that shares nothing with others. */
export async function openWindow(
  browser: Browser,
  adminPort: number,
  options: BrowserContextOptions = {},
): Promise<Window> {
  const context = await browser.newContext({ viewport: { width: 1100, height: 900 }, ...options });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('dialog', (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  await page.goto(`http://127.0.0.1:${adminPort.toString()}/`);
  return {
    page,
    context,
    complaints,
    signIn: async (token) => {
      await page.getByLabel('Your approver token').fill(token);
      await page.getByRole('button', { name: 'Sign in' }).click();
      await page.getByText('Live', { exact: true }).waitFor();
    },
  };
}
