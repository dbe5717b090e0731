// Groups: a model that is published to a group is there for whoever is in it, from the next call on, and for nobody else.
import OpenAI from 'openai';
import type { Page } from '@playwright/test';
import { expect, test } from '../harness/test';
import { callers } from '../harness/callers';
import { WEI, settled } from '../harness/people';

test.describe.configure({ mode: 'serial' });

/** Not the local one: what that counts for everyone is counted by others. */
const MODEL = 'demo';

let mira: Page;
let wei: Page;
let client: OpenAI;
let close: () => Promise<void>;

test.beforeAll(async ({ browser }) => {
  ({ mira, wei, client, close } = await callers(browser, 'groups'));
});

test.afterAll(async () => {
  // Whoever comes after us finds the catalog as it was.
  await offered('Everyone');
  await close?.();
});

const row = () => mira.getByRole('row').filter({ has: mira.getByText(MODEL, { exact: true }) });

/** Publishes the model to everyone, or to one group. */
async function offered(to: string): Promise<void> {
  await mira.goto('/admin/models');
  await settled(mira);
  await row().getByRole('button', { name: 'Change', exact: true }).click();
  const dialog = mira.getByRole('dialog', { name: `Change ${MODEL}` });
  const choice = dialog.getByRole('radio', { name: 'Everyone' });
  if (to === 'Everyone') {
    // Nothing is to be chosen where there is no group.
    if (await choice.count()) await choice.check();
  } else {
    await dialog.getByRole('radio', { name: 'Only these groups' }).check();
    await dialog.getByRole('checkbox', { name: to, exact: true }).check();
  }
  await dialog.getByRole('button', { name: 'Save' }).click();
  await expect(dialog).toBeHidden();
}

const call = () => client.chat.completions.create({ model: MODEL, max_tokens: 16, messages: [{ role: 'user', content: 'Hello' }] });
const names = async () => (await client.models.list()).data.map((model) => model.id);

test('a group is made, and takes a model for itself', async () => {
  expect((await call()).choices).toHaveLength(1);
  await mira.goto('/admin/groups');
  await settled(mira);
  await mira.getByRole('button', { name: 'Make a group' }).click();
  const dialog = mira.getByRole('dialog', { name: 'Make a group' });
  await dialog.getByRole('textbox', { name: 'Name' }).fill('Research');
  await dialog.getByRole('button', { name: 'Make the group' }).click();
  await expect(dialog).toBeHidden();
  await expect(mira.getByRole('main')).toContainText('Nobody is in this group.');

  await offered('Research');
  await expect(row()).toContainText('to Research');
  expect(await names()).not.toContain(MODEL);
  const refusal = await call().catch((error: unknown) => error);
  expect(refusal).toBeInstanceOf(OpenAI.NotFoundError);
  expect((refusal as OpenAI.NotFoundError).code).toBe('model_not_found');
});

test('who is put in calls it at once, and who is taken out does not', async () => {
  await mira.goto('/admin/groups');
  await settled(mira);
  await mira.getByLabel('E-mail address of a person to put into Research').fill(WEI.email);
  await mira.getByRole('button', { name: 'Put in' }).click();
  const out = mira.getByRole('button', { name: `Take ${WEI.name} out of Research` });
  await expect(out).toBeVisible();
  expect(await names()).toContain(MODEL);
  expect((await call()).choices).toHaveLength(1);

  await out.click();
  await expect(out).toBeHidden();
  expect(await call().catch((error: unknown) => error)).toBeInstanceOf(OpenAI.NotFoundError);
});

test('without its group it is offered to nobody, and that is said', async () => {
  await mira.goto('/admin/groups');
  await settled(mira);
  await mira.getByLabel('Remove Research', { exact: true }).click();
  await mira.getByRole('button', { name: 'Remove Research now' }).click();
  await expect(mira.getByRole('main')).toContainText('There is no group.');
  await mira.goto('/admin/models');
  await settled(mira);
  await expect(row()).toContainText('Offered to nobody');
  expect(await names()).not.toContain(MODEL);

  await offered('Everyone');
  expect((await call()).choices).toHaveLength(1);
});
