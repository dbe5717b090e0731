// The people of the tests, and how they come to be signed in. A signed-in browser is kept, so that each signs in once.
import { type Browser, type BrowserContext, type Page, expect } from '@playwright/test';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { running } from './product';

/** Somebody of the tests. */
export interface Person {
  name: string;
  email: string;
  password: string;
}

const person = (name: string, email: string): Person => ({ name, email, password: `${email.split('@')[0]} keeps 3 long words` });

export const MIRA = person('Mira Okafor', 'mira@acme.example');
export const ADA = person('Ada Lindqvist', 'ada@acme.example');
export const JONAS = person('Jonas Berg', 'jonas@acme.example');
export const SANA = person('Sana Khan', 'sana@acme.example');
export const WEI = person('Wei Chen', 'wei@acme.example');
export const NOOR = person('Noor Haddad', 'noor@acme.example');
export const LIV = person('Liv Dahl', 'liv@acme.example');

const stateOf = (who: Person) => join(running().states, `${who.email}.json`);

/** Keeps the browser's session for later tests. */
export async function keep(context: BrowserContext, who: Person): Promise<void> {
  await context.storageState({ path: stateOf(who) });
}

/** Browsers in which script is off. */
const withoutScript = new WeakSet<BrowserContext>();

/** What a browser of the tests may differ in. */
export interface Kind {
  javaScriptEnabled?: boolean;
}

/** A browser in which this person is signed in already. */
export async function browserOf(browser: Browser, who: Person, kind: Kind = {}): Promise<BrowserContext> {
  return opened(browser, { ...kind, storageState: stateOf(who) });
}

/** A browser in which nobody is signed in. */
export async function freshBrowser(browser: Browser, kind: Kind = {}): Promise<BrowserContext> {
  return opened(browser, kind);
}

async function opened(browser: Browser, options: Kind & { storageState?: string }): Promise<BrowserContext> {
  const context = await browser.newContext({ baseURL: running().url, ...options });
  if (options.javaScriptEnabled === false) withoutScript.add(context);
  return context;
}

/** A page of a person who was invited and has accepted; the invitation is made once. */
export async function pageOf(browser: Browser, who: Person): Promise<Page> {
  if (!existsSync(stateOf(who))) {
    const office = await browserOf(browser, MIRA);
    const link = await invite(await office.newPage(), who);
    await office.close();
    const home = await freshBrowser(browser);
    await accept(await home.newPage(), link, who);
    await keep(home, who);
    await home.close();
  }
  return (await browserOf(browser, who)).newPage();
}

/** Invites by e-mail address and reads the one-use link from the page. */
export async function invite(page: Page, who: Person): Promise<string> {
  await page.goto('/admin/people');
  await settled(page);
  await page.getByRole('button', { name: 'Invite', exact: true }).click();
  const dialog = page.getByRole('dialog', { name: 'Invite a person' });
  await dialog.getByRole('textbox', { name: 'E-mail' }).fill(who.email);
  await dialog.getByRole('button', { name: 'Make the link' }).click();
  return page.getByRole('region', { name: 'New invitation link' }).getByText(/^http\S+\/invitation\/[\w-]+$/).innerText();
}

/** Opens an invitation and chooses a password; ends at home. */
export async function accept(page: Page, link: string, who: Person): Promise<void> {
  await page.goto(link);
  await settled(page);
  await expect(page.getByText(who.email)).toBeVisible();
  await page.getByRole('textbox', { name: 'Your name' }).fill(who.name);
  await page.getByLabel('Choose a password').fill(who.password);
  await page.getByRole('button', { name: 'Accept and sign in' }).click();
  await page.waitForURL((url) => url.pathname === '/');
}

/** Signs in on the page as it is. */
export async function signIn(page: Page, who: Person, password = who.password): Promise<void> {
  await settled(page);
  await page.getByRole('textbox', { name: 'E-mail' }).fill(who.email);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
}

/** Whether script is on in this page's browser. */
export const hasScript = (page: Page) => !withoutScript.has(page.context());

/** Waits until the script has taken the page over, where script is on: a press before that is an ordinary form's. */
export async function settled(page: Page): Promise<void> {
  if (hasScript(page)) await page.locator('html[data-alive]').waitFor({ state: 'attached' });
}
