// Providers, prices and limits in money: an administrator adds a real server as a provider and prices one of its models; a limit holds.
import OpenAI from 'openai';
import type { Page } from '@playwright/test';
import { expect, test } from '../harness/test';
import { callers } from '../harness/callers';
import { limited } from '../harness/limits';
import { WEI, settled } from '../harness/people';
import { running } from '../harness/product';

test.describe.configure({ mode: 'serial' });

const PROVIDER = 'Workshop';
const MODEL = 'workshop-large';
/** Dollars for a million tokens, in and out. */
const PRICE = { input: 1000, output: 4000 };

let mira: Page;
let wei: Page;
let client: OpenAI;
let close: () => Promise<void>;
/** Micro-dollars. */
let spent = 0;

test.beforeAll(async ({ browser }) => {
  ({ mira, wei, client, close } = await callers(browser, 'money'));
});

test.afterAll(async () => {
  await close?.();
});

const call = () => client.chat.completions.create({ model: MODEL, max_tokens: 8, messages: [{ role: 'user', content: 'Count' }] });

/** One short call; notes what it cost by the price and the tokens in the answer. */
async function paid(): Promise<void> {
  const { prompt_tokens, completion_tokens } = (await call()).usage!;
  spent += prompt_tokens * PRICE.input + completion_tokens * PRICE.output;
}

test('a provider is added and says which models it has', async () => {
  await mira.goto('/admin/models');
  await settled(mira);
  await mira.getByRole('button', { name: 'Add a provider' }).click();
  const dialog = mira.getByRole('dialog', { name: 'Add a provider' });
  await dialog.getByRole('combobox', { name: 'Kind' }).selectOption({ label: 'OpenAI-compatible server' });
  await dialog.getByRole('textbox', { name: 'Name' }).fill(PROVIDER);
  await dialog.getByRole('textbox', { name: 'Address' }).fill(`http://127.0.0.1:${running().ports.local}/v1`);
  // An address of this machine is not taken by mistake.
  await dialog.getByRole('button', { name: 'Add the provider' }).click();
  await expect(dialog).toContainText('tick that it is in your own network');
  await dialog.getByRole('checkbox', { name: 'It is on this machine or in your own network' }).check();
  await dialog.getByRole('button', { name: 'Add the provider' }).click();
  await expect(dialog).toBeHidden();
  await expect(line()).toContainText('0 models');
});

test('one of its models is priced and offered, and a call costs what its tokens cost', async () => {
  await line().getByRole('button', { name: 'Add a model' }).click();
  const dialog = mira.getByRole('dialog', { name: `Add a model of ${PROVIDER}` });
  await dialog.getByRole('button', { name: 'List its models' }).click();
  await expect(dialog).toContainText('It answers, and has 1 model');
  const upstream = await dialog.locator('datalist option').first().getAttribute('value');
  await dialog.getByRole('combobox', { name: "The provider's name for it" }).fill(upstream!);
  await dialog.getByRole('textbox', { name: 'Name that callers use' }).fill(MODEL);
  await dialog.getByRole('textbox', { name: 'Tokens that fit' }).fill('8000');
  await dialog.getByRole('textbox', { name: 'Answered at most' }).fill('64');
  await dialog.getByRole('textbox', { name: 'Sent', exact: true }).fill(String(PRICE.input));
  await dialog.getByRole('textbox', { name: 'Answered', exact: true }).fill(String(PRICE.output));
  await dialog.getByRole('button', { name: 'Add the model' }).click();
  await expect(mira.getByRole('row', { name: MODEL })).toContainText('Offered');

  // LiteLLM is given the new catalog and takes a moment to serve it.
  await expect(async () => {
    await paid();
  }).toPass({ timeout: 90_000, intervals: [1_000] });
  await wei.goto('/usage');
  const row = wei.getByRole('row', { name: MODEL });
  await expect(row.getByRole('cell').nth(1)).toHaveText('1');
  await expect(row.getByRole('cell').last()).toHaveText(dollars(spent));
});

test('past a limit in money a call is refused in the shape of the API, and passes again once it is raised', async () => {
  await limited(mira, WEI, { amount: '0.01', of: 'US dollars', within: 'A month' }, '$0.01');
  const refused = await call().catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(OpenAI.RateLimitError);
  const { code, message, headers } = refused as InstanceType<typeof OpenAI.RateLimitError>;
  expect(code).toBe('insufficient_quota');
  expect(message).toContain('Your limit of $0.01 a month is used up');
  expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);

  await limited(mira, WEI, { amount: '1000', of: 'US dollars', within: 'A month' }, '$1,000.00');
  await paid();
});

test('a provider that is removed takes its models along', async () => {
  await mira.goto('/admin/models');
  await settled(mira);
  await line().getByLabel(`Remove ${PROVIDER}`, { exact: true }).click();
  await mira.getByRole('button', { name: `Remove ${PROVIDER} now` }).click();
  await expect(line()).toHaveCount(0);
  await expect(call()).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  // What was used stays on the page.
  await wei.goto('/usage');
  await expect(wei.getByRole('row', { name: MODEL }).getByRole('cell').last()).toHaveText(dollars(spent));
});

/** An amount as the pages say it, to the cent. */
const dollars = (micros: number) => `$${(Math.floor((micros + 5_000) / 10_000) / 100).toFixed(2)}`;

/** The provider's line in the list. */
function line() {
  return mira.getByRole('listitem').filter({ has: mira.getByText(PROVIDER, { exact: true }) });
}
