// The browser: the machine's own Chromium, shielded from changes of the machine's networks.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';

const HERE = import.meta.dirname;

/** Where Chromium lies. */
export function chromium(): string {
  const names = ['chromium', 'chromium-browser', 'google-chrome'];
  const folders = (process.env.PATH ?? '/usr/bin').split(':');
  const found = names.flatMap((name) => folders.map((folder) => join(folder, name))).find((path) => existsSync(path));
  return process.env.CLAWLOOPS_CHROMIUM ?? found ?? '/usr/bin/chromium';
}

/** The environment of Chromium: ours, and the shield of `still_network.c`, which says why. */
export function browserEnvironment(): Record<string, string> {
  return { ...(process.env as Record<string, string>), LD_PRELOAD: shield() };
}

function shield(): string {
  const folder = join(HERE, '..', 'node_modules', '.cache', 'clawloops');
  const library = join(folder, 'still_network.so');
  // Workers read the configuration too; the first reader has built it.
  if (!existsSync(library)) {
    mkdirSync(folder, { recursive: true });
    execFileSync('cc', ['-shared', '-fPIC', '-O2', '-o', library, join(HERE, 'still_network.c'), '-ldl']);
  }
  return library;
}
