// Every page, wide and on a phone, light and dark: no violations of the accessibility rules, no error on the console, nothing that sticks out.
// The pictures lie in `pictures/`, to be looked at.
import { AxeBuilder } from '@axe-core/playwright';
import type { BrowserContext, Page } from '@playwright/test';
import { expect, test } from '../harness/test';
import { answered, chatReady, say } from '../harness/control_ui';
import { makeKey } from '../harness/keys';
import { personPage } from '../harness/limits';
import { MIRA, SANA, browserOf, freshBrowser, invite, pageOf, settled } from '../harness/people';
import { running } from '../harness/product';
import { created, deleted, ready } from '../harness/runtimes';

const WIDE = { width: 1360, height: 900 };
const PHONE = { width: 390, height: 844 };
const LOOKS = [
  { name: 'wide-light', size: WIDE, scheme: 'light' },
  { name: 'wide-dark', size: WIDE, scheme: 'dark' },
  { name: 'phone-light', size: PHONE, scheme: 'light' },
  { name: 'phone-dark', size: PHONE, scheme: 'dark' },
] as const;

test.setTimeout(240_000);

let out: BrowserContext;
let sana: Page;
let mira: Page;
let id = '';
let person = '';
let invitation = '';

test.beforeAll(async ({ browser }) => {
  out = await freshBrowser(browser);
  mira = await (await browserOf(browser, MIRA)).newPage();
  sana = await pageOf(browser, SANA);
});

test.afterAll(async () => {
  if (id) await deleted(sana, id, 'wipe');
  await out?.close();
  await sana?.context().close();
  await mira?.context().close();
});

test('signed out', async () => {
  invitation = await invite(mira, { ...SANA, email: 'waits@acme.example' });
  const page = await out.newPage();
  await looked(page, 'sign-in', '/sign-in');
  await looked(page, 'invitation', new URL(invitation).pathname);
  await looked(page, 'invitation-unknown', `/invitation/${'x'.repeat(43)}`, 404);
  await looked(page, 'setup-used', new URL(running().setupLink).pathname, 409);
});

test('a person without a runtime', async () => {
  await looked(sana, 'home-empty', '/');
  await looked(sana, 'runtimes-empty', '/runtimes');
  await looked(sana, 'usage-empty', '/usage');
  await looked(sana, 'models', '/models');
  await looked(sana, 'security', '/security');
  await looked(sana, 'not-found', '/no/such/page', 404);
  await looked(sana, 'denied', '/admin', 403);
});

test('a runtime that starts, runs and answers', async () => {
  ({ id } = await created(sana, 'research'));
  await pictured(sana, 'starting');
  await ready(sana);
  await looked(sana, 'runtime', `/runtimes/${id}`);
  await looked(sana, 'runtimes', '/runtimes');
  await sana.setViewportSize(WIDE);
  await sana.goto(`/runtimes/${id}/open`);
  await chatReady(sana);
  await say(sana, 'What can you do for me?');
  await answered(sana, /demo model of ClawLoops/);
  await pictured(sana, 'open');
  await makeKey(sana, 'notebook');
  await looked(sana, 'home', '/');
  await looked(sana, 'keys', '/models');
  await looked(sana, 'usage', '/usage');
});

test('an administrator', async () => {
  await looked(mira, 'admin-overview', '/admin');
  await looked(mira, 'admin-people', '/admin/people');
  await personPage(mira, SANA);
  person = new URL(mira.url()).pathname;
  await looked(mira, 'admin-person', person);
  await looked(mira, 'admin-runtimes', '/admin/runtimes');
  await looked(mira, 'admin-profiles', '/admin/profiles');
  await looked(mira, 'admin-models', '/admin/models');
  await looked(mira, 'admin-groups', '/admin/groups');
  await looked(mira, 'admin-budgets', '/admin/budgets');
  await looked(mira, 'admin-requests', '/admin/requests');
  await looked(mira, 'admin-usage', '/admin/usage');
  await looked(mira, 'admin-audit', '/admin/audit');
});

/** Opens a page in every look and judges it. */
async function looked(page: Page, name: string, path: string, status = 200): Promise<void> {
  const complaints: string[] = [];
  const hear = (text: string) => {
    // A page that answers with a problem says so on the console by itself.
    if (!(status >= 400 && text.includes(`status of ${status}`))) complaints.push(text);
  };
  page.on('console', (message) => message.type() === 'error' && hear(message.text()));
  page.on('pageerror', (error) => hear(String(error)));
  let loaded;
  for (const look of LOOKS) {
    await page.setViewportSize(look.size);
    await page.emulateMedia({ colorScheme: look.scheme, reducedMotion: 'reduce' });
    // Light and dark are one page; wide and narrow are loaded as they are.
    if (loaded !== look.size) {
      loaded = look.size;
      const answer = await page.goto(path);
      expect(answer?.status(), name).toBe(status);
      await settled(page);
    }
    await page.screenshot({ path: `pictures/${name}-${look.name}.png`, fullPage: true });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    expect.soft(wide, `${name}, ${look.name}: sticks out by so many pixels`).toBeLessThanOrEqual(0);
    // The page has no frames, so it is judged where it stands; by default each judgement opens another page to collect what frames said.
    const found = await new AxeBuilder({ page }).setLegacyMode(true).analyze();
    const violations = found.violations.filter((one) => one.impact === 'serious' || one.impact === 'critical');
    const said = violations.map((one) => `${one.id}: ${one.help}\n    ${one.nodes.slice(0, 4).map((node) => `${node.target.join(' ')} ${node.failureSummary?.split('\n').slice(1, 2).join('').trim()}`).join('\n    ')}`);
    expect.soft(said, `${name}, ${look.name}: accessibility`).toEqual([]);
  }
  expect.soft(complaints, `${name}: console`).toEqual([]);
  page.removeAllListeners('console');
  page.removeAllListeners('pageerror');
}

/** Takes pictures of a page as it stands, in every look. */
async function pictured(page: Page, name: string): Promise<void> {
  for (const look of LOOKS) {
    await page.setViewportSize(look.size);
    await page.emulateMedia({ colorScheme: look.scheme });
    await page.screenshot({ path: `pictures/${name}-${look.name}.png` });
  }
  await page.setViewportSize(WIDE);
  await page.emulateMedia({ colorScheme: 'light' });
}
