#!/usr/bin/env python3
"""make bench: what ClawLoops costs, against the direct call and against peers, in one run. Ratios first.

Nothing is asserted. Each figure is the median of three interleaved rounds, on loopback. docs/BENCHMARKS.md tells the method.
"""

import os
import re
import signal
import sys
import tempfile
import time

import cost
import runtimes
import sleep
import streams
from load import line, micros, rounds, same, wrk
from parts import RUNTIME_MIB, Child, ClawLoops, ask, free_port, litellm, nginx, portkey, wait_for

BODY = '{"model":"%s","messages":[{"role":"user","content":"Say something in thirty-two words."}],"max_tokens":64}'
SECONDS = int(os.environ.get("BENCH_SECONDS", "5"))
STARTS = int(os.environ.get("BENCH_STARTS", "3"))
TOGETHER = int(os.environ.get("BENCH_TOGETHER", "8"))
TURNS = int(os.environ.get("BENCH_TURNS", "2"))
FLEET = int(os.environ.get("BENCH_FLEET", "10000"))
CONNECTIONS = (1, 8, 64)
STREAMS = int(os.environ.get("BENCH_STREAMS", "5000"))
# How long what happens by itself is watched, in seconds.
WATCH = 12 * SECONDS


def proxy(loops, key, upstream, peer, side, other):
    """The credential proxy against the same upstream asked directly, twice, through nginx, LiteLLM, and where there is one the Portkey gateway."""
    path = "/v1/chat/completions"
    straight = {"url": f"http://127.0.0.1:{upstream}{path}", "body": BODY % "bench"}
    targets = {
        "direct": straight,
        "clawloops": {"url": f"http://127.0.0.1:{loops.port}{path}", "body": BODY % "demo", "host": loops.host,
                      "headers": {"authorization": f"Bearer {key}"}},
        "nginx": {**straight, "url": f"http://127.0.0.1:{side}{path}"},
        "litellm": {"url": f"http://127.0.0.1:{peer}{path}", "body": BODY % "bench", "headers": {"authorization": "Bearer sk-bench"}},
        "direct again": straight,
    }
    if "portkey" in other:
        targets["portkey"] = {"url": f"http://127.0.0.1:{other['portkey'][0]}{path}", "body": BODY % "bench", "headers": {
            "authorization": "Bearer sk-bench", "x-portkey-provider": "openai", "x-portkey-custom-host": f"http://127.0.0.1:{upstream}/v1"}}
    same({name: targets[name] for name in ("direct", "clawloops", "nginx")})
    seen = {connections: rounds(targets, connections=connections, seconds=SECONDS) for connections in CONNECTIONS}
    for connections, run in seen.items():
        def over(name, part, run=run):
            return run[name][part] - run["direct"][part]
        line(f"model proxy, {connections} at once", f"{micros(over('clawloops', 'p50'))} added at the median, {micros(over('clawloops', 'p99'))} p99; "
             f"nginx {micros(over('nginx', 'p50'))}, {micros(over('nginx', 'p99'))}; LiteLLM {micros(over('litellm', 'p50'))}; "
             + (f"Portkey {micros(over('portkey', 'p50'))}; " if "portkey" in run else "") +
             f"noise {micros(abs(over('direct again', 'p50')))}, {micros(abs(over('direct again', 'p99')))}")
        line("  throughput", f"{run['clawloops']['rps'] / run['litellm']['rps']:.1f} × LiteLLM, {run['clawloops']['rps'] / run['nginx']['rps']:.3f} × nginx, "
             f"{run['clawloops']['rps'] / run['direct']['rps']:.3f} × direct")
        for name in targets:
            line(f"  {name}", f"{run[name]['rps']:.0f} requests/s, {micros(run[name]['p50'])} median, {micros(run[name]['p99'])} p99, errors {run[name]['errors']}")
    costs = {}
    processes = [("clawloops", loops.child.process.pid, loops.data), ("nginx", other["nginx"], None), ("litellm", other["litellm"], None)]
    if "portkey" in other:
        processes.append(("portkey", other["portkey"][1], None))
    for name, pid, beside in processes:
        before = cost.seconds(pid, beside)
        run = wrk(**{**targets[name], "connections": 8, "seconds": SECONDS})
        costs[name] = (cost.seconds(pid, beside) - before) / (run["rps"] * SECONDS) * 1e6
    line("model proxy, processor", f"{costs['clawloops'] / costs['nginx']:.1f} × nginx: {micros(costs['clawloops'])} a request with PostgreSQL, "
         + ", ".join(f"{name} {micros(spent)}" for name, spent in costs.items() if name != "clawloops") + " (8 at once)")


def sessions(loops):
    """The session check in front of the smallest answer, with a session and without."""
    url = f"http://127.0.0.1:{loops.port}/healthz"
    seen = rounds({
        "healthz, no session": {"url": url, "host": loops.host},
        "healthz, session checked": {"url": url, "host": loops.host, "headers": {"cookie": loops.cookie}},
    }, connections=8, seconds=SECONDS)
    for name, run in seen.items():
        line(f"  {name}", f"{run['rps']:.0f} requests/s, {micros(run['p50'])} median, errors {run['errors']}")


def fleet(folder):
    """The orchestrator with many runtimes, which prints its own figures as they come. It has a PostgreSQL of its own, and stops it when it is told to stop."""
    log = os.path.join(folder, "fleet.log")
    child = Child([os.environ["CLAWLOOPS_FLEET_BIN"], "--data-dir", os.path.join(folder, "fleet"), "--runtimes", str(FLEET)], log)
    try:
        with open(log) as said:
            ended = None
            while ended is None:
                ended = child.process.poll()
                print(said.read(), end="", flush=True)
                time.sleep(0.2)
    finally:
        child.stop()
    if ended != 0:
        raise SystemExit("bench: the orchestrator with many runtimes was not measured to its end")


def open_streams(loops, key):
    """Streams on a direct route to an upstream of their own."""
    upstream = streams.Upstream()
    loops.call("add-provider", kind="open_ai_compatible", name="Streams", base_url=f"http://127.0.0.1:{upstream.port}/v1", private="on", direct="on")
    found = next(one for one in loops.call("providers") if one["name"] == "Streams")
    model = {"name": "streams", "upstream": "any", "context_tokens": "32000", "output_tokens": "4000", "pricing": "free", "published": "on"}
    loops.call("add-model", provider_id=found["provider_id"], **{f"model[{member}]": value for member, value in model.items()})
    streams.measure(loops, key, "streams", upstream, STREAMS)


def together():
    """How many runtimes are started at once: as many as were asked for, where there is memory for all that they may use."""
    with open("/proc/meminfo") as said:
        free = int(re.search(r"MemAvailable:\s+(\d+)", said.read())[1]) // 1024
    return max(1, min(TOGETHER, (free - 1024) // RUNTIME_MIB))


def sizes(loops):
    """What home names in its head, itself among it, as a browser that reads brotli is sent it; the font is not counted."""
    total = {"raw": 0, "br": 0}
    how = {"cookie": loops.cookie, "accept": "text/html"}
    page = ask("GET", loops.port, "/", headers=how, host=loops.host).body
    named = re.findall(r'href="(/pkg/[^"]+)"', page.decode())
    for address in ["/", *dict.fromkeys(named)]:
        raw = len(ask("GET", loops.port, address, headers=how, host=loops.host).body)
        packed = len(ask("GET", loops.port, address, headers={**how, "accept-encoding": "br"}, host=loops.host).body)
        total["raw"] += raw
        total["br"] += packed
        line(f"  {address.rsplit('/', 1)[1] or 'home'}", f"{raw / 1000:.0f} kB, {packed / 1000:.1f} kB brotli")
    line("first page", f"{total['br'] / 1000:.0f} kB brotli, {total['raw'] / 1000:.0f} kB raw (home, script, wasm, style)")


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: ended"))
    print(f"load of the machine before the run: {os.getloadavg()[0]:.2f} on {os.cpu_count()} processors", flush=True)
    binary = os.environ["CLAWLOOPS_BIN"]
    with tempfile.TemporaryDirectory(prefix="clb-", dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        fleet(folder)
        upstream, side, peer = free_port(), free_port(), free_port()
        children = [nginx(folder, upstream, free_port(), f"127.0.0.1:{upstream}")]
        try:
            wait_for(upstream, "/health/liveliness")
            children.append(litellm(folder, peer, upstream))
            between = os.path.join(folder, "between")
            os.mkdir(between)
            children.append(nginx(between, free_port(), side, f"127.0.0.1:{upstream}"))
            others = {"litellm": children[1].process.pid, "nginx": children[2].process.pid}
            port = free_port()
            if further := portkey(folder, port):
                children.append(further)
                others["portkey"] = (port, further.process.pid)
                wait_for(port, "/")
            count = together()
            loops = ClawLoops(binary, folder, upstream, count)
            children.append(loops)
            loops.begin()
            wait_for(peer, "/health/liveliness")
            time.sleep(5)
            line("idle memory", f"{loops.memory_kib() / 1024:.0f} MB resident (the server alone)")
            key = loops.call("make-key", name="bench", ends="never")["secret"]
            sizes(loops)
            proxy(loops, key, upstream, peer, side, others)
            line("session check", "")
            sessions(loops)
            if further:
                children.remove(further)
                further.stop()
            children.pop(1).stop()  # these would only take from what follows
            open_streams(loops, key)
            configuration = runtimes.measure(loops, folder, SECONDS, STARTS)
            line("memory after load", f"{loops.memory_kib() / 1024:.0f} MB resident")
            sleep.measure(loops, runtimes.measure_together(loops, configuration, folder, count, TURNS), WATCH)
        finally:
            # Half-way through tidying up is no place to end.
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            for child in reversed(children):
                child.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
