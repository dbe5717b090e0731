// Profiles and quotas in a browser: an administrator makes a profile, a person makes a runtime of it and changes it, and a quota says no.
import type { Page } from '@playwright/test';
import { expect, test } from '../harness/test';
import { personPage } from '../harness/limits';
import { MIRA, WEI, browserOf, pageOf, settled } from '../harness/people';
import { deleted, inState, shown, stopped, STOP_MS } from '../harness/runtimes';

test.describe.configure({ mode: 'serial' });
test.setTimeout(180_000);

const PROFILE = 'Roomy';
let mira: Page;
let wei: Page;
let id = '';

test.beforeAll(async ({ browser }) => {
  mira = await (await browserOf(browser, MIRA)).newPage();
  wei = await pageOf(browser, WEI);
});

test.afterAll(async () => {
  test.setTimeout(120_000);
  if (id) await deleted(wei, id, 'wipe');
  await mira?.context().close();
  await wei?.context().close();
});

const row = (page: Page, name: string) => page.getByRole('row').filter({ hasText: name });

test('bad values are said and nothing is made', async () => {
  await mira.goto('/admin/profiles');
  await settled(mira);
  await expect(row(mira, 'Standard')).toContainText('Offered');
  await mira.getByRole('button', { name: 'Add a profile' }).click();
  const dialog = mira.getByRole('dialog', { name: 'Add a profile' });
  await dialog.getByRole('textbox', { name: 'Name' }).fill(PROFILE);
  await dialog.getByRole('textbox', { name: 'Memory', exact: true }).fill('a lot');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await expect(dialog.getByRole('alert')).toContainText('Write a size, as 4 GiB or 512 MiB.');
  await dialog.getByRole('textbox', { name: 'Memory', exact: true }).fill('1 MiB');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await expect(dialog.getByRole('alert')).toContainText('Memory is from 256 MiB to 4 TiB.');
  await expect(row(mira, PROFILE)).toHaveCount(0);
});

test('an administrator adds a profile', async () => {
  const dialog = mira.getByRole('dialog', { name: 'Add a profile' });
  await dialog.getByRole('textbox', { name: 'Memory', exact: true }).fill('2.5 GiB');
  await dialog.getByRole('textbox', { name: 'Cores' }).fill('1.5');
  await dialog.getByRole('textbox', { name: 'Disk' }).fill('12');
  await dialog.getByRole('radio', { name: 'Only these' }).check();
  await dialog.getByRole('checkbox', { name: 'demo' }).check();
  await dialog.getByRole('button', { name: 'Save' }).click();
  await expect(dialog).toBeHidden();
  await expect(row(mira, PROFILE)).toContainText(/2\.5 GiB.*1\.5 cores.*12 GiB.*1 model.*Offered/);
});

test('a person makes a runtime of it', async () => {
  await wei.goto('/runtimes');
  await settled(wei);
  await wei.getByRole('button', { name: 'New runtime' }).click();
  const dialog = wei.getByRole('dialog', { name: 'New runtime' });
  await dialog.getByRole('textbox', { name: 'Name' }).fill('roomy');
  await dialog.getByRole('combobox', { name: 'Profile' }).selectOption({ label: `${PROFILE}: 2.5 GiB, 1.5 cores, 12 GiB of disk` });
  await dialog.getByRole('button', { name: 'Start' }).click();
  ({ id } = await shown(wei));
  await expect(wei.getByRole('main')).toContainText('up to 2.5 GiB');
  await stopped(wei, id);
  await mira.goto('/admin/runtimes');
  await expect(row(mira, 'roomy')).toContainText(PROFILE);
});

test('and changes it; a withdrawn one is not offered', async () => {
  await wei.goto(`/runtimes/${id}`);
  await settled(wei);
  await wei.getByRole('button', { name: 'Change profile' }).click();
  const dialog = wei.getByRole('dialog', { name: 'Change profile' });
  await expect(dialog.getByRole('radio', { name: new RegExp(`^${PROFILE}`) })).toBeChecked();
  await dialog.getByRole('radio', { name: /^Standard/ }).check();
  await dialog.getByRole('button', { name: 'Change the profile' }).click();
  await expect(dialog).toBeHidden();
  await expect(wei.getByRole('main')).toContainText('up to 2 GiB');
  await inState(wei, 'Stopped', STOP_MS);

  await mira.goto('/admin/profiles');
  await settled(mira);
  await mira.getByRole('button', { name: `Withdraw ${PROFILE}` }).click();
  await expect(row(mira, PROFILE)).toContainText('Withdrawn');
  await mira.getByRole('button', { name: 'Withdraw Standard' }).click();
  await expect(mira.getByRole('alert').first()).toContainText('This is the last profile that is offered');
  await wei.goto(`/runtimes/${id}`);
  await settled(wei);
  await wei.getByRole('button', { name: 'Change profile' }).click();
  await expect(wei.getByRole('dialog', { name: 'Change profile' }).getByRole('radio')).toHaveCount(1);
});

test('a quota says what ran out, and the person sees what they may use', async () => {
  await personPage(mira, WEI);
  await mira.getByRole('button', { name: 'Set the quota' }).click();
  const dialog = mira.getByRole('dialog', { name: 'Set the quota' });
  await dialog.getByRole('textbox', { name: 'Memory at once' }).fill('1 GiB');
  await dialog.getByRole('button', { name: 'Save the quota' }).click();
  await expect(dialog).toBeHidden();
  await expect(mira.getByRole('main')).toContainText('of 1 GiB');

  await wei.goto(`/runtimes/${id}`);
  await settled(wei);
  await wei.getByRole('button', { name: 'Start roomy' }).click();
  await expect(wei.getByRole('alert').first()).toContainText('You may use 1 GiB of memory at once.');
  await inState(wei, 'Stopped', STOP_MS);
  await wei.goto('/runtimes');
  await expect(wei.getByRole('main')).toContainText('0 MiB of 1 GiB');

  await personPage(mira, WEI);
  await mira.getByRole('button', { name: 'Set the quota' }).click();
  await dialog.getByRole('textbox', { name: 'Memory at once' }).fill('');
  await dialog.getByRole('button', { name: 'Save the quota' }).click();
  await expect(dialog).toBeHidden();
});

test('profiles are closed to everybody else', async () => {
  const answer = await wei.goto('/admin/profiles');
  expect(answer?.status()).toBe(403);
});
