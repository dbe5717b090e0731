// Sharing: a person lets another watch their OpenClaw, then use it fully, and takes it back. What a watcher cannot do is asked of the real OpenClaw,
// method by method, on the watcher's own signed-in WebSocket.
import type { Page } from '@playwright/test';
import { expect, test } from '../harness/test';
import { answered, chatReady, control, controlFrame, say } from '../harness/control_ui';
import { LIV, SANA, pageOf, settled } from '../harness/people';
import { type Runtime, created, deleted, ready } from '../harness/runtimes';

const DEMO_ANSWER = /demo model of ClawLoops/;
/** A revocation is promised within two seconds; a busy machine gets a little more before the test gives up. */
const AT_ONCE_MS = 5_000;

test.describe.configure({ mode: 'serial' });
test.setTimeout(240_000);

let liv: Page;
let sana: Page;
let runtime: Runtime;

test.beforeAll(async ({ browser }) => {
  liv = await pageOf(browser, LIV);
  sana = await pageOf(browser, SANA);
});

test.afterAll(async () => {
  await liv?.context().close();
  await sana?.context().close();
});

test('their owner shares a runtime to watch', async () => {
  runtime = await created(liv, 'lab');
  await ready(liv);
  await expect(section(liv, 'Shared with')).toContainText('Nobody else can open it.');
  await shared('Watch', 'An hour');
  await expect(section(liv, 'Shared with')).toContainText(`${SANA.name}Watch, until`);
  await liv.goto(`/runtimes/${runtime.id}/open`);
  await chatReady(liv);
  await say(liv, 'Good morning from Liv');
  await answered(liv, DEMO_ANSWER, 1);
});

test('the watcher sees the conversation as it happens, and cannot write', async () => {
  await watching();
  const log = control(sana).getByRole('log');
  await expect(log.getByText('Good morning from Liv', { exact: true })).toBeVisible({ timeout: 60_000 });
  const composer = control(sana).getByRole('textbox', { name: 'Chat composer' });
  if (await composer.isEditable()) {
    await composer.fill('A watcher writes');
    await composer.press('Enter');
  }
  await say(liv, 'Can you see this, too?');
  await expect(log.getByText('Can you see this, too?', { exact: true })).toBeVisible({ timeout: 30_000 });
  await answered(liv, DEMO_ANSWER, 2);
  await expect(log.getByRole('paragraph').filter({ hasText: DEMO_ANSWER })).toHaveCount(2, { timeout: 30_000 });
  // What the watcher wrote came to nobody.
  await liv.reload();
  await chatReady(liv);
  await expect(control(liv).getByRole('log').getByText('Can you see this, too?', { exact: true })).toBeVisible();
  await expect(control(liv).getByRole('log').getByText('A watcher writes')).toHaveCount(0);
});

test('nothing that a watcher asks OpenClaw for changes anything', async () => {
  const offered = (await controlFrame(sana)).evaluate(() => (window as unknown as Watched).heard.methods);
  const methods = await offered;
  expect(methods.length).toBeGreaterThan(100);
  const before = await conversation(liv);
  const answers = await (await controlFrame(sana)).evaluate(asked, methods);
  const refused = methods.filter((method) => answers[method] === 'FORBIDDEN');
  for (const acts of ['chat.send', 'chat.abort', 'sessions.delete', 'sessions.companion.ask', 'config.get', 'config.patch', 'cron.add', 'agents.files.set', 'device.scopes.requestUpgrade']) {
    if (methods.includes(acts)) expect(refused, acts).toContain(acts);
  }
  // What passes is what reads; everything else was refused, whatever it is called.
  expect(methods.filter((method) => answers[method] !== 'FORBIDDEN').filter((method) => !READS.test(method))).toEqual([]);
  expect(await conversation(liv)).toEqual(before);
  await chatReady(liv);
});

test('to use it fully is to write as its owner', async () => {
  await liv.goto(`/runtimes/${runtime.id}`);
  await settled(liv);
  await shared('Use fully', 'A day');
  await sana.goto('/runtimes');
  await sana.getByRole('link', { name: `Open lab of ${LIV.name}` }).click();
  await sana.waitForURL(/\/shared\//);
  await chatReady(sana);
  await say(sana, 'Sana writes here');
  await answered(sana, DEMO_ANSWER, 3);
  // Its page stays its owner's.
  expect((await sana.goto(`/runtimes/${runtime.id}`))?.status()).toBe(404);
  await sana.goto(`/shared/${runtime.id}`);
  await chatReady(sana);
});

test('taken back, it is closed at once', async () => {
  const row = section(liv, 'Shared with').getByRole('listitem').filter({ hasText: SANA.name });
  await row.getByText('End', { exact: true }).click();
  await row.getByRole('button', { name: `End sharing with ${SANA.name} now` }).click();
  await expect(sana.getByText('This runtime is not shared with you.')).toBeVisible({ timeout: AT_ONCE_MS });
  await expect(sana.locator('iframe')).toHaveCount(0);
  await sana.goto('/runtimes');
  await settled(sana);
  await expect(sana.getByText('Shared with you')).toHaveCount(0);
  await deleted(liv, runtime.id, 'wipe');
});

/** What of OpenClaw's methods changes nothing: by their names, as a second opinion to the gateway's own list. */
const READS = /^(health|status|connect)$|\.(get|list|history|metadata|startup|preview|describe|resolve|subscribe|unsubscribe|catalog|effective|state|visibility|self|download)$/;

/** What is kept of the watcher's own WebSocket. */
interface Watched {
  heard: { socket: WebSocket; methods: string[] };
}

/** Opens the watched runtime with an ear on its WebSocket. */
async function watching(): Promise<void> {
  await sana.addInitScript(() => {
    const Real = window.WebSocket;
    window.WebSocket = class extends Real {
      constructor(url: string | URL, protocols?: string | string[]) {
        super(url, protocols);
        this.addEventListener('message', (event: MessageEvent) => {
          const said = JSON.parse(String(event.data)) as { ok?: boolean; payload?: { features?: { methods?: string[] } } };
          const methods = said.payload?.features?.methods;
          if (said.ok && methods) Object.assign(window, { heard: { socket: this, methods } });
        });
      }
    };
  });
  await sana.goto('/runtimes');
  await settled(sana);
  await sana.getByRole('link', { name: `Open lab of ${LIV.name}` }).click();
  await sana.waitForURL(/\/shared\//);
  await expect(sana.getByText('Watch', { exact: true })).toBeVisible();
}

/** Asks for each method on the page's own WebSocket, and says by which code it was refused, or that it was answered. */
async function asked(methods: string[]): Promise<Record<string, string>> {
  const { socket } = (window as unknown as Watched).heard;
  const answers: Record<string, string> = {};
  for (const method of methods) {
    const id = `asked-${method}`;
    answers[method] = await new Promise<string>((done) => {
      const hear = (event: MessageEvent) => {
        const said = JSON.parse(String(event.data)) as { type: string; id?: string; ok?: boolean; error?: { code?: string } };
        if (said.type !== 'res' || said.id !== id) return;
        socket.removeEventListener('message', hear);
        done(said.ok ? 'ok' : (said.error?.code ?? 'failed'));
      };
      socket.addEventListener('message', hear);
      setTimeout(() => done('no answer'), 5_000);
      socket.send(JSON.stringify({ type: 'req', id, method, params: {} }));
    });
  }
  return answers;
}

/** The conversation as its owner sees it. */
const conversation = (page: Page) => control(page).getByRole('log').getByRole('paragraph').allInnerTexts();

const section = (page: Page, title: string) => page.locator('section.card').filter({ has: page.getByRole('heading', { name: title }) });

async function shared(access: 'Watch' | 'Use fully', time: string): Promise<void> {
  await section(liv, 'Shared with').getByRole('button', { name: 'Share' }).click();
  const dialog = liv.getByRole('dialog', { name: 'Share this runtime' });
  await dialog.getByRole('textbox', { name: 'E-mail' }).fill(SANA.email);
  await dialog.getByRole('radio', { name: new RegExp(`^${access}`) }).check();
  await dialog.getByLabel('For').selectOption({ label: time });
  await dialog.getByRole('button', { name: 'Share', exact: true }).click();
  await expect(dialog).toBeHidden();
}
