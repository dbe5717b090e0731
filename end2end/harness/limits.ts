// Limits as an administrator sets them.
import { type Page, expect } from '@playwright/test';
import { type Person, settled } from './people';

/** A limit, as the form asks for it. */
export interface Limit {
  amount: string;
  of: 'US dollars' | 'Tokens, sent and answered together' | 'Calls' | 'Calls at once, whenever';
  within: 'A minute' | 'An hour' | 'A day' | 'A week' | 'A month' | 'All time';
}

/** Opens a person's page as an administrator. */
export async function personPage(page: Page, who: Person): Promise<void> {
  await page.goto('/admin/people');
  await page.getByRole('link', { name: `Manage ${who.name}` }).click();
  await page.waitForURL(/\/admin\/people\/[0-9a-f-]{36}$/);
  await settled(page);
}

/** Sets a limit for one person. `shown` is how the page says the amount. */
export async function limited(page: Page, who: Person, limit: Limit, shown: string): Promise<void> {
  await personPage(page, who);
  await page.getByRole('button', { name: 'Set a limit' }).click();
  const dialog = page.getByRole('dialog', { name: 'Set a limit' });
  await dialog.getByRole('textbox', { name: 'Amount' }).fill(limit.amount);
  await dialog.getByRole('combobox', { name: 'Of' }).selectOption({ label: limit.of });
  await dialog.getByRole('combobox', { name: 'In' }).selectOption({ label: limit.within });
  await dialog.getByRole('button', { name: 'Set the limit' }).click();
  await expect(dialog).toBeHidden();
  await expect(page.getByRole('main')).toContainText(`of ${shown}`);
}
