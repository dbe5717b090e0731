// Another machine, as far as the network goes: a namespace of its own, one cable to this one, no names, and a browser in it with a home of its own.
import { type Browser, chromium as playwright } from '@playwright/test';
import { execFileSync, spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from './browser';

/** A machine at the other end of a cable. */
export interface Elsewhere {
  /** This machine's address at the cable. */
  here: string;
  /** Where its browser keeps what it trusts. */
  home: string;
  /** Runs a program over there. Answers with what it printed; throws when it fails. */
  run(program: string, ...args: string[]): Buffer;
  /** Starts its browser. */
  browser(): Promise<Browser>;
  /** Lets its browser trust this certificate authority, as a person would who imports it. */
  trust(pem: Buffer): void;
  /** Takes it away. */
  remove(): void;
}

/** Lays the cable. Needs root, as the product's own firewall does. */
export function elsewhere(): Elsewhere {
  const mark = randomInt(0, 0xffff).toString(16).padStart(4, '0');
  const [name, near, far] = [`clawloops-e2e-${mark}`, `cle${mark}a`, `cle${mark}b`];
  const net = `10.219.${randomInt(0, 255)}`;
  const third = 4 * randomInt(0, 63);
  const [here, there] = [`${net}.${third + 1}`, `${net}.${third + 2}`];
  const ip = (...args: string[]) => execFileSync('ip', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const home = mkdtempSync(join(tmpdir(), 'clawloops-elsewhere-'));
  const remove = () => {
    // The cable goes with the namespace.
    spawnSync('ip', ['netns', 'delete', name]);
    spawnSync('ip', ['link', 'delete', near]);
    rmSync(home, { recursive: true, force: true });
  };
  try {
    ip('netns', 'add', name);
    ip('link', 'add', near, 'type', 'veth', 'peer', 'name', far, 'netns', name);
    ip('address', 'add', `${here}/30`, 'dev', near);
    ip('link', 'set', near, 'up');
    ip('-n', name, 'address', 'add', `${there}/30`, 'dev', far);
    ip('-n', name, 'link', 'set', far, 'up');
    ip('-n', name, 'link', 'set', 'lo', 'up');
  } catch (error) {
    remove();
    throw error;
  }
  const inside = `--net=/run/netns/${name}`;
  const nss = join(home, '.pki', 'nssdb');
  mkdirSync(nss, { recursive: true });
  execFileSync('certutil', ['-N', '-d', `sql:${nss}`, '--empty-password']);
  const program = join(home, 'browser.sh');
  writeFileSync(program, `#!/bin/sh\nexec nsenter ${inside} "${chromium()}" "$@"\n`, { mode: 0o755 });
  const environment = { ...(process.env as Record<string, string>), HOME: home };
  delete environment.LD_PRELOAD;
  return {
    here,
    home,
    remove,
    run: (what, ...args) => execFileSync('nsenter', [inside, what, ...args], { timeout: 30_000 }),
    browser: () =>
      playwright.launch({
        executablePath: program,
        env: environment,
        args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
      }),
    trust: (pem) => {
      const file = join(home, 'authority.pem');
      writeFileSync(file, pem);
      execFileSync('certutil', ['-A', '-d', `sql:${nss}`, '-n', 'ClawLoops', '-t', 'C,,', '-i', file]);
    },
  };
}
