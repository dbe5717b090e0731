// Keys as a person handles them on the Models & keys page.
import { type Page, expect } from '@playwright/test';
import { settled } from './people';

/** Makes a key and reads it from the page, which shows it once. */
export async function makeKey(page: Page, name: string): Promise<string> {
  await page.goto('/models');
  await settled(page);
  await page.getByRole('button', { name: 'New key' }).or(page.getByRole('link', { name: 'New key' })).first().click();
  await page.getByLabel('Name').fill(name);
  await page.getByRole('button', { name: /^(make|create) key$/i }).click();
  const shown = page.getByText(/cl_live_\w+_\w{20,}/).first();
  await expect(shown).toBeVisible();
  return (await shown.innerText()).trim();
}

/** Revokes a key by its name. */
export async function revokeKey(page: Page, name: string): Promise<void> {
  await page.goto('/models');
  await settled(page);
  const row = page.getByRole('row', { name });
  await row.getByRole('button', { name: /revoke/i }).click();
  await page.getByRole('dialog').getByRole('button', { name: /revoke/i }).click();
  await expect(row).toHaveCount(0);
}
