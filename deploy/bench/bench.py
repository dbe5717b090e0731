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

import runtimes
import sleep
from load import line, micros, rounds, same
from parts import RUNTIME_MIB, Child, ClawLoops, ask, free_port, litellm, nginx, wait_for

BODY = '{"model":"%s","messages":[{"role":"user","content":"Say something in thirty-two words."}],"max_tokens":64}'
SECONDS = int(os.environ.get("BENCH_SECONDS", "5"))
STARTS = int(os.environ.get("BENCH_STARTS", "3"))
TOGETHER = int(os.environ.get("BENCH_TOGETHER", "8"))
TURNS = int(os.environ.get("BENCH_TURNS", "2"))
FLEET = int(os.environ.get("BENCH_FLEET", "10000"))
# How long what happens by itself is watched, in seconds.
WATCH = 12 * SECONDS


def proxy(loops, key, upstream, peer):
    """The credential proxy against the same upstream asked directly, and against LiteLLM."""
    path = "/v1/chat/completions"
    targets = {
        "direct": {"url": f"http://127.0.0.1:{upstream}{path}", "body": BODY % "bench"},
        "clawloops": {"url": f"http://127.0.0.1:{loops.port}{path}", "body": BODY % "demo", "host": loops.host,
                      "headers": {"authorization": f"Bearer {key}"}},
        "litellm": {"url": f"http://127.0.0.1:{peer}{path}", "body": BODY % "bench", "headers": {"authorization": "Bearer sk-bench"}},
    }
    same({name: targets[name] for name in ("direct", "clawloops")})
    one = rounds(targets, connections=1, seconds=SECONDS)
    eight = rounds(targets, connections=8, seconds=SECONDS)
    line("model proxy, throughput", f"{eight['clawloops']['rps'] / eight['litellm']['rps']:.1f} × LiteLLM, "
         f"{eight['clawloops']['rps'] / eight['direct']['rps']:.3f} × direct (8 connections)")
    line("model proxy, added latency", f"{micros(one['clawloops']['p50'] - one['direct']['p50'])} median, "
         f"{micros(one['clawloops']['p99'] - one['direct']['p99'])} p99; LiteLLM adds {micros(one['litellm']['p50'] - one['direct']['p50'])} median")
    for name in targets:
        line(f"  {name}", f"{eight[name]['rps']:.0f} requests/s; alone {micros(one[name]['p50'])} median, {micros(one[name]['p99'])} p99; "
             f"errors {one[name]['errors'] + eight[name]['errors']}")


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
    """The orchestrator with many runtimes, which prints its own figures. It has a PostgreSQL of its own, and stops it when it is told to stop."""
    log = os.path.join(folder, "fleet.log")
    child = Child([os.environ["CLAWLOOPS_FLEET_BIN"], "--data-dir", os.path.join(folder, "fleet"), "--runtimes", str(FLEET), "--idle", str(WATCH)], log)
    try:
        ended = child.process.wait()
    finally:
        child.stop()
    with open(log) as said:
        print(said.read(), end="", flush=True)
    if ended != 0:
        raise SystemExit("bench: the orchestrator with many runtimes was not measured to its end")


def together():
    """How many runtimes are started at once: as many as were asked for, where there is memory for all that they may use."""
    with open("/proc/meminfo") as said:
        free = int(re.search(r"MemAvailable:\s+(\d+)", said.read())[1]) // 1024
    return max(1, min(TOGETHER, (free - 1024) // RUNTIME_MIB))


def sizes(site, loops):
    total = {"raw": 0, "br": 0}
    for name in ("clawloops.js", "clawloops_bg.wasm", "clawloops.css"):
        path = os.path.join(site, "pkg", name)
        raw = os.path.getsize(path)
        packed = os.path.getsize(path + ".br") if os.path.exists(path + ".br") else raw
        total["raw"] += raw
        total["br"] += packed
        line(f"  {name}", f"{raw / 1000:.0f} kB, {packed / 1000:.0f} kB brotli")
    page = ask("GET", loops.port, "/", headers={"cookie": loops.cookie, "accept": "text/html"}, host=loops.host)
    small = ask("GET", loops.port, "/", headers={"cookie": loops.cookie, "accept": "text/html", "accept-encoding": "br"}, host=loops.host)
    line("first page", f"{(total['br'] + len(small.body)) / 1000:.0f} kB brotli, {(total['raw'] + len(page.body)) / 1000:.0f} kB raw (home, script, wasm, style)")


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: ended"))
    print(f"load of the machine before the run: {os.getloadavg()[0]:.2f} on {os.cpu_count()} processors", flush=True)
    binary, site = os.environ["CLAWLOOPS_BIN"], os.environ["CLAWLOOPS_SITE_DIR"]
    with tempfile.TemporaryDirectory(prefix="clb-", dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        fleet(folder)
        upstream, side, peer = free_port(), free_port(), free_port()
        children = [nginx(folder, upstream, side, f"127.0.0.1:{upstream}")]
        try:
            wait_for(upstream, "/health/liveliness")
            children.append(litellm(folder, peer, upstream))
            count = together()
            loops = ClawLoops(binary, folder, upstream, count)
            children.append(loops)
            loops.begin()
            wait_for(peer, "/health/liveliness")
            time.sleep(5)
            line("idle memory", f"{loops.memory_kib() / 1024:.0f} MB resident (the server alone)")
            key = loops.call("make-key", name="bench", days="")["secret"]
            sizes(site, loops)
            proxy(loops, key, upstream, peer)
            line("session check", "")
            sessions(loops)
            children.pop(1).stop()  # LiteLLM would only take from the starts that follow
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
