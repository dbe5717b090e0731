// Runtimes as a person handles them on the pages.
import { type Page, expect } from '@playwright/test';
import { hasScript, settled } from './people';

/** How long a start may take on a busy machine. */
export const START_MS = 180_000;
/** How long a stop or a removal may take: OpenClaw ends its turns first. */
export const STOP_MS = 60_000;

/** A runtime of the tests. */
export interface Runtime {
  id: string;
  /** `http://name.clawloops.localhost:<port>`. */
  origin: string;
}

/** The runtime's card: its state and what can be done next. */
const card = (page: Page) => page.locator('section.runtime');

/** Makes a runtime and asks for it to run; ends on its page, while it starts. */
export async function created(page: Page, name: string): Promise<Runtime> {
  await page.goto('/runtimes');
  await settled(page);
  await page.getByRole('button', { name: 'New runtime' }).click();
  const dialog = page.getByRole('dialog', { name: 'New runtime' });
  await dialog.getByRole('textbox', { name: 'Name' }).fill(name);
  await dialog.getByRole('button', { name: 'Start' }).click();
  return shown(page);
}

/** The runtime whose page is coming up. */
export async function shown(page: Page): Promise<Runtime> {
  await page.waitForURL(/\/runtimes\/[0-9a-f-]{36}$/);
  const id = new URL(page.url()).pathname.split('/').pop()!;
  const host = await page.getByText(/^[\w-]+\.clawloops\.localhost:\d+$/).innerText();
  return { id, origin: `http://${host}` };
}

/** Waits until the runtime's page says that it is in this state. */
export async function inState(page: Page, state: 'Running' | 'Stopped', timeout: number): Promise<void> {
  await expect(card(page).getByText(state, { exact: true })).toBeVisible({ timeout });
}

/** Waits until the runtime's page says that it runs. */
export async function ready(page: Page): Promise<void> {
  await inState(page, 'Running', START_MS);
}

/** Asks for it to stop and waits until it has. */
export async function stopped(page: Page, id: string): Promise<void> {
  await page.goto(`/runtimes/${id}`);
  await settled(page);
  await card(page).getByRole('button', { name: /^(Stop|Cancel) / }).click();
  await inState(page, 'Stopped', STOP_MS);
}

/** Deletes it and waits until it is gone from the list. */
export async function deleted(page: Page, id: string, workspace: 'keep' | 'wipe'): Promise<void> {
  await page.goto(`/runtimes/${id}`);
  await settled(page);
  const name = await page.getByRole('heading', { level: 1 }).innerText();
  await page.getByRole('button', { name: 'Delete', exact: true }).click();
  const dialog = page.getByRole('dialog', { name: 'Delete this runtime' });
  await dialog.getByRole('radio', { name: workspace === 'keep' ? /^Keep the workspace/ : /^Wipe the workspace/ }).check();
  await dialog.getByRole('button', { name: 'Delete', exact: true }).click();
  await page.waitForURL((url) => url.pathname === '/runtimes');
  const gone = page.getByRole('region', { name, exact: true });
  if (hasScript(page)) {
    await expect(gone).toHaveCount(0, { timeout: STOP_MS });
  } else {
    // The list does not ask anew by itself without script; a person would.
    await expect(async () => {
      await page.reload();
      expect(await gone.count()).toBe(0);
    }).toPass({ timeout: STOP_MS });
  }
}

/** What a person saw of a start. */
export interface Watched {
  /** The states, each once, in the order of their coming. */
  states: string[];
  /** The steps, each once, as they were under way or done. */
  steps: string[];
  /** The elapsed seconds that were said, each once. */
  elapsed: number[];
}

/** Watches the runtime's page, without touching it, until the runtime is ready. */
export async function watched(page: Page): Promise<Watched> {
  const seen = page.evaluate(
    () =>
      new Promise<Watched>((done) => {
        const all: Watched = { states: [], steps: [], elapsed: [] };
        const note = <T>(list: T[], one: T | undefined) => {
          if (one !== undefined && !list.includes(one)) list.push(one);
        };
        const look = () => {
          const place = document.querySelector('section.runtime');
          note(all.states, place?.querySelector('.state')?.textContent ?? undefined);
          for (const step of place?.querySelectorAll('.steps li.done b, .steps li.now b') ?? []) note(all.steps, step.textContent ?? undefined);
          const said = place?.textContent?.match(/(\d+) s so far/)?.[1];
          note(all.elapsed, said === undefined ? undefined : Number(said));
          if (all.states.at(-1) !== 'Running') return;
          eyes.disconnect();
          done(all);
        };
        const eyes = new MutationObserver(look);
        eyes.observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
        look();
      }),
  );
  const late = new Promise<never>((_, fail) => setTimeout(() => fail(new Error(`not ready within ${START_MS / 1000} s`)), START_MS).unref());
  return Promise.race([seen, late]);
}
