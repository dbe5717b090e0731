// OpenClaw's own page, inside the dashboard's frame.
import { type Frame, type FrameLocator, type Page, expect } from '@playwright/test';

/** How long the first turn of a freshly started OpenClaw may take. */
const TURN_MS = 120_000;

/** The frame that shows OpenClaw. */
export function control(page: Page): FrameLocator {
  return page.frameLocator('iframe');
}

/** The same frame, to run script inside. */
export async function controlFrame(page: Page): Promise<Frame> {
  const element = await page.locator('iframe').elementHandle();
  const frame = await element?.contentFrame();
  if (!frame) throw new Error('The page has no frame.');
  return frame;
}

/** Waits until the chat takes a message: signed in, connected, nothing asked for before. */
export async function chatReady(page: Page): Promise<void> {
  const ui = control(page);
  await expect(ui.getByRole('textbox', { name: 'Chat composer' })).toBeEditable({ timeout: 60_000 });
  await expect(ui.getByText('Connected', { exact: true })).toBeAttached({ timeout: 60_000 });
}

/** Says something. */
export async function say(page: Page, text: string): Promise<void> {
  const composer = control(page).getByRole('textbox', { name: 'Chat composer' });
  await composer.fill(text);
  await composer.press('Enter');
  await expect(control(page).getByRole('log').getByText(text, { exact: true })).toBeVisible();
}

/** Waits for an answer that reads like this, the `count`-th one in the conversation. */
export async function answered(page: Page, like: RegExp, count = 1): Promise<void> {
  await expect(control(page).getByRole('log').getByRole('paragraph').filter({ hasText: like })).toHaveCount(count, { timeout: TURN_MS });
}
