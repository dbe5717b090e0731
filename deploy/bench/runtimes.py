"""What needs a real runtime: starts against `docker run` by hand, one and several at once, and the gateway against nginx in front of the same container."""

import concurrent.futures
import http.client
import os
import re
import socket
import statistics
import subprocess
import threading
import time

from load import line, micros, rounds, same
from parts import RUNTIME_CPUS, RUNTIME_MIB, RUNTIME_PIDS, ask, docker, free_port, nginx, wait_for

# OpenClaw answers some questions only to a client that is not its proxy (RFC 5737: nobody's address).
CLIENT = {"x-forwarded-for": "203.0.113.7"}
GATEWAY = "<the host's address>"
# How often it is looked whether something is ready, and how long that may take: eight that boot at once take turns on few processors.
LOOK, PATIENCE = 0.1, 600


class Runtime:
    """A runtime of the bench's own server that is ready."""

    def __init__(self, loops, seen):
        self.loops, self.ident, self.host = loops, seen["runtime_id"], seen["origin"].split("//")[1]
        self.container = f"{loops.instance}-{self.ident.replace('-', '')}"
        self.address = self.inspect("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")

    def inspect(self, form):
        return docker("inspect", "-f", form, self.container)

    def configuration(self):
        """Its text, with a mark where the host's address in its network stands."""
        with open(self.inspect('{{range .Mounts}}{{if eq .Type "bind"}}{{.Source}}{{end}}{{end}}')) as file:
            return file.read().replace(self.inspect("{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}"), GATEWAY)

    def cookie(self):
        """The session on the runtime's own host, by a one-use ticket as a browser gets it."""
        opened = ask("GET", self.loops.port, f"/open/{self.ident}", headers={"cookie": self.loops.cookie}, host=self.loops.host)
        entered = ask("GET", self.loops.port, opened.headers["location"].split(self.host, 1)[1], host=self.host)
        return entered.headers["set-cookie"].split(";")[0]


class News:
    """The live stream that the page has, which says when to look. To ask all the time would take from those that boot."""

    def __init__(self, loops):
        self.told = threading.Event()
        self.connection = http.client.HTTPConnection("127.0.0.1", loops.port, timeout=PATIENCE)
        self.connection.request("GET", "/events", headers={"host": loops.host, "cookie": loops.cookie, "accept": "text/event-stream"})
        self.answer = self.connection.getresponse()
        if self.answer.status != 200:
            raise SystemExit(f"bench: the live stream answered {self.answer.status}")
        self.socket = self.connection.sock or self.answer.fp.raw._sock
        threading.Thread(target=self.hear, daemon=True).start()

    def hear(self):
        try:
            while line := self.answer.readline():
                if line.startswith(b"data:"):
                    self.told.set()
        except (OSError, ValueError, http.client.HTTPException):
            pass

    def wait(self):
        """Until something changed, or for a second: what was missed is seen then."""
        self.told.wait(1)
        self.told.clear()

    def end(self):
        # Another thread reads from it, and would be waited for by a close.
        self.socket.shutdown(socket.SHUT_RDWR)


def start_through(loops, count):
    """Presses the button for so many at once. The runtimes, and the seconds that each took from then until it was ready, shortest first."""
    news = News(loops)
    began, took = time.monotonic(), {}
    with concurrent.futures.ThreadPoolExecutor(count) as people:
        list(people.map(lambda number: loops.call("create-runtime", name=f"bench {number}"), range(count)))
    while len(took) < count:
        news.wait()
        seen = loops.call("my-runtimes")
        for runtime in seen:
            if runtime["phase"] == "failed" or time.monotonic() - began > PATIENCE:
                raise SystemExit(f"bench: a runtime is {runtime['phase']}: {runtime.get('problem')}")
            if runtime["phase"] == "ready":
                took.setdefault(runtime["runtime_id"], time.monotonic() - began)
        time.sleep(LOOK)
    news.end()
    return [Runtime(loops, runtime) for runtime in seen], sorted(took.values())


def start_by_hand(image, configuration, name, folder):
    """`docker run` with the same walls, limits and configuration, until OpenClaw says that it is ready; in seconds."""
    config, began = os.path.join(folder, f"{name}.json"), time.monotonic()
    docker("network", "create", "--internal", "-o", "com.docker.network.bridge.enable_icc=false", name)
    with open(config, "w") as file:
        # It trusts the host at this address, and nobody else.
        file.write(configuration.replace(GATEWAY, docker("network", "inspect", "-f", "{{range .IPAM.Config}}{{.Gateway}}{{end}}", name)))
    os.chmod(config, 0o644)
    docker("run", "-d", "--name", name, "--hostname", name, "--network", name, "--memory", f"{RUNTIME_MIB}m", "--memory-swap", f"{RUNTIME_MIB}m",
           "--cpus", str(RUNTIME_CPUS), "--pids-limit", str(RUNTIME_PIDS), "--init", "--read-only", "--tmpfs", "/tmp:rw,nosuid,nodev,size=256m",
           "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", "1000:1000", "-v", f"{name}:/home/claw/.openclaw",
           "-v", f"{config}:/etc/clawloops/openclaw.json:ro", image)
    address = docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name)
    headers = {**CLIENT, "x-forwarded-host": "clawloops.internal", "x-forwarded-proto": "http"}
    while time.monotonic() - began < PATIENCE:
        try:
            if ask("GET", 18789, "/readyz", headers=headers, at=address, patience=2).status == 200:
                return time.monotonic() - began
        except OSError:
            pass
        time.sleep(LOOK)
    raise SystemExit(f"bench: the container by hand was not ready in {PATIENCE} s")


def starts_by_hand(image, configuration, instance, folder, count):
    """So many at once, all of which stay until the last one is ready; the seconds that each took, shortest first."""
    names = [f"{instance}-hand-{number}" for number in range(count)]
    try:
        with concurrent.futures.ThreadPoolExecutor(count) as hands:
            return sorted(hands.map(lambda name: start_by_hand(image, configuration, name, folder), names))
    finally:
        for name in names:
            for words in (["rm", "-f", name], ["volume", "rm", name], ["network", "rm", name]):
                subprocess.run(["docker", *words], capture_output=True)


def measure(loops, folder, seconds, starts):
    """Starts of one take turns, and the first of each is not counted: it reads the image from the disk for all that follow. Answers the configuration."""
    image = os.environ["CLAWLOOPS_RUNTIME_IMAGE"]
    through, hand = [], []
    for turn in range(starts + 1):
        (runtime,), took = start_through(loops, 1)
        configuration = runtime.configuration()
        if turn == 0:
            gateway(loops, runtime, folder, seconds)
        else:
            through += took
        loops.delete_all()
        took = starts_by_hand(image, configuration, loops.instance, folder, 1)
        if turn > 0:
            hand += took
    compare("start to ready", through, hand, "aim: at most 0.5 s")
    return configuration


def measure_together(loops, configuration, folder, count, turns):
    """Starts of several at once take turns, through ClawLoops first or last. The runtimes of the last turn stay, and are answered."""
    image, through, hand = os.environ["CLAWLOOPS_RUNTIME_IMAGE"], [], []
    for turn in range(turns):
        ours_last = (turns - turn) % 2 == 1
        if ours_last:
            hand.append(starts_by_hand(image, configuration, loops.instance, folder, count))
        runtimes, took = start_through(loops, count)
        through.append(took)
        if turn < turns - 1:
            loops.delete_all()
        if not ours_last:
            hand.append(starts_by_hand(image, configuration, loops.instance, folder, count))
    compare(f"{count} starts at once, the last", [took[-1] for took in through], [took[-1] for took in hand], "aim: at most 0.5 s")
    compare(f"{count} starts at once, each", sum(through, []), sum(hand, []), "aim: at most 0.5 s")
    return runtimes


def compare(label, through, hand, aim):
    ours, theirs = statistics.median(through), statistics.median(hand)
    line(label, f"{ours / theirs:.2f} × docker run by hand, {ours - theirs:+.1f} s ({aim})")
    for name, seen in (("clawloops", through), ("by hand", hand)):
        line(f"  {name}", f"{statistics.median(seen):.1f} s ({', '.join(f'{one:.1f}' for one in sorted(seen))})")


def largest_script(address):
    """Of those that the runtime's page names."""
    page = ask("GET", 18789, "/", headers=CLIENT, at=address).body.decode()
    paths = re.findall(r'(?:src|href)="\.?(/[^"]+\.js)"', page)
    if not paths:
        raise SystemExit("bench: the runtime's page names no script")
    return max(paths, key=lambda path: len(ask("GET", 18789, path, headers=CLIENT, at=address).body))


def gateway(loops, runtime, folder, seconds):
    """A short answer and a long one of the runtime, directly, through the gateway with its session checked, and through nginx."""
    peer, other = free_port(), os.path.join(folder, "peer")
    os.makedirs(other, exist_ok=True)
    child = nginx(other, free_port(), peer, f"{runtime.address}:18789")
    try:
        wait_for(peer, "/healthz")
        cookie = runtime.cookie()
        for path in ("/healthz", largest_script(runtime.address)):
            targets = {
                "direct": {"url": f"http://{runtime.address}:18789{path}", "headers": CLIENT},
                "gateway": {"url": f"http://127.0.0.1:{loops.port}{path}", "host": runtime.host, "headers": {"cookie": cookie}},
                "nginx": {"url": f"http://127.0.0.1:{peer}{path}", "headers": CLIENT},
            }
            size = same(targets)
            seen = rounds(targets, connections=8, seconds=seconds)
            line(f"gateway, answer of {size} bytes", f"{seen['gateway']['rps'] / seen['nginx']['rps']:.2f} × nginx proxy_pass, which checks no session; "
                 f"{micros(seen['gateway']['p50'] - seen['direct']['p50'])} over direct at the median, nginx {micros(seen['nginx']['p50'] - seen['direct']['p50'])}")
            for name, run in seen.items():
                line(f"  {name}", f"{run['rps']:.0f} requests/s, {micros(run['p50'])} median, {micros(run['p99'])} p99, errors {run['errors']}")
    finally:
        child.stop()
