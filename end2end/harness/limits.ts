// Limits as an administrator sets them.
import { type Page, expect } from '@playwright/test';
import { type Person, settled } from './people';

/** Sets a limit for one person on their page. */
export async function limited(page: Page, who: Person, unit: 'Money' | 'Tokens', window: 'Day' | 'Month' | 'Total', amount: string): Promise<void> {
  await page.goto('/admin/people');
  await page.getByRole('link', { name: who.name }).click();
  await page.waitForURL(/\/admin\/people\/[0-9a-f-]{36}$/);
  await settled(page);
  const form = page.getByRole('form', { name: /limit/i });
  await form.getByLabel(/counts|unit/i).selectOption({ label: unit });
  await form.getByLabel(/window|within|per/i).selectOption({ label: window });
  await form.getByLabel(/amount/i).fill(amount);
  await form.getByRole('button', { name: /set/i }).click();
  await expect(page.getByRole('main')).toContainText(Number(amount).toLocaleString('en-US'));
}
