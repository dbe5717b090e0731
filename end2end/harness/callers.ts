// An administrator with a page, and a person with a page, a key of their own and a client that calls with it.
import OpenAI from 'openai';
import type { Browser, Page } from '@playwright/test';
import { makeKey } from './keys';
import { MIRA, WEI, browserOf, pageOf } from './people';
import { running } from './product';

export interface Callers {
  mira: Page;
  wei: Page;
  client: OpenAI;
  close(): Promise<void>;
}

/** Mira who administers, and Wei who calls with a key of this name. */
export async function callers(browser: Browser, key: string): Promise<Callers> {
  const mira = await (await browserOf(browser, MIRA)).newPage();
  const wei = await pageOf(browser, WEI);
  const client = new OpenAI({ baseURL: `${running().url}/v1`, apiKey: await makeKey(wei, key), maxRetries: 0 });
  const close = async () => {
    await mira.context().close();
    await wei.context().close();
  };
  return { mira, wei, client, close };
}
