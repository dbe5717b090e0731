// Lets Node find `*.localhost` on loopback, as Chromium does by itself: the `openai` client and `fetch` then speak to the real host names.
import dns from 'node:dns';

type Done = (error: Error | null, address: unknown, family?: number) => void;

const local = (host: unknown) => typeof host === 'string' && host.endsWith('.localhost');
const lookup = dns.lookup as unknown as (host: string, options: unknown, done?: unknown) => void;

function localLookup(host: string, options: unknown, done?: unknown): void {
  if (!local(host)) return lookup(host, options, done);
  const answer = (done ?? options) as Done;
  const all = typeof options === 'object' && options !== null && (options as { all?: boolean }).all;
  process.nextTick(() => (all ? answer(null, [{ address: '127.0.0.1', family: 4 }]) : answer(null, '127.0.0.1', 4)));
}

dns.lookup = localLookup as unknown as typeof dns.lookup;
