// What became of a runtime, and many at once: its log searched and downloaded, what was asked of it, and an administrator's list that acts.
import { readFileSync } from 'node:fs';
import type { Page } from '@playwright/test';
import { expect, test } from '../harness/test';
import { held, prints } from '../harness/docker';
import { JONAS, MIRA, WEI, browserOf, pageOf, settled } from '../harness/people';
import { running } from '../harness/product';
import { START_MS, STOP_MS, created, deleted, ready } from '../harness/runtimes';

/** A key as an agent may print it. */
const KEY = 'sk-proj-0123456789abcdefghij';
const NAMES = ['helper', 'second-helper'];

test.describe.configure({ mode: 'serial' });
test.setTimeout(420_000);

let jonas: Page;
let mira: Page;
const ids: string[] = [];

test.beforeAll(async ({ browser }) => {
  jonas = await pageOf(browser, JONAS);
  mira = await (await browserOf(browser, MIRA)).newPage();
});

test.afterAll(async () => {
  for (const id of ids) await deleted(jonas, id, 'wipe');
  await jonas?.context().close();
  await mira?.context().close();
});

const log = (page: Page) => page.getByLabel('Log', { exact: true });
const row = (page: Page, name: string) => page.getByRole('row').filter({ has: page.getByRole('link', { name, exact: true }) });

test('a log is followed live, searched and downloaded, without the key that was printed', async ({ browser }) => {
  ids.push((await created(jonas, NAMES[0]!)).id);
  await ready(jonas);
  const before = held(running().instance, 'container');
  prints(before[0]!, `needle ${KEY} in a haystack`);
  await expect(log(jonas)).toContainText('needle sk-… in a haystack');

  await jonas.getByRole('searchbox', { name: 'Search the log' }).fill('NEEDLE');
  await jonas.getByRole('button', { name: 'Search', exact: true }).click();
  await jonas.waitForURL(/\?find=NEEDLE$/);
  await settled(jonas);
  await expect(log(jonas)).toHaveText(/^\S+Z needle sk-… in a haystack$/);
  await jonas.getByRole('link', { name: 'Show all' }).click();
  await expect(log(jonas)).not.toHaveText(/^\S+Z needle sk-… in a haystack$/);

  const coming = jonas.waitForEvent('download');
  await jonas.getByRole('link', { name: 'Download' }).click();
  const download = await coming;
  expect(download.suggestedFilename()).toBe('helper.log.txt');
  const text = readFileSync(await download.path(), 'utf8');
  expect(text.match(/needle sk-… in a haystack/g)).toHaveLength(1);
  expect(text).not.toContain(KEY.slice(8));

  const wei = await pageOf(browser, WEI);
  expect((await wei.goto(`/runtimes/${ids[0]}/log`))?.status()).toBe(404);
  expect((await wei.goto(`/runtimes/${ids[0]}?find=needle`))?.status()).toBe(404);
  await wei.context().close();
});

test('an administrator stops many at once, and each says how it is', async () => {
  ids.push((await created(jonas, NAMES[1]!)).id);
  await ready(jonas);
  await mira.goto('/admin/runtimes');
  await settled(mira);
  for (const name of NAMES) {
    await expect(row(mira, name)).toContainText('Running');
    // What it uses now.
    await expect(row(mira, name)).toContainText(/[\d.]+ (MiB|GiB)\s*of 2 GiB/);
    await mira.getByRole('checkbox', { name: `Select ${name} of ${JONAS.name}` }).check();
  }
  await expect(mira.getByText('2 selected')).toBeVisible();
  await expect(mira.getByText(/Open through this server: \d+ WebSockets?, \d+ requests?\./)).toBeVisible();
  await mira.getByRole('button', { name: 'Stop the selected' }).click();
  for (const name of NAMES) await expect(row(mira, name)).toContainText('Stopped', { timeout: STOP_MS });
  await expect(mira.getByText('0 selected')).toBeVisible();
  await mira.getByRole('button', { name: 'Start the selected', exact: true }).click();
  await expect(mira.getByRole('alert')).toContainText('No runtime is selected.');
});

test('its owner sees who asked for it, and still has the log', async () => {
  await jonas.goto(`/runtimes/${ids[0]}?find=needle`);
  await settled(jonas);
  await expect(log(jonas)).toContainText('needle sk-… in a haystack');
  const asked = jonas.locator('section').filter({ has: jonas.getByRole('heading', { name: 'What was asked' }) }).getByRole('listitem');
  await expect(asked.first()).toContainText('Stop');
  await expect(asked.first()).toContainText(`by ${MIRA.name}`);
  await expect(asked.first()).toContainText('Done');
  await expect(asked.last()).toContainText('Create');
});

test('the same without script', async ({ browser }) => {
  const plain = await (await browserOf(browser, MIRA, { javaScriptEnabled: false })).newPage();
  await plain.goto('/admin/runtimes');
  for (const name of NAMES) await plain.getByRole('checkbox', { name: `Select ${name} of ${JONAS.name}` }).check();
  await plain.getByRole('button', { name: 'Start the selected', exact: true }).click();
  await expect(async () => {
    await plain.goto('/admin/runtimes');
    for (const name of NAMES) await expect(row(plain, name)).toContainText('Running', { timeout: 1_000 });
  }).toPass({ timeout: START_MS });
  await plain.goto(`/runtimes/${ids[0]}`);
  await plain.getByRole('searchbox', { name: 'Search the log' }).fill('needle');
  await plain.getByRole('button', { name: 'Search', exact: true }).click();
  await expect(log(plain)).toHaveText(/^\S+Z needle sk-… in a haystack$/);
  await plain.context().close();
});
