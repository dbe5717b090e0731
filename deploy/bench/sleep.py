"""What a runtime costs asleep against awake, as the kernel counts it, and how long it takes to wake."""

import os
import re
import statistics
import time

from load import line
from parts import ask

# What boots has things to do for a while after it is ready.
SETTLE = 60
# Without use for a minute, the shortest that may be chosen, it is asked whether it may sleep; one that still has something to do is asked again later.
ASLEEP_WITHIN = 600


class Control:
    """The control group of a container: of one hierarchy (version 2), or of several (version 1)."""

    def __init__(self, runtime):
        with open(f"/proc/{runtime.inspect('{{.State.Pid}}')}/cgroup") as file:
            paths = {kind: path for _, kinds, path in (entry.strip().split(":", 2) for entry in file) for kind in kinds.split(",")}
        self.second = "memory" not in paths
        self.processor = "/sys/fs/cgroup" + (paths[""] if self.second else f"/cpuacct{paths['cpuacct']}")
        self.memory = "/sys/fs/cgroup" + (paths[""] if self.second else f"/memory{paths['memory']}")

    @staticmethod
    def read(folder, name, field=None):
        with open(os.path.join(folder, name)) as file:
            text = file.read()
        return int(re.search(rf"^{field} (\d+)$", text, re.M)[1] if field else text)

    def seconds(self):
        """Processor time so far."""
        if self.second:
            return self.read(self.processor, "cpu.stat", "usage_usec") / 1e6
        return self.read(self.processor, "cpuacct.usage") / 1e9

    def mib(self):
        """Memory now, without files that are only cached: as `docker stats` counts it."""
        name, cached = ("memory.current", "inactive_file") if self.second else ("memory.usage_in_bytes", "total_inactive_file")
        return (self.read(self.memory, name) - self.read(self.memory, "memory.stat", cached)) / 2**20


def cost(controls, seconds):
    """Of one runtime, on the average: the share of a core in percent, and MiB."""
    before, began = [control.seconds() for control in controls], time.monotonic()
    time.sleep(seconds)
    spent = sum(control.seconds() - was for control, was in zip(controls, before))
    return spent / (time.monotonic() - began) / len(controls) * 100, statistics.mean(control.mib() for control in controls)


def measure(loops, runtimes, seconds):
    """Awake and idle, asleep, and woken one after the other by a request to its host."""
    controls, cookies = [Control(runtime) for runtime in runtimes], [runtime.cookie() for runtime in runtimes]
    time.sleep(SETTLE)
    awake = cost(controls, seconds)
    for runtime in runtimes:
        loops.call("choose-sleep", runtime_id=runtime.ident, minutes="1")
    end = time.monotonic() + ASLEEP_WITHIN
    while any(seen["phase"] != "asleep" for seen in loops.call("my-runtimes")) or any(runtime.inspect("{{.State.Status}}") != "paused" for runtime in runtimes):
        if time.monotonic() > end:
            raise SystemExit(f"bench: not all runtimes fall asleep: {[seen['phase'] for seen in loops.call('my-runtimes')]}")
        time.sleep(1)
    asleep = cost(controls, seconds)
    woken = []
    for runtime, cookie in zip(runtimes, cookies):
        began = time.monotonic()
        answer = ask("GET", loops.port, "/healthz", headers={"cookie": cookie}, host=runtime.host)
        woken.append((time.monotonic() - began) * 1000)
        if answer.status != 200:
            raise SystemExit(f"bench: a runtime that was woken answers {answer.status}: {answer.body[:200]!r}")
    line("asleep against awake", f"{asleep[0] / awake[0]:.3f} × the processor time, {asleep[1] / awake[1]:.2f} × the memory")
    for name, (share, mib) in (("awake and idle", awake), ("frozen", asleep)):
        line(f"  {name}", f"{share:.2f} % of a core, {mib:.0f} MiB each ({len(runtimes)} runtimes)")
    line("wake from frozen", f"{statistics.median(woken):.0f} ms median, {max(woken):.0f} ms longest of {len(woken)} (aim: under 1 s)")
