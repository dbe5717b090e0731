// Steps 2 to 10 of a person's way through ClawLoops, in Chromium, against the real thing: PostgreSQL, Docker, OpenClaw and LiteLLM.
//
// The set-up starts a server of its own, with its own ports, data directory and instance name; `make test` says where the parts lie.
import { defineConfig } from '@playwright/test';
import { browserEnvironment, chromium } from './harness/browser';

/** These take the parts of a product of their own away, so nobody else notices. */
const APART = ['faults.spec.ts', 'restart.spec.ts'];

export default defineConfig({
  testDir: './specs',
  outputDir: './test-results',
  globalSetup: './harness/start.ts',
  // Two products side by side, one of the shared tests and one of those that take parts away; the tests of a product come one after another.
  workers: 2,
  fullyParallel: false,
  retries: 0,
  forbidOnly: !!process.env.CI,
  timeout: 90_000,
  expect: { timeout: 15_000 },
  reporter: [['list'], ['./harness/counts.ts']],
  use: {
    viewport: { width: 1360, height: 900 },
    locale: 'en-GB',
    timezoneId: 'UTC',
    // Without a graphics card each frame of an animation is the processor's, which runtimes want to boot.
    contextOptions: { reducedMotion: 'reduce' },
    actionTimeout: 15_000,
    navigationTimeout: 30_000,
    screenshot: 'only-on-failure',
    launchOptions: {
      executablePath: chromium(),
      env: browserEnvironment(),
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    },
  },
  projects: [
    // The set-up link works once: whoever needs an administrator comes after.
    { name: 'first', testMatch: 'first.spec.ts', workers: 1 },
    { name: 'shared', testIgnore: ['first.spec.ts', ...APART], dependencies: ['first'], workers: 1 },
    // Nothing of it needs the first: but what waits for nobody runs before whatever waits, and it is to run beside that.
    { name: 'apart', testMatch: APART, dependencies: ['first'], workers: 1 },
  ],
});
