// A server without host names, as at home or in an office: known by an address, runtimes at ports of it, https by an authority of its own. Tried from another
// machine, as far as the network goes. On a product of its own.
import { type Browser, type BrowserContext, type Page } from '@playwright/test';
import { expect, test } from '../harness/test';
import { answered, chatReady, controlFrame, say } from '../harness/control_ui';
import { clear, heldInAll } from '../harness/docker';
import { type Elsewhere, elsewhere } from '../harness/elsewhere';
import { MIRA, settled, signIn } from '../harness/people';
import { type Started, clawloops, forget, freePorts, start, stop } from '../harness/product';
import { START_MS, deleted, ready } from '../harness/runtimes';

test.describe.configure({ mode: 'serial' });
test.setTimeout(420_000);

const DEMO_ANSWER = /demo model of ClawLoops/;
/** The first of the ports for runtimes; below those that the system gives away by itself. */
const FIRST = 24_000 + 10 * (process.pid % 700);

let there: Elsewhere;
let product: Started;
let plain: number;
let browser: Browser;
let context: BrowserContext;
let page: Page;
/** Ids of runtimes, by name. */
const ids: Record<string, string> = {};

const url = () => product.running.url;
const portOf = (number: number) => `https://${there.here}:${FIRST + number}`;

test.beforeAll(async () => {
  there = elsewhere();
  const [port, http] = (await freePorts(2)) as [number, number];
  plain = http;
  product = await start(
    {
      CLAWLOOPS_LISTEN: `${there.here}:${port}`,
      CLAWLOOPS_PUBLIC_URL: `https://${there.here}:${port}`,
      CLAWLOOPS_HTTP_LISTEN: `${there.here}:${http}`,
      CLAWLOOPS_TLS: 'own-authority',
      CLAWLOOPS_RUNTIME_PORTS: `${FIRST}-${FIRST + 1}`,
    },
    'office',
  );
});

test.afterAll(async () => {
  test.setTimeout(120_000);
  await browser?.close();
  const faults: string[] = [];
  if (product) {
    const { running } = product;
    faults.push(...heldInAll(running.instance).map((thing) => `not removed: ${thing}`), ...(await stop(product.process, running)));
    clear(running.instance);
    forget(running);
  }
  there?.remove();
  expect(faults).toEqual([]);
});

test('who does not trust the server yet is warned, and told how to over plain http', async () => {
  browser = await there.browser();
  const stranger = await browser.newPage();
  await expect(stranger.goto(url())).rejects.toThrow(/ERR_CERT_AUTHORITY_INVALID/);

  await stranger.goto(`http://${there.here}:${plain}/trust`);
  await expect(stranger.getByRole('heading', { level: 1, name: 'Trust this server' })).toBeVisible();
  const fingerprint = (await stranger.locator('.code').first().innerText()).replaceAll(/\s/g, '');
  expect(fingerprint).toMatch(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
  // The administrator reads the same from the server.
  expect(clawloops(product.running, ['doctor']).output).toContain(fingerprint);

  for (const [name, width] of [['wide', 1360], ['narrow', 390]] as const) {
    for (const scheme of ['light', 'dark'] as const) {
      await stranger.setViewportSize({ width, height: 900 });
      await stranger.emulateMedia({ colorScheme: scheme });
      await stranger.locator('details').first().evaluate((way: HTMLDetailsElement) => (way.open = true));
      expect(await stranger.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name}: something sticks out`).toBe(true);
      await stranger.screenshot({ path: `pictures/trust-${name}-${scheme}.png`, fullPage: true });
    }
  }
  const pem = there.run('curl', '--silent', '--fail', `http://${there.here}:${plain}/trust/clawloops.pem`);
  expect(() => there.run('curl', '--silent', '--fail', `${url()}/healthz`), 'nobody trusts it yet').toThrow();
  there.trust(pem);
  // All else is sent to https.
  const sent = there.run('curl', '--silent', '--output', '/dev/null', '--write-out', '%{http_code} %{redirect_url}', `http://${there.here}:${plain}/runtimes`);
  expect(sent.toString()).toBe(`308 ${url()}/runtimes`);
  await browser.close();
});

test('who trusts it signs in', async () => {
  browser = await there.browser();
  context = await browser.newContext({ baseURL: url(), viewport: { width: 1360, height: 900 }, locale: 'en-GB' });
  page = await context.newPage();
  await page.goto(product.running.setupLink);
  await settled(page);
  await page.getByRole('textbox', { name: 'E-mail' }).fill(MIRA.email);
  await page.getByRole('textbox', { name: 'Your name' }).fill(MIRA.name);
  await page.getByLabel('Password').fill(MIRA.password);
  await page.getByRole('button', { name: 'Create the administrator' }).click();
  await page.waitForURL((at) => at.pathname === '/admin');
  await context.clearCookies();
  await page.goto('/');
  await page.waitForURL((at) => at.pathname === '/sign-in');
  await signIn(page, MIRA);
  await page.waitForURL((at) => at.pathname === '/');
  const [session] = await context.cookies();
  expect(session).toMatchObject({ name: '__Host-Http-clawloops_session', httpOnly: true, secure: true, sameSite: 'Lax' });
});

test('a runtime starts at a port of its own, is shown in the page, and answers', async () => {
  await page.goto('/');
  await settled(page);
  await page.getByRole('textbox', { name: 'Name' }).fill('desk');
  await page.getByRole('button', { name: 'Start', exact: true }).click();
  await page.waitForURL(/\/runtimes\/[0-9a-f-]{36}$/);
  ids.desk = new URL(page.url()).pathname.split('/').pop()!;
  await expect(page.getByText(portOf(0).slice('https://'.length), { exact: true }).first()).toBeVisible();
  await ready(page);
  await models();
  await page.goto(`/runtimes/${ids.desk}/open`);
  await chatReady(page);
  expect(new URL((await controlFrame(page)).url()).origin).toBe(portOf(0));
  await say(page, 'Good morning from another machine');
  await answered(page, DEMO_ANSWER, 1);
  await page.screenshot({ path: 'pictures/office-open.png' });
});

test('the runtime sees no cookie of ours, and plants none', async () => {
  const frame = await controlFrame(page);
  const before = await context.cookies();
  expect(before.map((cookie) => cookie.name).sort()).toEqual([`__Host-Http-clawloops_runtime_${FIRST}`, '__Host-Http-clawloops_session']);
  expect(await frame.evaluate(() => document.cookie)).toBe('');
  await frame.evaluate(() => {
    for (const name of ['__Host-Http-clawloops_session', '__Host-clawloops_session', '__Host-Http-clawloops_shown'])
      for (const more of ['', '; HttpOnly']) document.cookie = `${name}=${'A'.repeat(43)}; Secure; Path=/${more}`;
    document.cookie = `mine=1; Secure; Path=/`;
  });
  const after = await context.cookies();
  expect(after.filter((cookie) => cookie.name.startsWith('__Host-Http-')), 'a script changed one of ours').toEqual(before);
  // What it sends to the dashboard, with the person's session, does nothing.
  const sent = await frame.evaluate(async (dashboard) => {
    const tries = [fetch(`${dashboard}/api/ui/sign-out`, { method: 'POST', credentials: 'include' }), fetch(`${dashboard}/runtimes`, { credentials: 'include' })];
    const read = (await Promise.allSettled(tries)).map((one) => one.status);
    await fetch(`${dashboard}/api/ui/sign-out`, { method: 'POST', credentials: 'include', mode: 'no-cors' });
    return read;
  }, url());
  expect(sent).toEqual(['rejected', 'rejected']);
  const other = await context.newPage();
  await other.goto('/runtimes');
  await expect(other.getByRole('heading', { name: 'Runtimes', exact: true }).first()).toBeVisible();
  await other.close();
});

test('a second one has another port, and the two share nothing', async () => {
  await page.goto('/runtimes');
  await settled(page);
  await page.getByRole('button', { name: 'New runtime' }).click();
  const dialog = page.getByRole('dialog', { name: 'New runtime' });
  await dialog.getByRole('textbox', { name: 'Name' }).fill('shelf');
  await dialog.getByRole('button', { name: 'Start' }).click();
  await page.waitForURL(/\/runtimes\/[0-9a-f-]{36}$/);
  ids.shelf = new URL(page.url()).pathname.split('/').pop()!;
  await ready(page);
  await page.goto(`/runtimes/${ids.shelf}/open`);
  await chatReady(page);
  const frame = await controlFrame(page);
  expect(new URL(frame.url()).origin).toBe(portOf(1));
  await frame.evaluate(() => localStorage.setItem('whose', 'shelf'));
  await page.goto(`/runtimes/${ids.desk}/open`);
  await chatReady(page);
  expect(await (await controlFrame(page)).evaluate(() => localStorage.getItem('whose'))).toBeNull();

  // There are two ports, and what is said when they are used up helps.
  await page.goto('/runtimes');
  await settled(page);
  await page.getByRole('button', { name: 'New runtime' }).click();
  await dialog.getByRole('textbox', { name: 'Name' }).fill('third');
  await dialog.getByRole('button', { name: 'Start' }).click();
  await expect(page.getByText(/all 2 that there are .* are in use/)).toBeVisible();
  await expect(page.getByText(/widen CLAWLOOPS_RUNTIME_PORTS/)).toBeVisible();
});

test('signing out closes both, and what is left is removed', async () => {
  const open = await context.newPage();
  await open.goto(`${portOf(1)}/`);
  await expect.poll(() => new URL(open.url()).origin).toBe(portOf(1));
  await open.close();
  for (const name of ['shelf', 'desk']) await deleted(page, ids[name]!, 'wipe');
  await expect.poll(() => heldInAll(product.running.instance), { timeout: 60_000 }).toEqual([]);
  // Nobody listens where nobody is.
  expect(() => there.run('curl', '--silent', '--insecure', '--connect-timeout', '3', `${portOf(0)}/`)).toThrow();
});

/** Waits in another page until models can be called: LiteLLM takes longer to come up than the pages do. */
async function models(): Promise<void> {
  const other = await context.newPage();
  const line = other.getByRole('listitem').filter({ hasText: 'LiteLLM' }).getByRole('img', { name: 'fine', exact: true }).first();
  await expect(async () => {
    await other.goto('/admin');
    await expect(line).toBeVisible({ timeout: 1_000 });
  }).toPass({ timeout: START_MS });
  await other.close();
}
