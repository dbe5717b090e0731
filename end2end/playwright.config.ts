// Steps 2 to 10 of a person's way through ClawLoops, in Chromium, against the real thing: PostgreSQL, Docker, OpenClaw and LiteLLM.
//
// The set-up starts a server of its own, with its own ports, data directory and instance name; `make test` says where the parts lie.
import { defineConfig } from '@playwright/test';
import { browserEnvironment, chromium } from './harness/browser';

export default defineConfig({
  testDir: './specs',
  outputDir: './test-results',
  globalSetup: './harness/start.ts',
  // One server, one machine, real containers: side by side the tests would wait for each other and measure nothing.
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
    { name: 'journey', testMatch: 'journey.spec.ts', dependencies: ['first'] },
    { name: 'access', testMatch: 'access.spec.ts', dependencies: ['first'] },
    { name: 'money', testMatch: 'money.spec.ts', dependencies: ['first'] },
    { name: 'budgets', testMatch: 'budgets.spec.ts', dependencies: ['first'] },
    { name: 'profiles', testMatch: 'profiles.spec.ts', dependencies: ['first'] },
    { name: 'noscript', testMatch: 'noscript.spec.ts', dependencies: ['first'], use: { javaScriptEnabled: false } },
    { name: 'runtimes', testMatch: 'runtimes.spec.ts', dependencies: ['first'] },
    { name: 'looks', testMatch: 'looks.spec.ts', dependencies: ['first'] },
    // Takes the parts of a product of its own away, so nobody else notices.
    { name: 'faults', testMatch: 'faults.spec.ts' },
    { name: 'restart', testMatch: 'restart.spec.ts' },
  ],
});
