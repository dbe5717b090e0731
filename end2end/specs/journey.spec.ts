// Steps 3 to 10 as one person and one administrator live them, in two browsers, in this order.
import OpenAI from 'openai';
import type { BrowserContext, Page } from '@playwright/test';
import { expect, test } from '../harness/test';
import { answered, chatReady, control, controlFrame, say } from '../harness/control_ui';
import { environment, held, run } from '../harness/docker';
import { makeKey, revokeKey, rotateKey } from '../harness/keys';
import { limited, personPage } from '../harness/limits';
import { ADA, MIRA, accept, browserOf, freshBrowser, invite, settled, signIn } from '../harness/people';
import { running } from '../harness/product';
import { START_MS, type Runtime, deleted, ready, shown, stopped, watched } from '../harness/runtimes';
import { ask, curl } from '../harness/web';

const DEMO = 'demo';
const LOCAL = 'local-tiny';
/** What the demo model says of itself. */
const DEMO_ANSWER = /demo model of ClawLoops/;
/** Revocation is promised within two seconds; a busy machine gets a little more before the test gives up. */
const AT_ONCE_MS = 5_000;

test.describe.configure({ mode: 'serial' });
test.setTimeout(240_000);

let office: BrowserContext;
let mira: Page;
let home: BrowserContext;
let ada: Page;
let runtime: Runtime;
let key: string;
/** Tokens of the local model as the API itself counted them, in and out. */
const counted = { calls: 0, input: 0, output: 0 };

test.beforeAll(async ({ browser }) => {
  office = await browserOf(browser, MIRA);
  mira = await office.newPage();
  home = await freshBrowser(browser);
  ada = await home.newPage();
});

test.afterAll(async () => {
  await office?.close();
  await home?.close();
});

test('3: the administrator invites a person, who chooses a password and lands at home', async () => {
  const link = await invite(mira, ADA);
  await expect(mira.getByRole('button', { name: 'Copy invitation link' })).toBeVisible();
  await accept(ada, link, ADA);
  await expect(ada.getByRole('heading', { level: 1 })).toContainText('Ada');
  const session = (await home.cookies()).find((cookie) => cookie.name === '__Host-clawloops_session');
  expect(session).toMatchObject({ httpOnly: true, secure: true, sameSite: 'Lax' });
  await expect(mira.getByRole('cell', { name: ADA.email })).toBeVisible();
});

test('4: they press Start and see true phases, live, until it is ready', async () => {
  await settled(ada);
  await ada.getByRole('button', { name: 'Start', exact: true }).click();
  runtime = await shown(ada);
  const seen = await watched(ada);
  // The steps came in this order, each as it was under way or done; the quick ones may have passed between two looks.
  const order = ['Making a place', 'Place made', 'Creating the container', 'Container created', 'Starting the container', 'Container started', 'Waiting for OpenClaw', 'OpenClaw answers'];
  expect(seen.steps).toEqual(order.filter((step) => seen.steps.includes(step)));
  expect(seen.steps).toEqual(expect.arrayContaining(['Place made', 'Container created', 'Container started', 'Waiting for OpenClaw']));
  expect(seen.states).toEqual(['Starting', 'Running']);
  // The seconds count up by themselves.
  expect(seen.elapsed.length).toBeGreaterThan(3);
  expect([...seen.elapsed].sort((a, b) => a - b)).toEqual(seen.elapsed);
  expect(held(running().instance, 'container')).toHaveLength(1);
});

test('5: Open shows the real Control UI inside the dashboard, signed in, with nothing to pair', async () => {
  await ada.getByRole('link', { name: /^Open / }).click();
  await ada.waitForURL(/\/open$/);
  await chatReady(ada);
  const ui = control(ada);
  await expect(ui.getByText(/approve this browser|pairing/i)).toHaveCount(0);
  await expect(ui.getByRole('button', { name: /identity.*ada/i })).toBeVisible();

  const frame = await controlFrame(ada);
  expect(new URL(frame.url()).origin).toBe(runtime.origin);
  expect(frame.url()).not.toMatch(/ticket|token/);
  const kept = await frame.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage, cookie: document.cookie }));
  expect(kept).not.toMatch(/cl_rt_|cl_live_|clawloops_runtime|clawloops_session|"[^"]*token[^"]*":/i);
  const cookies = await home.cookies();
  for (const cookie of cookies) expect(kept).not.toContain(cookie.value);
  expect(cookies.filter((cookie) => cookie.domain === new URL(runtime.origin).hostname)).toMatchObject([{ httpOnly: true, secure: true }]);
  // The dashboard's own page is out of the frame's reach.
  expect(await frame.evaluate(() => { try { return String(window.parent.document.title); } catch { return 'closed'; } })).toBe('closed');
});

test('5: it fills the window and comes back', async () => {
  const narrow = await ada.locator('iframe').boundingBox();
  await ada.getByRole('button', { name: 'Fill the window' }).click();
  await expect.poll(async () => (await ada.locator('iframe').boundingBox())?.height ?? 0).toBeGreaterThan(narrow!.height);
  await ada.getByRole('button', { name: 'Fill the window' }).click();
  await expect.poll(async () => (await ada.locator('iframe').boundingBox())?.height ?? 0).toBe(narrow!.height);
});

test('6: the administrator sees that each part is well', async () => {
  for (const part of ['Docker', 'PostgreSQL', 'LiteLLM']) {
    const line = mira.getByRole('listitem').filter({ hasText: part });
    // LiteLLM takes longer to come up than the pages do.
    await expect(async () => {
      await mira.goto('/admin');
      await expect(line.getByRole('img', { name: 'fine', exact: true }).first()).toBeVisible({ timeout: 1_000 });
    }).toPass({ timeout: 120_000 });
  }
});

test('6: a message reaches the model through the proxy, and the answer appears', async () => {
  await say(ada, 'Good morning from Ada');
  await answered(ada, DEMO_ANSWER, 1);
  // Its own key stands in its configuration, where it can be rotated, and no secret in its environment.
  const [container] = held(running().instance, 'container');
  const secrets = environment(container!).filter((line) => /key|token|secret|password/i.test(line));
  expect(secrets).toEqual([]);
});

test('7: a key of their own, shown once', async () => {
  const page = await home.newPage();
  key = await makeKey(page, 'laptop');
  await page.goto('/models');
  await expect(page.getByRole('row', { name: 'laptop' })).toBeVisible();
  await expect(page.getByText(key)).toHaveCount(0);
  await page.close();
});

test('7: curl uses it, whole and streamed', async () => {
  const authorization = ['--header', `Authorization: Bearer ${key}`];
  const models = await curl('/v1/models', ...authorization);
  expect(models.status).toBe(200);
  const names = (JSON.parse(models.body) as { data: { id: string }[] }).data.map((model) => model.id);
  expect(names).toEqual(expect.arrayContaining([DEMO, LOCAL]));

  const say = (model: string, stream: boolean) =>
    curl('/v1/chat/completions', ...authorization, '--header', 'Content-Type: application/json', '--no-buffer', '--data', JSON.stringify({ model, stream, max_tokens: 16, messages: [{ role: 'user', content: 'Hello' }] }));
  const whole = await say(DEMO, false);
  expect(whole.status).toBe(200);
  const answer = JSON.parse(whole.body) as { choices: { message: { content: string } }[]; usage: { total_tokens: number } };
  expect(answer.choices[0]!.message.content).toMatch(DEMO_ANSWER);
  expect(answer.usage.total_tokens).toBeGreaterThan(0);

  const streamed = await say(DEMO, true);
  expect(streamed.status).toBe(200);
  const lines = streamed.body.split('\n').filter((line) => line.startsWith('data: '));
  expect(lines.at(-1)).toBe('data: [DONE]');
  const text = lines.slice(0, -1).map((line) => (JSON.parse(line.slice(6)) as OpenAI.ChatCompletionChunk).choices[0]?.delta.content ?? '').join('');
  expect(text).toMatch(DEMO_ANSWER);
  // Nobody asked for the count of tokens, so the chunk that the proxy asked for is not passed on.
  expect(streamed.body).not.toContain('"choices":[]');
});

test('7: the openai client uses it with the real local model, whole and streamed', async () => {
  const client = new OpenAI({ baseURL: `${running().url}/v1`, apiKey: key, maxRetries: 0 });
  const messages = [{ role: 'user' as const, content: 'Say something' }];
  const whole = await client.chat.completions.create({ model: LOCAL, messages, max_tokens: 12 });
  expect(whole.choices[0]!.message.role).toBe('assistant');
  const note = (usage: OpenAI.CompletionUsage) => {
    expect(usage.prompt_tokens).toBeGreaterThan(0);
    expect(usage.completion_tokens).toBeLessThanOrEqual(12);
    counted.calls += 1;
    counted.input += usage.prompt_tokens;
    counted.output += usage.completion_tokens;
  };
  note(whole.usage!);

  const stream = await client.chat.completions.create({ model: LOCAL, messages, max_tokens: 12, stream: true, stream_options: { include_usage: true } });
  let chunks = 0;
  let usage: OpenAI.CompletionUsage | null | undefined;
  for await (const chunk of stream) {
    chunks += chunk.choices.length;
    usage = chunk.usage ?? usage;
  }
  expect(chunks).toBeGreaterThan(1);
  note(usage!);

  const refused = await client.chat.completions.create({ model: 'no-such-model', messages }).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(OpenAI.NotFoundError);
});

test('7: rotated, the old secret and the new one work side by side', async () => {
  const page = await home.newPage();
  const next = await rotateKey(page, 'laptop', 'For an hour');
  expect(next).not.toBe(key);
  for (const either of [key, next]) {
    expect((await curl('/v1/models', '--header', `Authorization: Bearer ${either}`)).status).toBe(200);
  }
  await page.goto('/models');
  await expect(page.getByRole('row', { name: 'laptop' })).toContainText('Old secret');
  await expect(page.getByText(next)).toHaveCount(0);
  await page.close();
});

test('7: revoked, it stops working at once', async () => {
  const page = await home.newPage();
  await revokeKey(page, 'laptop');
  expect((await curl('/v1/models', '--header', `Authorization: Bearer ${key}`)).status).toBe(401);
  await page.close();
});

test('8: the usage page counts what the API counted, by day and model', async () => {
  const page = await home.newPage();
  await page.goto('/usage');
  const models = card(page, 'By model');
  const cells = models.getByRole('row', { name: LOCAL }).getByRole('cell');
  await expect(cells).toHaveText([LOCAL, String(counted.calls), '0', counted.input.toLocaleString('en'), counted.output.toLocaleString('en'), 'Free']);
  await expect(models.getByRole('row', { name: DEMO })).toBeVisible();
  await page.getByText('Show as table').click();
  const today = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeZone: 'UTC' }).format();
  await expect(page.getByRole('row', { name: today })).toBeVisible();
  await page.close();
});

test('8: the administrator sees it for everyone', async () => {
  await mira.goto('/admin/usage');
  await expect(card(mira, 'By person').getByRole('row', { name: ADA.name })).toBeVisible();
  const cells = card(mira, 'By model').getByRole('row', { name: LOCAL }).getByRole('cell');
  await expect(cells.nth(3)).toHaveText(counted.input.toLocaleString('en'));
});

test('8: past a limit the chat says so in plain words, and works again once it is raised, without a restart', async () => {
  const [container] = held(running().instance, 'container');
  const before = run(container!);
  // Whatever changes around it, the frame is not loaded anew under the person's hands.
  const frame = await controlFrame(ada);
  await frame.evaluate(() => Object.assign(window, { seenBefore: true }));
  await limited(mira, ADA, { amount: '10', of: 'Tokens, sent and answered together', within: 'A day' }, '10 tokens');
  await say(ada, 'Is there anything left?');
  await answered(ada, /limit/i, 1);
  const said = await control(ada).getByRole('log').getByRole('paragraph').filter({ hasText: /limit/i }).innerText();
  expect(said).toMatch(/token/i);
  expect(said).toMatch(/administrator/i);

  await limited(mira, ADA, { amount: '900 M', of: 'Tokens, sent and answered together', within: 'A day' }, '900 M tokens');
  await say(ada, 'And now?');
  await answered(ada, DEMO_ANSWER, 2);
  expect(run(container!)).toEqual(before);
  expect(await (await controlFrame(ada)).evaluate(() => 'seenBefore' in window)).toBe(true);
});

test('8: the key of their runtime is rotated, and the next message is answered without a restart', async () => {
  const [container] = held(running().instance, 'container');
  const before = run(container!);
  const page = await home.newPage();
  await page.goto(`/runtimes/${runtime.id}`);
  await settled(page);
  await page.getByRole('button', { name: 'Rotate key' }).click();
  const dialog = page.getByRole('dialog', { name: 'Rotate key' });
  await dialog.getByLabel('The old key works on').selectOption({ label: 'For 5 minutes' });
  await dialog.getByRole('button', { name: 'Rotate the key' }).click();
  await expect(dialog).toBeHidden();
  // The old one is listed beside the new one while it works on.
  await page.goto('/models');
  const row = page.getByRole('row').filter({ hasText: '· runtime' });
  await expect(row).toContainText('By its profile');
  await expect(row).toContainText('Old secret');
  await page.close();
  await say(ada, 'And with another key?');
  // OpenClaw reads its configuration anew by itself, and gives up a turn that begins in that very moment; a person says it again.
  const log = control(ada).getByRole('log');
  const answers = log.getByRole('paragraph').filter({ hasText: DEMO_ANSWER });
  await expect(answers.nth(2).or(log.getByText(/generation was superseded/).first())).toBeVisible({ timeout: 120_000 });
  if ((await answers.count()) < 3) await say(ada, 'And once more?');
  await answered(ada, DEMO_ANSWER, 3);
  expect(run(container!)).toEqual(before);
});

test('9: stopped and started again, the conversation is still there', async () => {
  await stopped(ada, runtime.id);
  expect(held(running().instance, 'container')).toEqual([]);
  await ada.getByRole('button', { name: /^Start / }).click();
  // A start has been measured on this machine by now, so the page says how long one usually takes.
  await expect(ada.getByText(/usually ready in/i)).toBeVisible();
  await ready(ada);
  await ada.goto(`/runtimes/${runtime.id}/open`);
  await chatReady(ada);
  await expect(control(ada).getByRole('log').getByText('Good morning from Ada', { exact: true })).toBeVisible();
  await answered(ada, DEMO_ANSWER, 3);
});

test('10: disabled, the person is closed out everywhere at once', async () => {
  const page = await home.newPage();
  key = await makeKey(page, 'second');
  await page.goto('/usage');
  expect((await curl('/v1/models', '--header', `Authorization: Bearer ${key}`)).status).toBe(200);
  // OpenClaw in a window of its own: no script of the dashboard is there to leave the page, so it is the server that cuts its WebSocket.
  const alone = await home.newPage();
  const opened = alone.waitForEvent('websocket', (socket) => socket.url().includes(new URL(runtime.origin).host));
  await alone.goto(runtime.origin);
  const socket = await opened;
  await expect(alone.getByText('Connected', { exact: true })).toBeAttached({ timeout: 60_000 });
  expect(socket.isClosed()).toBe(false);

  await personPage(mira, ADA);
  await mira.getByText('Disable', { exact: true }).click();
  const cut = socket.waitForEvent('close', { timeout: AT_ONCE_MS });
  await mira.getByRole('button', { name: 'Disable now' }).click();

  await cut;
  await expect.poll(async () => (await curl('/v1/models', '--header', `Authorization: Bearer ${key}`)).status, { timeout: AT_ONCE_MS }).toBe(401);
  // Open pages leave by themselves, the one with the frame too.
  await expect(page).toHaveURL(/\/sign-in/, { timeout: AT_ONCE_MS });
  await expect(ada).toHaveURL(/\/sign-in/, { timeout: AT_ONCE_MS });
  const host = new URL(runtime.origin).hostname;
  const cookie = (await home.cookies(runtime.origin)).map((one) => `${one.name}=${one.value}`).join('; ');
  expect((await ask('/', { host, headers: { accept: 'application/json', cookie } })).status).toBe(401);
  await expect.poll(() => held(running().instance, 'container'), { timeout: START_MS }).toEqual([]);
  await signIn(ada, ADA);
  await expect(ada.getByRole('alert')).toContainText('Your account is disabled.');
  await page.close();
  await alone.close();
});

test('9: deleting asks whether to keep the workspace: kept, it is found again; wiped, nothing is left', async () => {
  await mira.getByRole('button', { name: 'Enable' }).click();
  await expect(mira.getByText('Active', { exact: true }).first()).toBeVisible();
  await ada.goto('/sign-in');
  await signIn(ada, ADA);
  await ada.waitForURL((url) => url.pathname === '/');

  await ada.goto(`/runtimes/${runtime.id}`);
  const name = await ada.getByRole('heading', { level: 1 }).innerText();
  expect(name).toBe('my-agent');
  const [workspace] = held(running().instance, 'volume');
  await deleted(ada, runtime.id, 'keep');
  await expect.poll(() => held(running().instance, 'network'), { timeout: START_MS }).toEqual([]);
  expect(held(running().instance, 'volume')).toEqual([workspace]);

  await ada.goto('/');
  await settled(ada);
  await ada.getByRole('textbox', { name: 'Name' }).fill(name);
  await ada.getByRole('button', { name: 'Start', exact: true }).click();
  const again = (await shown(ada)).id;
  await ready(ada);
  await ada.getByRole('link', { name: /^Open / }).click();
  await chatReady(ada);
  await expect(control(ada).getByRole('log').getByText('Good morning from Ada', { exact: true })).toBeVisible();

  await deleted(ada, again, 'wipe');
  for (const kind of ['container', 'network', 'volume'] as const) {
    await expect.poll(() => held(running().instance, kind), { timeout: START_MS }).toEqual([]);
  }
});

/** A card of a page, by its title. */
function card(page: Page, title: string) {
  return page.locator('section.card').filter({ has: page.getByRole('heading', { name: title }) });
}
