// What a person loads for their home page, and how the rest of the page's code comes when it is wanted.
import type { Page } from '@playwright/test';
import { expect, test } from '../harness/test';
import { MIRA, SANA, browserOf, pageOf, settled } from '../harness/people';

/** The aim, with brotli: home, script, wasm and style. */
const MOST = 350_000;

/** A file of the part that only administrators come to. */
const ADMIN = /\/pkg\/\w+\/split_admin\.wasm$/;

/** What a page has loaded since it was opened, itself first: the last word of the address, and its bytes as they were sent. */
async function loaded(page: Page): Promise<{ name: string; bytes: number }[]> {
  return page.evaluate(() =>
    [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')].map((entry) => {
      const timing = entry as PerformanceResourceTiming;
      return { name: new URL(timing.name).pathname.split('/').pop() ?? '', bytes: timing.encodedBodySize };
    }),
  );
}

const parts = async (page: Page) => (await loaded(page)).map((one) => one.name).filter((name) => /^(split|chunk)_/.test(name));

/** Everything that goes wrong on a page. */
function complaints(page: Page): string[] {
  const heard: string[] = [];
  page.on('console', (message) => message.type() === 'error' && heard.push(message.text()));
  page.on('pageerror', (error) => heard.push(String(error)));
  return heard;
}

test('a home page is small, and brings nothing of other pages', async ({ browser }) => {
  const page = await pageOf(browser, SANA);
  await page.goto('/');
  await settled(page);
  const files = await loaded(page);
  const counted = files.filter((file) => /^$|\.(js|wasm|css)$/.test(file.name));
  expect(counted.map((file) => file.name).sort()).toEqual(['', '__wasm_split.js', 'clawloops.css', 'clawloops.js', 'clawloops_bg.wasm']);
  expect(counted.every((file) => file.bytes > 0)).toBe(true);
  const sum = counted.reduce((sum, file) => sum + file.bytes, 0);
  expect(sum, JSON.stringify(counted)).toBeLessThan(MOST);
  await page.context().close();
});

test('a page of another part comes with it, opened by its address and from another page', async ({ browser }) => {
  const page = await (await browserOf(browser, MIRA)).newPage();
  const heard = complaints(page);
  // The part is named in the head: it is on its way before any script runs.
  const answer = await page.goto('/admin/people');
  expect(await answer!.text()).toMatch(/<link [^>]*href="\/pkg\/\w+\/split_admin\.wasm"/);
  await settled(page);
  await page.getByRole('button', { name: 'Invite', exact: true }).click();
  await expect(page.getByRole('dialog', { name: 'Invite a person' })).toBeVisible();

  await page.goto('/');
  await settled(page);
  expect(await parts(page)).toEqual([]);
  await page.evaluate(() => Object.assign(window, { same: true }));
  await page.getByRole('link', { name: 'Groups' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Groups');
  expect(await parts(page)).toContain('split_admin.wasm');
  await page.goBack();
  await expect(page.getByRole('heading', { level: 1 })).toContainText('Welcome');
  await page.goForward();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Groups');
  await page.getByRole('link', { name: 'Security' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Security');
  // All of that was one document.
  expect(await page.evaluate(() => 'same' in window)).toBe(true);
  expect(heard).toEqual([]);
  await page.context().close();
});

test('where a part does not come, the address is loaded as a page of its own', async ({ browser }) => {
  const page = await (await browserOf(browser, MIRA)).newPage();
  await page.goto('/');
  await settled(page);
  // So a server answers that was renewed since the page was opened.
  await page.route(ADMIN, (route) => route.fulfill({ status: 404 }));
  await page.evaluate(() => Object.assign(window, { same: true }));
  await page.getByRole('link', { name: 'Groups' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Groups');
  expect(await page.evaluate(() => 'same' in window)).toBe(false);
  // It does not come now either: the page stands as the server drew it, and goes on by its links.
  await page.getByRole('link', { name: 'Overview' }).click();
  await page.waitForURL((url) => url.pathname === '/admin');
  await page.unroute(ADMIN);
  await page.reload();
  await settled(page);
  await page.context().close();
});
