// Keys as a person handles them on the Models & keys page.
import { type Page, expect } from '@playwright/test';
import { settled } from './people';

/** Makes a key and reads it from the page, which shows it once. */
export async function makeKey(page: Page, name: string): Promise<string> {
  await page.goto('/models');
  await settled(page);
  await page.getByRole('button', { name: 'New key' }).click();
  const dialog = page.getByRole('dialog', { name: 'New key' });
  await dialog.getByRole('textbox', { name: 'Name' }).fill(name);
  await dialog.getByRole('button', { name: 'Make the key' }).click();
  return page.getByRole('region', { name: 'New key' }).getByText(/^cl_live_[\w-]+$/).innerText();
}

/** Rotates a key by its name, and reads it with its new secret, which is shown once. */
export async function rotateKey(page: Page, name: string, overlap: string): Promise<string> {
  await page.goto('/models');
  await settled(page);
  await page.getByRole('button', { name: `Rotate ${name}` }).click();
  const dialog = page.getByRole('dialog', { name: `Rotate ${name}` });
  await dialog.getByLabel('The old secret works on').selectOption({ label: overlap });
  await dialog.getByRole('button', { name: 'Rotate the key' }).click();
  return page.getByRole('region', { name: 'New key' }).getByText(/^cl_live_[\w-]+$/).innerText();
}

/** Revokes a key by its name. */
export async function revokeKey(page: Page, name: string): Promise<void> {
  await page.goto('/models');
  await settled(page);
  const row = page.getByRole('row').filter({ has: page.getByText(name, { exact: true }) });
  await row.getByText('Revoke', { exact: true }).click();
  await row.getByRole('button', { name: `Revoke ${name} now` }).click();
  await expect(row).toContainText('Revoked');
}
