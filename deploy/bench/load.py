"""Load from wrk, bounded in time, against this machine only; and how a figure is printed."""

import http.client
import os
import re
import subprocess
import tempfile
import urllib.parse

UNITS = {"us": 1.0, "ms": 1000.0, "s": 1_000_000.0}


def line(label, text):
    print(f"{label:<34} {text}", flush=True)


def micros(value):
    return f"{value / 1000:.2f} ms" if abs(value) >= 1000 else f"{value:.0f} µs"


def answer(url, headers=None, body=None, host=None):
    """One answer of a target, as (status, body)."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    try:
        kind = {"content-type": "application/json"} if body is not None else {}
        connection.request("GET" if body is None else "POST", parts.path, body, {"host": host or parts.netloc, **kind, **(headers or {})})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def same(targets):
    """Stops the run unless every target answers 200 with the same bytes: only then is the same thing measured. Answers their number."""
    answers = {name: answer(**target) for name, target in targets.items()}
    first = next(iter(answers.values()))
    for name, (status, body) in answers.items():
        if status != 200 or body != first[1]:
            raise SystemExit(f"bench: {name} answers {status} with {len(body)} bytes, not what the first answers ({len(first[1])} bytes): {body[:200]!r}")
    return len(first[1])


def wrk(url, connections=1, seconds=5, headers=None, body=None, host=None):
    """Runs wrk and answers {rps, p50, p99, errors}; latencies in microseconds."""
    lines = [f'wrk.method = "{"POST" if body is not None else "GET"}"']
    if body is not None:
        lines.append(f"wrk.body = [==[{body}]==]")
        lines.append('wrk.headers["content-type"] = "application/json"')
    for name, value in (headers or {}).items():
        lines.append(f'wrk.headers["{name}"] = "{value}"')
    if host:
        # Spelled as wrk does: under another spelling it would send a second one, and a request with two hosts is for no runtime.
        lines.append(f'wrk.headers["Host"] = "{host}"')
    with tempfile.NamedTemporaryFile("w", suffix=".lua", delete=False) as script:
        script.write("\n".join(lines))
    try:
        out = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "--latency", "-s", script.name, url],
            capture_output=True, text=True, timeout=seconds + 60, check=True,
        ).stdout
    finally:
        os.unlink(script.name)

    def latency(percent):
        found = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s)\s*$", out, re.M)
        return float(found[1]) * UNITS[found[2]] if found else float("nan")

    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    lost = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", out)
    errors = (int(bad[1]) if bad else 0) + (sum(map(int, lost.groups())) if lost else 0)
    return {"rps": float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]), "p50": latency(50), "p99": latency(99), "errors": errors}


def rounds(targets, times=3, **how):
    """Measures each target in turn, `times` times over, so that drift of the machine hits all alike; answers the median run of each."""
    runs = {name: [] for name in targets}
    for _ in range(times):
        for name, target in targets.items():
            runs[name].append(wrk(**{**how, **target}))
    return {name: sorted(seen, key=lambda run: run["rps"])[len(seen) // 2] for name, seen in runs.items()}
