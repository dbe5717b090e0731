// The same pages with script off: what a person must be able to do when the script does not arrive.
import type { Page } from '@playwright/test';
import { expect, test } from '../harness/test';
import { MIRA, NOOR, accept, browserOf, freshBrowser, invite, signIn } from '../harness/people';
import { running } from '../harness/product';
import { created, deleted, ready, stopped } from '../harness/runtimes';
import { makeKey, revokeKey, rotateKey } from '../harness/keys';
import { curl } from '../harness/web';

const OFF = { javaScriptEnabled: false };

test.use(OFF);
test.describe.configure({ mode: 'serial' });
test.setTimeout(240_000);

let page: Page;

test.beforeAll(async ({ browser }) => {
  page = await (await freshBrowser(browser, OFF)).newPage();
});

test.afterAll(async () => {
  await page?.context().close();
});

test('an invitation is made and accepted', async ({ browser }) => {
  const office = await browserOf(browser, MIRA, OFF);
  const link = await invite(await office.newPage(), NOOR);
  await office.close();
  await accept(page, link, NOOR);
  await expect(page.getByRole('heading', { level: 1 })).toContainText('Noor');
});

test('signing out and in', async () => {
  await page.goto('/security');
  await page.getByRole('button', { name: 'Sign out', exact: true }).first().click();
  await page.waitForURL(/\/sign-in/);
  const closed = await page.goto('/usage');
  expect(new URL(closed!.url()).pathname).toBe('/sign-in');
  await signIn(page, NOOR, 'a wrong password');
  await expect(page.getByRole('alert')).toContainText('The e-mail address or the password is wrong.');
  await page.goto('/sign-in?to=/usage');
  await signIn(page, NOOR);
  await page.waitForURL((url) => url.pathname === '/usage');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Usage');
});

test('a runtime is made, watched until it runs, and stopped', async () => {
  const { id } = await created(page, 'plain');
  await expect(page.getByText('Starting', { exact: true }).first()).toBeVisible();
  // The page asks anew by itself while something moves.
  await ready(page);
  await stopped(page, id);
  await deleted(page, id, 'wipe');
});

test('a key is made, shown once, used and revoked', async () => {
  const key = await makeKey(page, 'terminal');
  const call = () => curl('/v1/chat/completions', '--header', `Authorization: Bearer ${key}`, '--json', '{"model":"demo","messages":[{"role":"user","content":"Hello"}]}');
  // LiteLLM takes longer to come up than the pages do.
  await expect.poll(async () => (await call()).status, { timeout: 120_000 }).toBe(200);
  await page.goto('/models');
  await expect(page.getByText(key)).toHaveCount(0);
  // It leaked: the old secret ends with the press.
  const next = await rotateKey(page, 'terminal', 'Not at all: it leaked');
  const status = async (of: string) => (await curl('/v1/models', '--header', `Authorization: Bearer ${of}`)).status;
  expect([await status(key), await status(next)]).toEqual([401, 200]);
  await revokeKey(page, 'terminal');
  expect(await status(next)).toBe(401);
});

test('a key is made for one model until a day, and the settings to copy name what is there', async () => {
  await page.goto('/models');
  await page.getByRole('button', { name: 'New key' }).click();
  const dialog = page.getByRole('dialog', { name: 'New key' });
  await dialog.getByRole('textbox', { name: 'Name' }).fill('narrow');
  await dialog.getByLabel('Only these').check();
  await dialog.getByLabel('demo', { exact: true }).check();
  await dialog.getByLabel('Ends').selectOption({ label: 'With a day' });
  await dialog.getByLabel('Last day').fill(new Date(Date.now() + 3 * 86_400_000).toISOString().slice(0, 10));
  await dialog.getByRole('button', { name: 'Make the key' }).click();
  const key = await page.getByRole('region', { name: 'New key' }).getByText(/^cl_live_[\w-]+$/).innerText();
  const models = JSON.parse((await curl('/v1/models', '--header', `Authorization: Bearer ${key}`)).body) as { data: { id: string }[] };
  expect(models.data.map((model) => model.id)).toEqual(['demo']);
  const row = page.getByRole('row').filter({ hasText: 'narrow' });
  await expect(row.getByRole('cell', { name: 'demo', exact: true })).toBeVisible();

  for (const client of ['Python', 'Node', 'Anthropic', 'curl', 'OpenClaw', 'VS Code', 'Zed']) {
    await page.getByText(client, { exact: true }).first().click();
    const shown = page.getByLabel(client, { exact: true }).and(page.locator('pre'));
    await expect(shown).toBeVisible();
    await expect(shown).toContainText(new URL(page.url()).host);
  }
});

test('usage is shown', async () => {
  await page.goto('/usage');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Usage');
  await expect(page.getByRole('row', { name: /^demo/ })).toContainText('Free');
  const by = page.getByRole('group', { name: 'By', exact: true });
  await by.getByRole('link', { name: 'Key' }).click();
  await page.waitForURL((url) => url.search === '?days=30&by=key');
  await expect(by.getByRole('link', { name: 'Key' })).toHaveAttribute('aria-current', 'page');
  await expect(page.getByText('What runtimes called is left out.')).toBeVisible();
});

test('the password is changed, and other sessions end', async ({ browser }) => {
  const other = await freshBrowser(browser, OFF);
  const theirs = await other.newPage();
  await theirs.goto('/sign-in');
  await signIn(theirs, NOOR);
  await theirs.waitForURL((url) => url.pathname === '/');

  await page.goto('/security');
  await page.getByLabel('Present password').fill(NOOR.password);
  await page.getByLabel('New password').fill('a quite different set of words');
  await page.getByRole('button', { name: 'Change the password' }).click();
  await expect(page.getByRole('alert')).toHaveCount(0);
  await theirs.goto('/');
  expect(new URL(theirs.url()).pathname).toBe('/sign-in');
  await signIn(theirs, NOOR);
  await expect(theirs.getByRole('alert')).toContainText('The e-mail address or the password is wrong.');
  await signIn(theirs, NOOR, 'a quite different set of words');
  await theirs.waitForURL((url) => url.pathname === '/');
  await other.close();
});

test('a page that is not there says so with the right status', async () => {
  const answer = await page.goto(`${running().url}/no/such/page`);
  expect(answer?.status()).toBe(404);
  await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
});
