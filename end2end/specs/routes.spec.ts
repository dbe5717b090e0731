// Routes: a server of one's own is called directly, another model answers while it fails, and the page says how it is.
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type OpenAI from 'openai';
import type { Page } from '@playwright/test';
import { expect, test } from '../harness/test';
import { callers } from '../harness/callers';
import { settled } from '../harness/people';

test.describe.configure({ mode: 'serial' });

const PROVIDER = 'Rack';
const MODEL = 'rack-small';

let mira: Page;
let client: OpenAI;
let close: () => Promise<void>;
let server: http.Server;
let isWell = true;
/** What the server was asked for: the path, the key, the model. */
const asked: string[] = [];

test.beforeAll(async ({ browser }) => {
  server = http.createServer((request, response) => {
    let text = '';
    request.on('data', (part) => (text += part));
    request.on('end', () => {
      response.setHeader('content-type', 'application/json');
      if (request.method === 'GET') return response.end(JSON.stringify({ data: [{ id: 'org/small-8b' }] }));
      asked.push(`${request.url} ${request.headers.authorization} ${JSON.parse(text).model}`);
      if (!isWell) response.statusCode = 500;
      const message = { role: 'assistant', content: 'From the rack.' };
      const usage = { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 };
      return response.end(JSON.stringify({ id: '1', object: 'chat.completion', choices: [{ index: 0, message, finish_reason: 'stop' }], usage }));
    });
  });
  await new Promise<void>((up) => server.listen(0, '127.0.0.1', up));
  ({ mira, client, close } = await callers(browser, 'routes'));
});

test.afterAll(async () => {
  server?.close();
  await close?.();
});

const call = async () => {
  const { data, response } = await client.chat.completions.create({ model: MODEL, max_tokens: 16, messages: [{ role: 'user', content: 'Hello' }] }).withResponse();
  return { said: data.choices[0]!.message.content, by: response.headers.get('x-clawloops-model') };
};
const row = () => mira.getByRole('row').filter({ has: mira.getByText(MODEL, { exact: true }) });

test('a server of one’s own is added, to be called directly', async () => {
  await mira.goto('/admin/models');
  await settled(mira);
  await mira.getByRole('button', { name: 'Add a provider' }).click();
  let dialog = mira.getByRole('dialog', { name: 'Add a provider' });
  await dialog.getByRole('combobox', { name: 'Kind' }).selectOption({ label: 'OpenAI-compatible server' });
  await dialog.getByRole('textbox', { name: 'Name' }).fill(PROVIDER);
  await dialog.getByLabel('Key').fill('sk-of-the-rack');
  await dialog.getByRole('textbox', { name: 'Address' }).fill(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`);
  await dialog.getByRole('checkbox', { name: 'It is on this machine or in your own network' }).check();
  await dialog.getByRole('checkbox', { name: 'Call it directly, without LiteLLM' }).check();
  await dialog.getByRole('button', { name: 'Add the provider' }).click();
  await expect(dialog).toBeHidden();
  const line = mira.getByRole('listitem').filter({ has: mira.getByText(PROVIDER, { exact: true }) });
  await expect(line).toContainText('called directly');

  await line.getByRole('button', { name: 'Add a model' }).click();
  dialog = mira.getByRole('dialog', { name: `Add a model of ${PROVIDER}` });
  await dialog.getByRole('button', { name: 'List its models' }).click();
  await expect(dialog).toContainText('It answers, and has 1 model');
  await dialog.getByRole('combobox', { name: "The provider's name for it" }).fill('org/small-8b');
  await dialog.getByRole('textbox', { name: 'Name that callers use' }).fill(MODEL);
  await dialog.getByRole('radio', { name: 'Free' }).check();
  await dialog.getByRole('textbox', { name: 'Fallbacks' }).fill('nothing-of-that-name');
  await dialog.getByRole('button', { name: 'Add the model' }).click();
  await expect(dialog).toContainText('One of these is no model of the catalog');
  await dialog.getByRole('textbox', { name: 'Fallbacks' }).fill('demo');
  await dialog.getByRole('button', { name: 'Add the model' }).click();
  await expect(dialog).toBeHidden();
  await expect(row()).toContainText('then demo');

  expect(await call()).toEqual({ said: 'From the rack.', by: null });
  expect(asked).toEqual(['/v1/chat/completions Bearer sk-of-the-rack org/small-8b']);
});

test('while it fails another model answers, and the page says so', async () => {
  isWell = false;
  for (let time = 0; time < 6; time += 1) {
    expect(await call()).toEqual({ said: expect.stringContaining('demo model of ClawLoops'), by: 'demo' });
  }
  expect(asked).toHaveLength(6);
  await mira.reload();
  await settled(mira);
  await expect(row()).toContainText('Failing');
  await expect(mira.getByRole('main')).toContainText(`${MODEL} fails. HTTP 500 Internal Server Error, first`);
  await mira.screenshot({ path: 'pictures/admin-models-failing.png', fullPage: true });
});

test('it is asked again by itself when it is well', async () => {
  isWell = true;
  await expect(async () => expect((await call()).by).toBeNull()).toPass({ timeout: 60_000, intervals: [1_000] });
  await mira.reload();
  await settled(mira);
  await expect(row()).not.toContainText('Failing');
  await row().getByRole('button', { name: `Remove ${MODEL}` }).click();
  await expect(row()).toHaveCount(0);
  await mira.getByLabel(`Remove ${PROVIDER}`, { exact: true }).click();
  await mira.getByRole('button', { name: `Remove ${PROVIDER} now` }).click();
  await expect(mira.getByRole('listitem').filter({ hasText: PROVIDER })).toHaveCount(0);
});
