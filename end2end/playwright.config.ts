// Steps 2 to 10 of a person's way through ClawLoops, in Chromium, against the real thing: PostgreSQL, Docker, OpenClaw and LiteLLM.
//
// The set-up starts a server of its own, with its own ports, data directory and instance name; `make test` says where the parts lie.
import { defineConfig } from '@playwright/test';
import { browserEnvironment, chromium } from './harness/browser';

/** These take the parts of a product of their own away, so nobody else notices. */
const APART = ['faults.spec.ts', 'office.spec.ts', 'restart.spec.ts'];

export default defineConfig({
  testDir: './specs',
  outputDir: './test-results',
  globalSetup: './harness/start.ts',
  // One server, one machine, real containers: side by side the tests would wait for each other, and OpenClaw for its turn.
  workers: 1,
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
    { name: 'first', testMatch: 'first.spec.ts' },
    { name: 'shared', testIgnore: ['first.spec.ts', ...APART], dependencies: ['first'] },
    { name: 'apart', testMatch: APART },
  ],
});
