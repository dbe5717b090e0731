"""What needs a real runtime: start to ready against `docker run` by hand, and the gateway against nginx in front of the same container."""

import os
import re
import statistics
import subprocess
import time

from load import line, micros, rounds, same
from parts import ask, docker, free_port, nginx, wait_for

# OpenClaw answers some questions only to a client that is not its proxy (RFC 5737: nobody's address).
CLIENT = {"x-forwarded-for": "203.0.113.7"}
GATEWAY = "<the host's address>"


class Runtime:
    """A runtime of the bench's own server, from the press of the button to its end."""

    def __init__(self, loops):
        self.loops = loops
        began = time.monotonic()
        loops.call("create-runtime", name="bench")
        seen = loops.call("my-runtimes")[0]
        self.ident = seen["runtime_id"]
        while seen["phase"] != "ready":
            if seen["phase"] == "failed" or time.monotonic() - began > 240:
                raise SystemExit(f"bench: the runtime is {seen['phase']}: {seen.get('problem')}")
            time.sleep(0.1)
            seen = loops.call("runtime", runtime_id=self.ident)
        self.took = time.monotonic() - began
        self.host = seen["origin"].split("//")[1]
        self.container = docker("ps", "--filter", f"label=org.clawloops.instance={loops.instance}", "--format", "{{.Names}}").split()[0]
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

    def delete(self):
        self.loops.call("delete-runtime", runtime_id=self.ident, retention="wipe_workspace")
        self.loops.wait_for_none()


def start_by_hand(image, configuration, instance, folder):
    """`docker run` with the same walls, limits and configuration, until OpenClaw says that it is ready; in seconds."""
    name, config = f"{instance}-hand", os.path.join(folder, "openclaw.json")
    began = time.monotonic()
    try:
        docker("network", "create", "--internal", "-o", "com.docker.network.bridge.enable_icc=false", name)
        with open(config, "w") as file:
            # It trusts the host at this address, and nobody else.
            file.write(configuration.replace(GATEWAY, docker("network", "inspect", "-f", "{{range .IPAM.Config}}{{.Gateway}}{{end}}", name)))
        os.chmod(config, 0o644)
        docker("run", "-d", "--name", name, "--hostname", name, "--network", name, "--memory", "2g", "--memory-swap", "2g", "--cpus", "2",
               "--pids-limit", "512", "--init", "--read-only", "--tmpfs", "/tmp:rw,nosuid,nodev,size=256m", "--cap-drop", "ALL",
               "--security-opt", "no-new-privileges", "--user", "1000:1000", "-v", f"{name}:/home/claw/.openclaw",
               "-v", f"{config}:/etc/clawloops/openclaw.json:ro", image)
        address = docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name)
        headers = {**CLIENT, "x-forwarded-host": "clawloops.internal", "x-forwarded-proto": "http"}
        while time.monotonic() - began < 90:
            try:
                if ask("GET", 18789, "/readyz", headers=headers, at=address, patience=2).status == 200:
                    return time.monotonic() - began
            except OSError:
                pass
            time.sleep(0.1)
        raise SystemExit("bench: the container by hand was not ready in 90 s")
    finally:
        for words in (["rm", "-f", name], ["volume", "rm", name], ["network", "rm", name]):
            subprocess.run(["docker", *words], capture_output=True)


def measure(loops, folder, seconds, starts):
    """Starts take turns, and the first of each is not counted: it reads the image from the disk for all that follow."""
    image = os.environ["CLAWLOOPS_RUNTIME_IMAGE"]
    through, hand = [], []
    for turn in range(starts + 1):
        runtime = Runtime(loops)
        configuration = runtime.configuration()
        if turn == 0:
            gateway(loops, runtime, folder, seconds)
        else:
            through.append(runtime.took)
        runtime.delete()
        took = start_by_hand(image, configuration, loops.instance, folder)
        if turn > 0:
            hand.append(took)
    line("start to ready", f"{statistics.median(through) - statistics.median(hand):+.1f} s over docker run by hand")
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
