// Parts of a product that a test can take away and give back, without touching the machine's own.
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, unlinkSync, chmodSync } from 'node:fs';
import { type Server, type Socket, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Running, processesOf, running } from './product';

/** Something that is there or away. */
export interface Part {
  away(): Promise<void>;
  back(): Promise<void>;
}

/** The parts of one product, and the environment that makes it use them. */
export interface Parts {
  environment: Record<string, string>;
  docker: Part;
  /** Known once the product runs. */
  postgres(product: Running): Part;
  litellm(product: Running): Part;
  clear(): Promise<void>;
}

/** Where the machine's Docker Engine listens. */
const DOCKER = (process.env.DOCKER_HOST || 'unix:///var/run/docker.sock').replace(/^unix:\/\//, '');

/** Lays parts out in a folder of their own: the engine behind a socket that can be closed, programs behind links that can be removed. */
export async function parts(): Promise<Parts> {
  const folder = mkdtempSync(join(tmpdir(), 'clawloops-parts-'));
  // PostgreSQL's user passes through.
  chmodSync(folder, 0o755);
  const docker = door(join(folder, 'docker.sock'), DOCKER);
  await docker.back();
  const postgres = link(join(folder, 'postgres'), postgresPrograms());
  const litellm = link(join(folder, 'litellm'), running().environment.CLAWLOOPS_LITELLM_BIN!);
  return {
    environment: {
      DOCKER_HOST: `unix://${join(folder, 'docker.sock')}`,
      CLAWLOOPS_POSTGRES_BIN: postgres.path,
      CLAWLOOPS_LITELLM_BIN: litellm.path,
    },
    docker,
    postgres: (product) => ({
      away: async () => {
        postgres.remove();
        const note = readFileSync(join(product.environment.CLAWLOOPS_DATA_DIR!, 'postgres', 'data', 'postmaster.pid'), 'utf8');
        process.kill(Number(note.split('\n')[0]), 'SIGQUIT');
      },
      back: async () => postgres.restore(),
    }),
    litellm: (product) => ({
      away: async () => {
        litellm.remove();
        for (const [pid, command] of processesOf(product.data)) if (command.includes('litellm')) kill(pid);
      },
      back: async () => litellm.restore(),
    }),
    clear: async () => {
      await docker.away();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Its parent took it along.
  }
}

/** A link to a program, or to a folder of them. */
function link(path: string, to: string): { path: string; remove(): void; restore(): void } {
  symlinkSync(to, path);
  return { path, remove: () => unlinkSync(path), restore: () => symlinkSync(to, path) };
}

/** Passes a socket on to another, while it is open. */
function door(path: string, to: string): Part {
  let server: Server | undefined;
  const open = new Set<Socket>();
  return {
    back: () =>
      new Promise((done, fail) => {
        server = createServer((near) => {
          const far = connect(to);
          for (const [one, other] of [[near, far], [far, near]] as const) {
            open.add(one);
            one.pipe(other);
            one.on('error', () => other.destroy());
            one.on('close', () => (open.delete(one), other.destroy()));
          }
        });
        server.once('error', fail).listen(path, done);
      }),
    away: () =>
      new Promise((done) => {
        if (!server) return done();
        server.close(() => done());
        server = undefined;
        open.forEach((socket) => socket.destroy());
      }),
  };
}

/** Where `initdb` and `postgres` lie. */
function postgresPrograms(): string {
  const set = process.env.CLAWLOOPS_POSTGRES_BIN;
  if (set) return set;
  const home = '/usr/lib/postgresql';
  const versions = existsSync(home) ? readdirSync(home).sort((a, b) => Number(b) - Number(a)) : [];
  const found = versions.map((version) => join(home, version, 'bin')).find((folder) => existsSync(join(folder, 'initdb')));
  if (!found) throw new Error('PostgreSQL is not installed where Debian has it; CLAWLOOPS_POSTGRES_BIN says where.');
  return found;
}
