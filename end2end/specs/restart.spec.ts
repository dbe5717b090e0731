// A chat in progress survives a restart of the server: the open page finds its way back by itself, to the same container and the same conversation. On a
// product of its own, which is stopped, killed and started again.
import { type BrowserContext, type Page } from '@playwright/test';
import { expect, test } from '../harness/test';
import { answered, chatReady, control, controlFrame, say } from '../harness/control_ui';
import { clear, held, heldInAll, run } from '../harness/docker';
import { MIRA, settled } from '../harness/people';
import { type Started, again, ended, forget, start, stop } from '../harness/product';
import { deleted, ready, shown } from '../harness/runtimes';

test.describe.configure({ mode: 'serial' });
test.setTimeout(420_000);

/** What the demo model says of itself. */
const DEMO_ANSWER = /demo model of ClawLoops/;
/** How long the Control UI may take to come back: it tries again by itself, each time a little later. */
const BACK_MS = 60_000;

let product: Started;
let context: BrowserContext;
let page: Page;
let id: string;

test.beforeAll(async ({ browser }) => {
  product = await start({}, 'restart');
  context = await browser.newContext({ baseURL: product.running.url });
  page = await context.newPage();
  await page.goto(product.running.setupLink);
  await settled(page);
  await page.getByRole('textbox', { name: 'E-mail' }).fill(MIRA.email);
  await page.getByRole('textbox', { name: 'Your name' }).fill(MIRA.name);
  await page.getByLabel('Password').fill(MIRA.password);
  await page.getByRole('button', { name: 'Create the administrator' }).click();
  await page.waitForURL((url) => url.pathname === '/admin');
});

test.afterAll(async () => {
  test.setTimeout(120_000);
  await context?.close();
  if (!product) return;
  const { running } = product;
  const faults = heldInAll(running.instance).map((thing) => `not removed: ${thing}`);
  faults.push(...(await stop(product.process, running)));
  clear(running.instance);
  forget(running);
  expect(faults).toEqual([]);
});

const connected = () => control(page).getByText('Connected', { exact: true });

test('a chat is under way', async () => {
  await page.goto('/');
  await settled(page);
  await page.getByRole('textbox', { name: 'Name' }).fill('steady');
  await page.getByRole('button', { name: 'Start', exact: true }).click();
  id = (await shown(page)).id;
  await ready(page);
  await models();
  await page.goto(`/runtimes/${id}/open`);
  await chatReady(page);
  await say(page, 'Good morning, before the restart');
  await answered(page, DEMO_ANSWER, 1);
});

for (const [number, [how, signal]] of ([['stopped in order', 'SIGTERM'], ['killed', 'SIGKILL']] as const).entries()) {
  test(`${how} and started again, it goes on by itself`, async () => {
    const [container] = held(product.running.instance, 'container');
    const before = run(container!);
    const frame = await controlFrame(page);
    await frame.evaluate(() => Object.assign(window, { seenBefore: true }));

    await ended(product, signal);
    // What is being typed meanwhile is the page's own.
    const draft = `And after, for the ${number + 1}. time?`;
    await control(page).getByRole('textbox', { name: 'Chat composer' }).fill(draft);
    await expect(connected()).toHaveCount(0);
    expect(run(container!), 'the runtime runs on without the server').toEqual(before);

    product = await again(product);
    // Nobody reloads anything.
    await expect(connected()).toBeAttached({ timeout: BACK_MS });
    expect(await (await controlFrame(page)).evaluate(() => 'seenBefore' in window), 'the frame was loaded anew').toBe(true);
    expect(run(container!), 'the runtime was restarted').toEqual(before);
    await expect(control(page).getByRole('log').getByText('Good morning, before the restart', { exact: true })).toBeVisible();

    await page.screenshot({ path: `pictures/restart-${signal.toLowerCase()}.png` });
    await models();
    await say(page, draft);
    await answered(page, DEMO_ANSWER, number + 2);
    await expect(control(page).getByRole('log').getByText('Good morning, before the restart', { exact: true })).toBeVisible();
  });
}

test('what is left is removed', async () => {
  await deleted(page, id, 'wipe');
  await expect.poll(() => heldInAll(product.running.instance), { timeout: 60_000 }).toEqual([]);
});

/** Waits in another page until models can be called: LiteLLM takes longer to come up than the pages do, and the chat's own answer is what is judged. */
async function models(): Promise<void> {
  const other = await context.newPage();
  const line = other.getByRole('listitem').filter({ hasText: 'LiteLLM' }).getByRole('img', { name: 'fine', exact: true }).first();
  await expect(async () => {
    await other.goto('/admin');
    await expect(line).toBeVisible({ timeout: 1_000 });
  }).toPass({ timeout: 180_000 });
  await other.close();
}
