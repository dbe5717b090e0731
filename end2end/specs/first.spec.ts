// Step 2: the first administrator, through the one-use set-up link and through the command for scripts.
import { expect, test } from '../harness/test';
import { JONAS, MIRA, freshBrowser, keep, settled, signIn } from '../harness/people';
import { clawloops, running } from '../harness/product';

test('the set-up link makes the first administrator', async ({ browser }) => {
  const context = await freshBrowser(browser);
  const page = await context.newPage();
  await page.goto(running().setupLink);
  await settled(page);
  await page.getByRole('textbox', { name: 'E-mail' }).fill(MIRA.email);
  await page.getByRole('textbox', { name: 'Your name' }).fill(MIRA.name);
  await page.getByLabel('Password').fill(MIRA.password);
  await page.getByRole('button', { name: 'Create the administrator' }).click();
  await page.waitForURL((url) => url.pathname === '/admin');
  await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
  await keep(context, MIRA);
  await context.close();
});

test('the set-up link works once', async ({ browser }) => {
  const context = await freshBrowser(browser);
  const page = await context.newPage();
  const answer = await page.goto(running().setupLink);
  expect(answer?.status()).toBe(409);
  await expect(page.getByText('This ClawLoops is set up already.')).toBeVisible();
  await expect(page.getByLabel('Password')).toHaveCount(0);
  await context.close();
});

test('the command for scripts makes an administrator beside the running server', async ({ browser }) => {
  const made = clawloops(running(), ['admin', 'create', '--email', JONAS.email, '--name', JONAS.name, '--password-stdin'], JONAS.password);
  expect(made, made.output).toMatchObject({ status: 0 });
  expect(made.output).not.toContain(JONAS.password);
  const context = await freshBrowser(browser);
  const page = await context.newPage();
  await page.goto('/sign-in?to=/admin/people');
  await signIn(page, JONAS);
  await page.waitForURL((url) => url.pathname === '/admin/people');
  await expect(page.getByRole('cell', { name: MIRA.email })).toBeVisible();
  await keep(context, JONAS);
  await context.close();
});
