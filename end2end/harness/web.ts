// Requests below the browser: with headers that no page can send, or as a program would send them.
import { execFile } from 'node:child_process';
import { request } from 'node:http';
import { running } from './product';

/** An answer, whole. */
export interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: string;
}

/** Sends one request to the product. `host` is the host name asked for; redirects are not followed. */
export function ask(
  path: string,
  options: { host?: string; method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<Answer> {
  const { port, url } = running();
  const host = options.host ?? new URL(url).hostname;
  return new Promise((done, fail) => {
    const sent = request(
      { host: '127.0.0.1', port, path, agent: false, method: options.method ?? 'GET', headers: { host: `${host}:${port}`, ...options.headers } },
      (answer) => {
        const parts: Buffer[] = [];
        answer.on('data', (part: Buffer) => parts.push(part));
        answer.on('end', () => done({ status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(parts).toString() }));
        answer.on('error', fail);
      },
    );
    sent.on('error', fail);
    sent.end(options.body);
  });
}

/** Calls the product with the machine's own curl, as the page says to. The status stands on the last line of what is given back. */
export function curl(path: string, ...args: string[]): Promise<{ status: number; body: string }> {
  const { port, url } = running();
  const resolve = `${new URL(url).hostname}:${port}:127.0.0.1`;
  return new Promise((done, fail) => {
    execFile('curl', ['--silent', '--show-error', '--max-time', '60', '--resolve', resolve, '--write-out', '\n%{http_code}', ...args, url + path], (error, out) => {
      if (error) return fail(error);
      const end = out.lastIndexOf('\n');
      done({ status: Number(out.slice(end + 1)), body: out.slice(0, end) });
    });
  });
}
