"""Processor time and memory of processes with all their children, as the kernel counts them (proc(5))."""

import os
import re

TICK = os.sysconf("SC_CLK_TCK")


def processes():
    """Of each process: its parent, its command line, and its processor time in seconds."""
    seen = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as stat, open(f"/proc/{name}/cmdline", "rb") as line:
                fields = stat.read().rpartition(")")[2].split()
                seen[int(name)] = (int(fields[1]), line.read().replace(b"\0", b" ").decode(errors="replace"), (int(fields[11]) + int(fields[12])) / TICK)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return seen


def family(pid, beside=None):
    """A process and all below it, and those whose command line has `beside` in it, with all below them; with their processor time."""
    seen = processes()
    members = {one for one, (_, line, _) in seen.items() if one == pid or (beside and beside in line)}
    while True:
        more = {one for one, (parent, _, _) in seen.items() if parent in members} - members
        if not more:
            return {one: seen[one][2] for one in members if one in seen}
        members |= more


def seconds(pid, beside=None):
    """Processor time so far."""
    return sum(family(pid, beside).values())


def resident_kib(pid):
    """Resident memory of one process."""
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1])
