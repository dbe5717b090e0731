// What the engine holds of one installation, found by its labels. Nothing here touches what another installation made.
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';

/** Names the installation on everything that it makes. */
export const INSTANCE_LABEL = 'org.clawloops.instance';
/** Names the runtime. */
export const RUNTIME_LABEL = 'org.clawloops.runtime';

const docker = (...args: string[]) => execFileSync('docker', args, { encoding: 'utf8' }).split('\n').filter(Boolean);

/** One kind of thing that the engine holds. */
export type Kind = 'container' | 'network' | 'volume';

/** Names of what the engine holds of this installation. */
export function held(instance: string, kind: Kind): string[] {
  const filter = ['--filter', `label=${INSTANCE_LABEL}=${instance}`];
  switch (kind) {
    case 'container':
      return docker('ps', '--all', '--format', '{{.Names}}', ...filter);
    case 'network':
      return docker('network', 'ls', '--format', '{{.Name}}', ...filter);
    case 'volume':
      return docker('volume', 'ls', '--format', '{{.Name}}', ...filter);
  }
}

/** All that the engine holds of this installation, as `kind name`. */
export function heldInAll(instance: string): string[] {
  return (['container', 'network', 'volume'] as const).flatMap((kind) => held(instance, kind).map((name) => `${kind} ${name}`));
}

/** Removes what the engine holds of this installation: only for the end of a run that failed half-way. */
export function clear(instance: string): void {
  for (const name of held(instance, 'container')) docker('rm', '--force', '--volumes', name);
  for (const name of held(instance, 'network')) docker('network', 'rm', name);
  for (const name of held(instance, 'volume')) docker('volume', 'rm', '--force', name);
  clearWalls(instance);
}

/** Removes the firewall rules of this installation, which outlive the server as its runtimes do. */
function clearWalls(instance: string): void {
  const mark = createHash('sha256').update(instance).digest('hex').slice(0, 4);
  const chain = `CLAWLOOPS-${mark}`;
  for (const program of ['iptables', 'ip6tables']) {
    for (const rule of [['-D', 'INPUT', '-i', `cl${mark}+`, '-j', chain], ['-F', chain], ['-X', chain]]) spawnSync(program, ['-w', ...rule]);
  }
}

/** The environment of the one container of a runtime, as its agent could read it. */
export function environment(container: string): string[] {
  return JSON.parse(docker('inspect', '--format', '{{json .Config.Env}}', container)[0] ?? '[]') as string[];
}

/** Lets a container say a line, as its agent might. */
export function prints(container: string, line: string): void {
  execFileSync('docker', ['exec', container, 'sh', '-c', 'echo "$0" > /proc/1/fd/1', line]);
}

/** Which container it is and since when it runs: the same pair, the same run. */
export function run(container: string): string[] {
  return docker('inspect', '--format', '{{.Id}} {{.State.StartedAt}} {{.RestartCount}}', container);
}
