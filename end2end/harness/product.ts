// The product under test: one `clawloops serve` with ports, data directory and instance name of its own.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { request as ask } from 'node:http';
import { request as askSecurely } from 'node:https';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const REPOSITORY = resolve(import.meta.dirname, '..', '..');
/** How long the first start may take: a database cluster is made, LiteLLM boots. */
const START_MS = 180_000;
/** How long a stop may take. */
const STOP_MS = 45_000;

/** What the tests need to know of the running product. */
export interface Running {
  /** `http://clawloops.localhost:<port>`, unless the product was given another address. */
  url: string;
  /** The port of the dashboard and of the runtimes' hosts. */
  port: number;
  /** Ports of the supervised parts. */
  ports: { internal: number; litellm: number; local: number };
  /** Tells this installation apart on the engine. */
  instance: string;
  /** Where its data lies. */
  data: string;
  /** Where the tests keep signed-in browsers. */
  states: string;
  /** What it printed. */
  log: string;
  /** The one-use set-up link. */
  setupLink: string;
  /** The program. */
  program: string;
  /** The environment it runs in. */
  environment: Record<string, string>;
}

/** What the global set-up left for the workers. */
export function running(): Running {
  const text = process.env.CLAWLOOPS_END2END;
  if (!text) throw new Error('No product runs: the global set-up has not finished.');
  return JSON.parse(text) as Running;
}

/** Free ports, all different. Something else may take one before the product does; it then says so and the run fails at once. */
export async function freePorts(count: number): Promise<number[]> {
  const held = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((done, fail) => server.once('error', fail).listen(0, '127.0.0.1', done));
      return server;
    }),
  );
  const ports = held.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(held.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

function given(name: string, otherwise?: string): string {
  const value = process.env[name] ?? otherwise;
  if (!value) throw new Error(`${name} is not set. \`make test\` sets it.`);
  return value;
}

/** A product that was started. */
export interface Started {
  running: Running;
  process: ChildProcess;
}

/**
 * Starts the product and waits until it serves pages and has said its set-up link. `own` is what this one's environment has of its own, `name` tells its
 * log from another's.
 */
export async function start(own: Record<string, string> = {}, name = 'server'): Promise<Started> {
  const [port, internal, litellm, local] = (await freePorts(4)) as [number, number, number, number];
  const home = mkdtempSync(join(tmpdir(), 'clawloops-e2e-'));
  const instance = `e2e-${randomBytes(3).toString('hex')}`;
  const program = resolve(REPOSITORY, given('CLAWLOOPS_BIN', 'target/release/clawloops'));
  const environment: Record<string, string> = {
    ...(process.env as Record<string, string>),
    CLAWLOOPS_LISTEN: `127.0.0.1:${port}`,
    CLAWLOOPS_PUBLIC_URL: `http://clawloops.localhost:${port}`,
    CLAWLOOPS_SITE_DIR: resolve(REPOSITORY, given('CLAWLOOPS_SITE_DIR', 'target/site')),
    CLAWLOOPS_INTERNAL_PORT: String(internal),
    CLAWLOOPS_DATA_DIR: join(home, 'data'),
    CLAWLOOPS_INSTANCE: instance,
    CLAWLOOPS_RUNTIME_IMAGE: given('CLAWLOOPS_RUNTIME_IMAGE'),
    CLAWLOOPS_LITELLM_BIN: given('CLAWLOOPS_LITELLM_BIN'),
    CLAWLOOPS_LITELLM_PORT: String(litellm),
    CLAWLOOPS_LOCAL_MODEL_BIN: given('CLAWLOOPS_LOCAL_MODEL_BIN'),
    CLAWLOOPS_LOCAL_MODEL_PORT: String(local),
    RUST_LOG: process.env.RUST_LOG ?? 'info',
    NO_COLOR: '1',
  };
  // Parts of the machine's own must not be taken for the product's.
  for (const name of ['DATABASE_URL', 'LITELLM_URL', 'LITELLM_MASTER_KEY', 'CLAWLOOPS_MASTER_KEY', 'LD_PRELOAD']) delete environment[name];
  Object.assign(environment, own);
  const url = environment.CLAWLOOPS_PUBLIC_URL!;

  const log = join(REPOSITORY, 'end2end', `${name}.log`);
  closeSync(openSync(log, 'w'));
  const states = join(home, 'states');
  mkdirSync(states);
  const result: Running = {
    url,
    port: Number(new URL(url).port),
    ports: { internal, litellm, local },
    instance,
    data: home,
    states,
    log,
    setupLink: '',
    program,
    environment,
  };
  const child = await serving(result, () => link(log) !== undefined);
  return { running: { ...result, setupLink: link(log)! }, process: child };
}

/** The set-up link that the server said. */
const link = (log: string) => readFileSync(log, 'utf8').match(/https?:\/\/[\w.:-]+\/setup\/[\w-]+/)?.[0];

/** The program, once it serves pages and is ready otherwise. */
async function serving(product: Running, ready = () => true): Promise<ChildProcess> {
  const file = openSync(product.log, 'a');
  // A session of its own: an interrupt at the terminal reaches the tests, and they stop the product in order.
  const child = spawn(product.program, ['serve'], { env: product.environment, cwd: product.data, stdio: ['ignore', file, file], detached: true });
  closeSync(file);
  let ended = '';
  child.once('error', (error) => (ended = String(error)));
  child.once('exit', (code, signal) => (ended ||= `ended with ${signal ?? code}`));
  const end = Date.now() + START_MS;
  while (Date.now() < end) {
    if (ended) throw new Error(`The server ${ended}. It said:\n${readFileSync(product.log, 'utf8').slice(-4000)}`);
    if (ready() && (await answers(product.url))) return child;
    await new Promise((done) => setTimeout(done, 100));
  }
  child.kill('SIGTERM');
  throw new Error(`The server was not up after ${START_MS / 1000} s. It said:\n${readFileSync(product.log, 'utf8').slice(-4000)}`);
}

/** Ends the server alone, by this signal; its runtimes run on. */
export async function ended(product: Started, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  const child = product.process;
  const gone = new Promise<void>((done, fail) => {
    child.once('exit', () => done());
    setTimeout(() => fail(new Error(`the server did not end within ${STOP_MS / 1000} s`)), STOP_MS).unref();
  });
  child.kill(signal);
  await gone;
}

/** Starts it again, with the same ports and on the same data. */
export async function again(product: Started): Promise<Started> {
  return { running: product.running, process: await serving(product.running) };
}

/** Whether somebody serves there. Whom to trust is not asked: the browser of a test does that. */
function answers(url: string): Promise<boolean> {
  return new Promise((done) => {
    const options = { timeout: 2_000, rejectUnauthorized: false, agent: false };
    const asked = (url.startsWith('https:') ? askSecurely : ask)(`${url}/healthz`, options, (answer) => {
      answer.resume();
      done(answer.statusCode === 200);
    });
    asked.once('timeout', () => asked.destroy());
    asked.once('error', () => done(false));
    asked.end();
  });
}

/** Stops the product as a person would, and tells what it left running. */
export async function stop(child: ChildProcess, product: Running): Promise<string[]> {
  const faults: string[] = [];
  if (child.exitCode !== null || child.signalCode !== null) {
    faults.push(`the server ended before it was stopped (${child.signalCode ?? child.exitCode})`);
  } else {
    const gone = new Promise<boolean>((done) => {
      child.once('exit', () => done(true));
      setTimeout(() => done(false), STOP_MS).unref();
    });
    child.kill('SIGTERM');
    if (!(await gone)) {
      child.kill('SIGKILL');
      faults.push(`the server did not stop within ${STOP_MS / 1000} s`);
    } else if (child.exitCode !== 0) {
      faults.push(`the server stopped with ${child.signalCode ?? child.exitCode}`);
    }
  }
  for (const [pid, command] of processesOf(product.data)) {
    faults.push(`still runs: ${command}`);
    process.kill(pid, 'SIGKILL');
  }
  for (const [name, port] of Object.entries({ dashboard: product.port, ...product.ports })) {
    if (await listens(port, name === 'dashboard' ? new URL(product.url).hostname : '127.0.0.1')) faults.push(`something still listens on the port of ${name}`);
  }
  return faults;
}

/** Processes that name the data directory: PostgreSQL, LiteLLM and whatever else was started for it. */
export function processesOf(data: string): [number, string][] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((name): [number, string][] => {
      try {
        const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
        return command.includes(data) ? [[Number(name), command]] : [];
      } catch {
        return []; // gone meanwhile
      }
    });
}

function listens(port: number, host: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, host);
    socket.once('connect', () => (socket.destroy(), done(true)));
    socket.once('error', () => done(false));
  });
}

/** Runs another verb of the program beside the server, on the same data. */
export function clawloops(product: Running, args: string[], input = ''): { status: number | null; output: string } {
  const ended = spawnSync(product.program, args, { env: product.environment, cwd: product.data, input, encoding: 'utf8', timeout: 60_000 });
  return { status: ended.status, output: `${ended.stdout}${ended.stderr}` };
}

/** Removes the data of the run. */
export function forget(product: Running): void {
  rmSync(product.data, { recursive: true, force: true });
}
