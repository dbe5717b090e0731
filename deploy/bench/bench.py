#!/usr/bin/env python3
"""make bench: what ClawLoops costs, against the direct call and against peers, in one run. Ratios first.

Nothing is asserted. Each figure is the median of three interleaved rounds, on loopback. docs/BENCHMARKS.md tells the method.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
import shutil

from load import rounds
from parts import ANSWER, ClawLoops, ask, free_port, litellm, nginx, wait_for

BODY = '{"model":"%s","messages":[{"role":"user","content":"Say something in thirty-two words."}],"max_tokens":64}'
SECONDS = int(os.environ.get("BENCH_SECONDS", "5"))


def line(label, text):
    print(f"{label:<34} {text}", flush=True)


def micros(value):
    return f"{value / 1000:.2f} ms" if value >= 1000 else f"{value:.0f} µs"


def proxy(loops, key, upstream, peer):
    """The credential proxy against the same upstream asked directly, and against LiteLLM."""
    path = "/v1/chat/completions"
    targets = {
        "direct": {"url": f"http://127.0.0.1:{upstream}{path}", "body": BODY % "bench"},
        "clawloops": {"url": f"http://127.0.0.1:{loops.port}{path}", "body": BODY % "demo", "host": loops.host,
                      "headers": {"authorization": f"Bearer {key}"}},
        "litellm": {"url": f"http://127.0.0.1:{peer}{path}", "body": BODY % "bench", "headers": {"authorization": "Bearer sk-bench"}},
    }
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
    """A page's session check: the smallest server function, signed in and signed out."""
    url = f"http://127.0.0.1:{loops.port}/healthz"
    seen = rounds({
        "healthz, no session": {"url": url, "host": loops.host},
        "healthz, session checked": {"url": url, "host": loops.host, "headers": {"cookie": loops.cookie}},
    }, connections=8, seconds=SECONDS)
    for name, run in seen.items():
        line(f"  {name}", f"{run['rps']:.0f} requests/s, {micros(run['p50'])} median, errors {run['errors']}")


def start_by_hand(image, config, instance):
    """`docker run` with the same walls and limits, until OpenClaw says ready; in seconds."""
    name = f"{instance}-hand"
    run = lambda *words: subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout.strip()
    began = time.monotonic()
    try:
        run("network", "create", "--internal", "-o", "com.docker.network.bridge.enable_icc=false", name)
        run("run", "-d", "--name", name, "--hostname", name, "--network", name, "--memory", "2g", "--memory-swap", "2g", "--cpus", "2", "--pids-limit",
            "512", "--init", "--read-only", "--tmpfs", "/tmp:rw,nosuid,nodev,size=256m", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
            "--user", "1000:1000", "-v", f"{name}:/home/claw/.openclaw", "-v", f"{config}:/etc/clawloops/openclaw.json:ro",
            "-e", "CLAWLOOPS_MODEL_KEY=none", image)
        while time.monotonic() - began < 180:
            seen = subprocess.run(["docker", "exec", name, "curl", "-sf", "-H", "x-forwarded-for: 203.0.113.7", "http://127.0.0.1:18789/healthz"],
                                  capture_output=True)
            if seen.returncode == 0:
                return time.monotonic() - began
            time.sleep(0.1)
        raise SystemExit("bench: the container by hand was not ready in 180 s")
    finally:
        for words in (["rm", "-f", name], ["volume", "rm", name], ["network", "rm", name]):
            subprocess.run(["docker", *words], capture_output=True)


def runtimes(loops, folder):
    """Start to ready against `docker run` by hand; then the gateway against nginx, both in front of the same container."""
    began = time.monotonic()
    loops.call("create-runtime", name="bench")
    runtime = loops.call("my-runtimes")[0]
    ident = runtime["runtime_id"]
    while runtime["phase"] != "ready":
        if runtime["phase"] == "failed" or time.monotonic() - began > 240:
            raise SystemExit(f"bench: the runtime is {runtime['phase']}: {runtime.get('problem')}")
        time.sleep(0.1)
        runtime = loops.call("runtime", runtime_id=ident)
    through = [time.monotonic() - began]
    name = subprocess.run(["docker", "ps", "--filter", f"label=org.clawloops.instance={loops.instance}", "--format", "{{.Names}}"],
                          capture_output=True, text=True, check=True).stdout.split()[0]
    inspect = lambda form: subprocess.run(["docker", "inspect", "-f", form, name], capture_output=True, text=True, check=True).stdout.strip()
    address = inspect("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
    config = inspect("{{range .Mounts}}{{if eq .Type \"bind\"}}{{.Source}}{{end}}{{end}}")
    copy = os.path.join(folder, "openclaw.json")
    shutil.copy(config, copy)
    os.chmod(copy, 0o644)
    gateway(loops, ident, runtime["origin"].split("//")[1], address, folder)
    loops.call("delete-runtime", runtime_id=ident, retention="wipe_workspace")
    hand = [start_by_hand(inspect_image(), copy, loops.instance) for _ in range(2)]
    line("start to ready", f"{statistics.median(through) - statistics.median(hand):+.1f} s over docker run by hand "
         f"({statistics.median(through):.1f} s against {statistics.median(hand):.1f} s)")


def inspect_image():
    return os.environ["CLAWLOOPS_RUNTIME_IMAGE"]


def gateway(loops, ident, host, address, folder):
    peer = free_port()
    other = os.path.join(folder, "peer")
    os.makedirs(other, exist_ok=True)
    child = nginx(other, free_port(), peer, f"{address}:18789")
    try:
        wait_for(peer, "/healthz")
        opened = ask("GET", loops.port, f"/open/{ident}", headers={"cookie": loops.cookie}, host=loops.host)
        entered = ask("GET", loops.port, opened.headers["location"].split(host, 1)[1], host=host)
        cookie = entered.headers["set-cookie"].split(";")[0]
        seen = rounds({
            "direct": {"url": f"http://{address}:18789/healthz"},
            "gateway": {"url": f"http://127.0.0.1:{loops.port}/healthz", "host": host, "headers": {"cookie": cookie}},
            "nginx": {"url": f"http://127.0.0.1:{peer}/healthz"},
        }, connections=8, seconds=SECONDS)
    finally:
        child.stop()
    line("gateway, throughput", f"{seen['gateway']['rps'] / seen['nginx']['rps']:.2f} × nginx proxy_pass (session checked by the gateway only), "
         f"{micros(seen['gateway']['p50'] - seen['nginx']['p50'])} over it at the median")
    for name, run in seen.items():
        line(f"  {name}", f"{run['rps']:.0f} requests/s, {micros(run['p50'])} median, {micros(run['p99'])} p99, errors {run['errors']}")


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
    binary, site = os.environ["CLAWLOOPS_BIN"], os.environ["CLAWLOOPS_SITE_DIR"]
    with tempfile.TemporaryDirectory(prefix="clb-", dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        upstream, side, peer = free_port(), free_port(), free_port()
        children = [nginx(folder, upstream, side, f"127.0.0.1:{upstream}")]
        try:
            wait_for(upstream, "/health/liveliness")
            children.append(litellm(folder, peer, upstream))
            loops = ClawLoops(binary, folder, upstream)
            children.append(loops)
            wait_for(peer, "/health/liveliness")
            time.sleep(5)
            line("idle memory", f"{loops.memory_kib() / 1024:.0f} MB resident (the server alone)")
            key = loops.call("make-key", name="bench", days="")["secret"]
            sizes(site, loops)
            proxy(loops, key, upstream, peer)
            line("session check", "")
            sessions(loops)
            children.pop(1).stop()  # LiteLLM would only take from the starts that follow
            runtimes(loops, folder)
            line("memory after load", f"{loops.memory_kib() / 1024:.0f} MB resident")
        finally:
            for child in reversed(children):
                child.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
