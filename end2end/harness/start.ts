// Before all tests: the product is started. After all: it is stopped, and nothing of it may be left.
import './resolve';
import { clear, heldInAll } from './docker';
import { forget, start, stop } from './product';

export default async function globalSetup(): Promise<() => Promise<void>> {
  const product = await start();
  process.env.CLAWLOOPS_END2END = JSON.stringify(product.running);
  return async () => {
    // Runtimes outlive the server by design, so what the tests deleted is looked for while it still runs.
    const faults = (await left(product.running.instance)).map((thing) => `not removed: ${thing}`);
    faults.push(...(await stop(product.process, product.running)));
    clear(product.running.instance);
    forget(product.running);
    if (faults.length > 0) throw new Error(`The product left something behind:\n  ${faults.join('\n  ')}\nIts log: ${product.running.log}`);
  };
}

/** What the engine still holds, once what is being removed has had its time. */
async function left(instance: string): Promise<string[]> {
  const end = Date.now() + 30_000;
  for (;;) {
    const things = heldInAll(instance);
    if (things.length === 0 || Date.now() > end) return things;
    await new Promise((done) => setTimeout(done, 500));
  }
}
