// Budgets: an administrator sets a limit on the page of all limits, a person runs into it, asks for more, and is granted it with one press.
import OpenAI from 'openai';
import type { Page } from '@playwright/test';
import { expect, test } from '../harness/test';
import { callers } from '../harness/callers';
import { WEI, settled } from '../harness/people';

test.describe.configure({ mode: 'serial' });

let mira: Page;
let wei: Page;
let client: OpenAI;
let close: () => Promise<void>;

test.beforeAll(async ({ browser }) => {
  ({ mira, wei, client, close } = await callers(browser, 'budgets'));
});

test.afterAll(async () => {
  // Nobody after us is to be held back.
  const rows = mira.getByRole('row', { name: 'calls a day' });
  await fresh('/admin/budgets');
  for (let left = await rows.count(); left > 0; left -= 1) {
    await rows.first().getByText('Remove', { exact: true }).click();
    await rows.first().getByRole('button', { name: /^Remove now/ }).click();
    await expect(rows).toHaveCount(left - 1);
  }
  await close?.();
});

/** Mira's page as it is now. */
async function fresh(path: string): Promise<void> {
  await mira.goto(path);
  await settled(mira);
}

const call = async () => {
  const [model] = (await client.models.list()).data;
  return client.chat.completions.create({ model: model!.id, max_tokens: 16, messages: [{ role: 'user', content: 'Count' }] });
};

test('a limit on calls is set on the page of budgets, and holds', async () => {
  await fresh('/admin/budgets');
  await mira.getByRole('button', { name: 'Set a limit' }).click();
  const dialog = mira.getByRole('dialog', { name: 'Set a limit' });
  const person = await dialog.getByRole('option', { name: WEI.name }).first().getAttribute('value');
  await dialog.getByRole('combobox', { name: 'For' }).selectOption(person!);
  await dialog.getByRole('textbox', { name: 'Amount' }).fill('0');
  await dialog.getByRole('combobox', { name: 'Of' }).selectOption({ label: 'Calls' });
  await dialog.getByRole('combobox', { name: 'In' }).selectOption({ label: 'A day' });
  await dialog.getByRole('button', { name: 'Set the limit' }).click();
  await expect(dialog).toBeHidden();
  await expect(mira.getByRole('row', { name: WEI.name })).toContainText('0 calls a day');
  const refusal = await call().catch((error: unknown) => error);
  expect(refusal).toBeInstanceOf(OpenAI.RateLimitError);
  expect((refusal as OpenAI.RateLimitError).message).toContain('Your limit of 0 calls a day is used up');
});

test('who ran out asks for more with a reason', async () => {
  await wei.goto('/usage');
  await settled(wei);
  await expect(wei.getByRole('status').filter({ hasText: 'Used up' })).toContainText('0 calls a day');
  await wei.getByRole('button', { name: 'Ask for more' }).click();
  const dialog = wei.getByRole('dialog', { name: 'Ask for more' });
  const limit = await dialog.getByRole('option', { name: 'calls a day' }).first().getAttribute('value');
  await dialog.getByRole('combobox', { name: 'Limit' }).selectOption(limit!);
  await dialog.getByRole('textbox', { name: 'It should be' }).fill('1000');
  await dialog.getByRole('textbox', { name: 'Reason' }).fill('A demonstration');
  await dialog.getByRole('button', { name: 'Ask for more' }).click();
  await expect(dialog).toBeHidden();
  await expect(wei.getByRole('main')).toContainText('Waits for an answer');
});

test('an administrator grants it with one press, and both are told', async () => {
  await fresh('/admin/requests');
  await expect(mira.getByRole('navigation', { name: 'Main' })).toContainText('1 waiting for an answer');
  await mira.getByRole('textbox', { name: `A word to ${WEI.name}` }).fill('Enjoy');
  await mira.getByRole('button', { name: `Grant once: ${WEI.name}` }).click();
  await expect(mira.getByRole('main')).toContainText('Granted for this time');
  await expect(mira.getByRole('main')).toContainText('Nobody asks for more.');
  await expect(wei.getByRole('main')).toContainText('Granted for this time');
  await expect(wei.getByRole('main')).toContainText('Enjoy');
  expect((await call()).choices).toHaveLength(1);
});
