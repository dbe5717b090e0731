// Runtimes as a person handles them on the pages.
import { type Page, expect } from '@playwright/test';
import { settled } from './people';

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

/** Makes a runtime and asks for it to run; ends on its page, while it starts. */
export async function created(page: Page, name: string): Promise<Runtime> {
  await page.goto('/runtimes');
  await settled(page);
  await page.getByLabel('Name').fill(name);
  await page.getByRole('button', { name: /^(start|create)/i }).click();
  await page.waitForURL(/\/runtimes\/[0-9a-f-]{36}$/);
  const id = new URL(page.url()).pathname.split('/').pop()!;
  const origin = await page.getByText(/http:\/\/[\w-]+\.clawloops\.localhost:\d+/).first().innerText();
  return { id, origin };
}

/** Waits until the runtime's page says that it runs. */
export async function ready(page: Page): Promise<void> {
  await expect(page.getByRole('main').getByText('Running', { exact: true }).first()).toBeVisible({ timeout: START_MS });
}

/** Asks for it to stop and waits until it has. */
export async function stopped(page: Page, id: string): Promise<void> {
  await page.goto(`/runtimes/${id}`);
  await settled(page);
  await page.getByRole('button', { name: /^(stop|cancel)$/i }).click();
  await expect(page.getByRole('main').getByText('Stopped', { exact: true }).first()).toBeVisible({ timeout: STOP_MS });
}

/** Deletes it and waits until it is gone from the list. */
export async function deleted(page: Page, id: string, workspace: 'keep' | 'wipe'): Promise<void> {
  await page.goto(`/runtimes/${id}`);
  await settled(page);
  const name = await page.getByRole('heading', { level: 1 }).innerText();
  await page.getByRole('button', { name: /^delete/i }).first().click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('radio', { name: workspace === 'keep' ? /keep/i : /wipe|delete/i }).check();
  await dialog.getByRole('button', { name: /^delete/i }).click();
  await page.waitForURL((url) => url.pathname === '/runtimes');
  await expect(page.getByRole('main').getByText(name, { exact: true })).toHaveCount(0, { timeout: STOP_MS });
}
