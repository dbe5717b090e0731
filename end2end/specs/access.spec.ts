// Bad input, seen from a browser and from programs: a clear message, the right status, nothing lost, and the server still up.
import type { BrowserContext, Page } from '@playwright/test';
import { expect, test } from '../harness/test';
import { MIRA, SANA, WEI, accept, browserOf, freshBrowser, invite, pageOf, settled, signIn } from '../harness/people';
import { running } from '../harness/product';
import { created, deleted, inState, stopped } from '../harness/runtimes';
import { ask } from '../harness/web';
import { makeKey, revokeKey } from '../harness/keys';

/** Every page that needs a session. */
const CLOSED = [
  '/',
  '/runtimes',
  '/models',
  '/usage',
  '/security',
  '/admin',
  '/admin/people',
  '/admin/runtimes',
  '/admin/profiles',
  '/admin/models',
  '/admin/groups',
  '/admin/budgets',
  '/admin/requests',
  '/admin/usage',
  '/admin/audit',
];
const HTML = { accept: 'text/html,application/xhtml+xml' };

test.describe('without a session', () => {
  for (const path of CLOSED) {
    test(`${path} leads to the sign-in page`, async () => {
      const answer = await ask(path, { headers: HTML });
      expect([302, 303, 307]).toContain(answer.status);
      expect(answer.headers.location).toMatch(/^(http:\/\/clawloops\.localhost:\d+)?\/sign-in/);
    });
  }

  test('a forged session cookie is no session', async () => {
    const answer = await ask('/', { headers: { ...HTML, cookie: `__Host-Http-clawloops_session=${'A'.repeat(43)}` } });
    expect(answer.status).toBeGreaterThanOrEqual(302);
    expect(answer.status).toBeLessThan(400);
    expect(answer.headers.location).toContain('/sign-in');
  });

  test('a wrong password is refused, and whether the address exists is not said', async ({ browser }) => {
    const context = await freshBrowser(browser);
    const page = await context.newPage();
    const said: string[] = [];
    for (const who of [MIRA, { ...MIRA, email: 'nobody@acme.example' }]) {
      await page.goto('/sign-in');
      await signIn(page, who, 'not the password at all');
      const alert = page.getByRole('alert');
      await expect(alert).toContainText('The e-mail address or the password is wrong.');
      said.push(await alert.innerText());
      expect(new URL(page.url()).pathname).toBe('/sign-in');
    }
    const withoutId = said.map((text) => text.replace(/[0-9a-zA-Z-]{12,}/g, ''));
    expect(withoutId[0]).toBe(withoutId[1]);
    expect((await context.cookies()).filter((cookie) => cookie.name.includes('session'))).toEqual([]);
    await context.close();
  });
});

test.describe('invitations', () => {
  test('a used invitation makes nobody and signs nobody in', async ({ browser }) => {
    const office = await browserOf(browser, MIRA);
    const who = { ...SANA, name: 'Once Only', email: 'once@acme.example' };
    const link = await invite(await office.newPage(), who);
    const first = await freshBrowser(browser);
    await accept(await first.newPage(), link, who);
    await first.close();

    const second = await freshBrowser(browser);
    const page = await second.newPage();
    const answer = await page.goto(link);
    expect(answer?.status()).toBe(409);
    await expect(page.getByText('This invitation was used already.')).toBeVisible();
    await expect(page.getByLabel('Password')).toHaveCount(0);
    expect(await second.cookies()).toEqual([]);
    await second.close();
    await office.close();
  });

  test('a revoked invitation is refused', async ({ browser }) => {
    const office = await browserOf(browser, MIRA);
    const page = await office.newPage();
    const who = { ...SANA, email: 'revoked@acme.example' };
    const link = await invite(page, who);
    await page.goto('/admin/people');
    await settled(page);
    const back = page.getByRole('button', { name: `Take back the invitation of ${who.email}` });
    await back.click();
    await expect(back).toHaveCount(0);

    const other = await freshBrowser(browser);
    const theirs = await other.newPage();
    const answer = await theirs.goto(link);
    expect(answer?.status()).toBe(409);
    await expect(theirs.getByText('This invitation was taken back.')).toBeVisible();
    await other.close();
    await office.close();
  });

  test('a made-up invitation is not found', async ({ browser }) => {
    const context = await freshBrowser(browser);
    const page = await context.newPage();
    const answer = await page.goto(`/invitation/${'x'.repeat(43)}`);
    expect(answer?.status()).toBe(404);
    await expect(page.getByText('This invitation is not valid.')).toBeVisible();
    await context.close();
  });
});

test.describe.serial('a runtime and those who may not enter it', () => {
  let sana: Page;
  let wei: Page;
  let id: string;
  let origin: string;
  let host: string;

  test.beforeAll(async ({ browser }) => {
    test.setTimeout(240_000);
    sana = await pageOf(browser, SANA);
    wei = await pageOf(browser, WEI);
    ({ id, origin } = await created(sana, 'locked'));
    host = new URL(origin).hostname;
    // What is tested here needs the runtime's host, not its container.
    await stopped(sana, id);
  });

  test.afterAll(async () => {
    test.setTimeout(120_000);
    if (id) await deleted(sana, id, 'wipe');
    await sana?.context().close();
    await wei?.context().close();
  });

  test("another person's runtime is not found", async () => {
    for (const path of [`/runtimes/${id}`, `/runtimes/${id}/open`, `/open/${id}`]) {
      const answer = await wei.goto(path);
      expect(answer?.status(), path).toBe(404);
      await expect(wei.locator('body'), path).not.toContainText('locked');
    }
    await wei.goto('/runtimes');
    await expect(wei.getByText('locked')).toHaveCount(0);
  });

  test("another person's runtime cannot be stopped or deleted either", async () => {
    for (const verb of ['start-runtime', 'stop-runtime', 'restart-runtime', 'hurry-runtime', 'choose-sleep', 'delete-runtime']) {
      const answer = await submit(wei.context(), `/api/ui/${verb}`, `runtime_id=${id}&retention=wipe_workspace&minutes=5`);
      expect(answer.status, verb).toBe(404);
      expect(answer.body, verb).toContain('RUNTIME_NOT_FOUND');
    }
    await sana.goto(`/runtimes/${id}`);
    await inState(sana, 'Stopped', 15_000);
  });

  test("a runtime's host without a session leads to the sign-in page", async ({ browser }) => {
    const context = await freshBrowser(browser);
    const page = await context.newPage();
    await page.goto(origin);
    await expect(page).toHaveURL(/clawloops\.localhost:\d+\/sign-in/);
    await context.close();
    const program = await ask('/', { host, headers: { accept: 'application/json' } });
    expect(program.status).toBe(401);
    const socket = await ask('/', {
      host,
      headers: { connection: 'Upgrade', upgrade: 'websocket', origin, 'sec-websocket-version': '13', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' },
    });
    expect(socket.status).toBe(401);
  });

  test('an identity header from outside opens nothing', async () => {
    for (const name of ['x-forwarded-user', 'X_Forwarded_User', 'x.forwarded.user', 'x-openclaw-scopes', 'remote-user']) {
      const answer = await ask('/', { host, headers: { accept: 'application/json', [name]: SANA.email } });
      expect(answer.status, name).toBe(401);
    }
    const dashboard = await ask('/admin', { headers: { ...HTML, 'x-forwarded-user': MIRA.email } });
    expect(dashboard.headers.location).toContain('/sign-in');
  });

  test('a forged ticket is refused', async ({ browser }) => {
    const context = await freshBrowser(browser);
    const page = await context.newPage();
    const answer = await page.goto(`${origin}/__clawloops/enter?ticket=${'x'.repeat(43)}`);
    expect(answer?.status()).toBe(403);
    expect(await context.cookies(origin)).toEqual([]);
    await context.close();
  });

  test('a ticket works once, and for its own host only', async ({ browser }) => {
    const session = (await sana.context().cookies()).map((cookie) => `${cookie.name}=${cookie.value}`).join('; ');
    const headers = { ...HTML, cookie: session, 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' };
    const opened = await ask(`/open/${id}`, { headers });
    expect(opened.status).toBe(303);
    const ticket = new URL(String(opened.headers.location));
    expect(ticket.origin).toBe(origin);
    const enter = ticket.pathname + ticket.search;

    const used = await ask(enter, { host, headers: HTML });
    expect(used.status).toBe(303);
    const [cookie] = [used.headers['set-cookie'] ?? []].flat();
    expect(cookie).toMatch(/^__Host-clawloops_runtime=/);
    expect(cookie).toMatch(/HttpOnly/i);
    expect(cookie).toMatch(/Secure/i);

    const replayed = await ask(enter, { host, headers: HTML });
    expect(replayed.status).toBe(403);
    expect(replayed.headers['set-cookie']).toBeUndefined();

    const again = await ask(`/open/${id}`, { headers });
    const second = new URL(String(again.headers.location));
    const elsewhere = await ask(second.pathname + second.search, { host: `elsewhere.${new URL(running().url).hostname}`, headers: HTML });
    expect(elsewhere.status).toBeGreaterThanOrEqual(400);
    expect(elsewhere.headers['set-cookie']).toBeUndefined();
    void browser;
  });

  test('a form on another site cannot act, nor one on a runtime of the same site', async () => {
    const context = sana.context();
    const port = running().port;
    // The second is the worse one: the browser takes it for the same site and sends the session along.
    for (const from of [`http://elsewhere.example.localhost:${port}`, origin]) {
      const page = await context.newPage();
      await page.route(`${from}/trap`, (route) =>
        route.fulfill({
          contentType: 'text/html',
          body: `<form method="post" action="${running().url}/api/ui/start-runtime"><input name="runtime_id" value="${id}"></form><script>document.forms[0].submit()</script>`,
        }),
      );
      const posted = page.waitForResponse((answer) => answer.url().endsWith('/api/ui/start-runtime'));
      await page.goto(`${from}/trap`);
      expect((await posted).status(), from).toBe(403);
      await page.close();
    }
    await sana.goto(`/runtimes/${id}`);
    await inState(sana, 'Stopped', 15_000);
  });

  test('an administration page is closed to a person', async () => {
    for (const path of CLOSED.filter((path) => path.startsWith('/admin'))) {
      const answer = await wei.goto(path);
      expect(answer?.status(), path).toBe(403);
      await expect(wei.getByText(MIRA.email)).toHaveCount(0);
    }
    const answer = await submit(wei.context(), '/api/ui/invite', 'email=friend%40acme.example&role=administrator&hours=24');
    expect(answer.status).toBe(403);
  });
});

test.describe.serial('the model API', () => {
  let page: Page;
  let key: string;
  const json = () => ({ authorization: `Bearer ${key}`, 'content-type': 'application/json' });

  test.beforeAll(async ({ browser }) => {
    page = await pageOf(browser, WEI);
    key = await makeKey(page, 'bad input');
  });

  test.afterAll(async () => {
    await page?.context().close();
  });

  const error = (body: string) => (JSON.parse(body) as { error: { message: string; code: string | null } }).error;

  test('no key, half a key and a made-up key are refused in the shape of the API', async () => {
    for (const authorization of [undefined, 'Bearer ', `Bearer ${key.slice(0, -4)}`, `Bearer cl_live_${'x'.repeat(60)}`, 'Basic abc']) {
      const answer = await ask('/v1/models', { headers: authorization === undefined ? {} : { authorization } });
      expect(answer.status, String(authorization)).toBe(401);
      expect(error(answer.body).message.length).toBeGreaterThan(10);
    }
  });

  test('a key that was mistyped is told so', async () => {
    const last = key.endsWith('a') ? 'b' : 'a';
    const answer = await ask('/v1/models', { headers: { authorization: `Bearer ${key.slice(0, -1)}${last}` } });
    expect(answer.status).toBe(401);
    expect(error(answer.body).message).toContain('mistyped');
  });

  test('an unknown model is refused', async () => {
    const body = JSON.stringify({ model: 'no-such-model', messages: [{ role: 'user', content: 'Hello' }] });
    const answer = await ask('/v1/chat/completions', { method: 'POST', headers: json(), body });
    expect(answer.status).toBe(404);
    expect(error(answer.body).message).toContain('no-such-model');
  });

  test('a malformed request is refused', async () => {
    for (const body of ['{"model": "demo", "messages": [', '[]', '"demo"', '{}', '{"model": 7, "messages": "no"}']) {
      const answer = await ask('/v1/chat/completions', { method: 'POST', headers: json(), body });
      expect([400, 422], body).toContain(answer.status);
      expect(error(answer.body).message.length, body).toBeGreaterThan(10);
    }
  });

  test('an oversized request is refused', async () => {
    const body = JSON.stringify({ model: 'demo', messages: [{ role: 'user', content: 'x'.repeat(21 * 1024 * 1024) }] });
    const answer = await ask('/v1/chat/completions', { method: 'POST', headers: json(), body }).catch((broken: Error) => broken);
    // The server may answer and close while the body is still being sent.
    if (answer instanceof Error) expect(answer.message).toMatch(/EPIPE|ECONNRESET/);
    else expect(answer.status).toBe(413);
  });

  test('a revoked key is refused at once', async () => {
    expect((await ask('/v1/models', { headers: json() })).status).toBe(200);
    await revokeKey(page, 'bad input');
    const answer = await ask('/v1/models', { headers: json() });
    expect(answer.status).toBe(401);
    expect(error(answer.body).message).toContain('revoked');
  });

  test('the server is still up', async () => {
    expect((await ask('/healthz')).status).toBe(200);
  });
});

/** Sends a form as the person's own page would, and reads the answer as a script would. */
async function submit(context: BrowserContext, path: string, body: string): Promise<{ status: number; body: string }> {
  const cookie = (await context.cookies(running().url)).map((one) => `${one.name}=${one.value}`).join('; ');
  return ask(path, {
    method: 'POST',
    headers: {
      cookie,
      accept: 'application/json',
      'content-type': 'application/x-www-form-urlencoded',
      origin: running().url,
      'sec-fetch-site': 'same-origin',
    },
    body,
  });
}
