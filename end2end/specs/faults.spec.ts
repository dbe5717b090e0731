// Parts that are away: what the page says, and that everything goes on by itself once they are back. On a product of its own, which is never restarted.
// A picture of each lies in `pictures/`, to be looked at.
import { type BrowserContext, type Page } from '@playwright/test';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from '../harness/test';
import { type Parts, parts } from '../harness/faults';
import { clear, heldInAll } from '../harness/docker';
import { MIRA, WEI, accept, invite, settled } from '../harness/people';
import { type Started, forget, start, stop } from '../harness/product';
import { deleted, inState, ready } from '../harness/runtimes';
import { makeKey } from '../harness/keys';

test.describe.configure({ mode: 'serial' });
test.setTimeout(300_000);

/** How soon a page says that the database is away. */
const SAID_MS = 5_000;

let given: Parts;
let product: Started;
let context: BrowserContext;
let page: Page;

test.beforeAll(async ({ browser }) => {
  given = await parts();
  product = await start(given.environment, 'faults');
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
  await given.clear();
  forget(running);
  expect(faults).toEqual([]);
});

const picture = (of: Page, name: string) => of.screenshot({ path: `pictures/fault-${name}.png` });

/** The page as a stranger sees it, who has only the link. */
async function strangers(link: string, name: string, status: number): Promise<string> {
  const other = await context.browser()!.newContext({ baseURL: product.running.url });
  const theirs = await other.newPage();
  const answer = await theirs.goto(link);
  expect(answer?.status()).toBe(status);
  await settled(theirs);
  await expect(theirs.getByLabel('password', { exact: false })).toHaveCount(0);
  await picture(theirs, name);
  const said = await theirs.getByRole('main').innerText();
  expect(await other.cookies()).toEqual([]);
  await other.close();
  return said;
}

test.describe('an invitation', () => {
  test('that was used says so, and where to go', async ({ browser }) => {
    const link = await invite(page, WEI);
    const theirs = await browser.newContext({ baseURL: product.running.url });
    await accept(await theirs.newPage(), link, WEI);
    await theirs.close();
    const said = await strangers(link, 'invitation-used', 409);
    expect(said).toContain('This invitation was used already. It works once.');
    expect(said).toContain('Sign in with your address and password.');
    expect(said).toMatch(/^Sign in$/m);
  });

  test('that was taken back says so, and whom to ask', async () => {
    const who = { ...WEI, email: 'taken-back@acme.example' };
    const link = await invite(page, who);
    await page.goto('/admin/people');
    await settled(page);
    const back = page.getByRole('button', { name: `Take back the invitation of ${who.email}` });
    await back.click();
    await expect(back).toHaveCount(0);
    const said = await strangers(link, 'invitation-taken-back', 409);
    expect(said).toContain('This invitation was taken back.');
    expect(said).toContain('Ask your administrator for a new one.');
  });

  test('that is too old says so, and whom to ask', async () => {
    const who = { ...WEI, email: 'too-old@acme.example' };
    const link = await invite(page, who);
    sql(`update invitation set created_at = created_at - interval '73 hours', expires_at = expires_at - interval '73 hours' where email = '${who.email}'`);
    const said = await strangers(link, 'invitation-too-old', 410);
    expect(said).toContain('This invitation is too old.');
    expect(said).toContain('Ask your administrator for a new one.');
  });
});

test('Docker is away: home says so, and a start waits and goes on by itself', async () => {
  await given.docker.away();
  await page.goto('/');
  await settled(page);
  await page.getByRole('textbox', { name: 'Name' }).fill('patient');
  await page.getByRole('button', { name: 'Start', exact: true }).click();
  await page.waitForURL(/\/runtimes\/[0-9a-f-]{36}$/);
  const id = new URL(page.url()).pathname.split('/').pop()!;
  await expect(page.getByText('The container engine does not answer. Your workspace is safe; this goes on by itself once it is back.')).toBeVisible();
  await picture(page, 'docker-away-runtime');
  await page.goto('/');
  await settled(page);
  await expect(page.getByText('The container engine does not answer.').first()).toBeVisible();
  await picture(page, 'docker-away-home');
  await page.goto('/admin');
  await expect(page.getByText('Docker does not answer').first()).toBeVisible();
  await picture(page, 'docker-away-overview');

  await page.goto(`/runtimes/${id}`);
  await settled(page);
  await given.docker.back();
  await ready(page);
  await expect(page.getByText('The container engine does not answer.')).toHaveCount(0);
  await deleted(page, id, 'wipe');
});

test('LiteLLM is away: a call is answered clearly, and the next one works again by itself', async () => {
  const key = await makeKey(page, 'faults');
  const call = async () => {
    const answer = await fetch(`${product.running.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'demo', messages: [{ role: 'user', content: 'Hello' }] }),
    });
    return { status: answer.status, body: await answer.text() };
  };
  await expect.poll(async () => (await call()).status, { timeout: 180_000 }).toBe(200);

  const litellm = given.litellm(product.running);
  await litellm.away();
  const began = Date.now();
  const answer = await call();
  const took = Date.now() - began;
  // Cut off in the moment of its going, or not begun at all.
  expect([502, 503], answer.body).toContain(answer.status);
  const { error } = JSON.parse(answer.body) as { error: { message: string } };
  expect(error.message).toMatch(/model/i);
  expect(took, `said after ${took} ms: ${error.message}`).toBeLessThan(60_000);
  await page.goto('/admin');
  await expect(page.getByText('LiteLLM').first()).toBeVisible();
  await picture(page, 'litellm-away-overview');
  await litellm.back();
  await expect.poll(async () => (await call()).status, { timeout: 180_000 }).toBe(200);
});

test('PostgreSQL is away: every page says so within seconds, and the same server goes on once it is back', async () => {
  await page.goto('/usage');
  await settled(page);
  const postgres = given.postgres(product.running);
  await postgres.away();

  // In the moment of its going a page may come in parts; each load is a 503, said in time.
  for (const path of ['/', '/runtimes', '/usage']) {
    const began = Date.now();
    const answer = await page.goto(path);
    expect(Date.now() - began, path).toBeLessThan(SAID_MS);
    expect(answer?.status(), path).toBe(503);
    await expect(page.getByText('The database does not answer. Nothing was changed.').first()).toBeVisible();
    await expect(page.getByText('Try again in a moment.').first()).toBeVisible();
  }
  await picture(page, 'postgres-away');
  const said = await strangers(`/invitation/${'x'.repeat(43)}`, 'postgres-away-invitation', 503);
  expect(said).toContain('The database does not answer.');
  // Nobody is signed out by it, and the server lives.
  expect((await fetch(`${product.running.url}/healthz`)).status).toBe(200);

  await postgres.back();
  await expect(async () => {
    const again = await page.goto('/');
    expect(again?.status()).toBe(200);
  }).toPass({ timeout: 60_000 });
  await settled(page);
  await expect(page.getByRole('heading', { level: 1 })).toContainText('Mira');
  expect(product.process.exitCode).toBeNull();
});

/** Says a sentence to the product's own database. */
function sql(sentence: string): void {
  const socket = join(product.running.environment.CLAWLOOPS_DATA_DIR!, 'postgres');
  execFileSync('psql', ['--host', socket, '--username', 'clawloops', '--quiet', '--command', sentence, 'clawloops']);
}
