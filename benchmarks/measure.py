"""CPU time and memory of a server, all its processes and threads, as the kernel counts them."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU seconds since the processes began: the scheduler's exact sum, and the split of it by ticks."""

    total_s: float
    user_s: float
    system_s: float

    def since(self, earlier: "Cpu") -> "Cpu":
        """The time used since `earlier`; user and system are scaled so that they add up to the total."""
        total = self.total_s - earlier.total_s
        user, system = self.user_s - earlier.user_s, self.system_s - earlier.system_s
        share = user / (user + system) if user + system > 0 else 0.0
        return Cpu(total, total * share, total * (1 - share))


@dataclass(frozen=True, slots=True)
class Memory:
    """KiB of all processes: resident, and resident with shared pages divided among their users."""

    rss_kib: int
    pss_kib: int


def processes_under(root: int) -> list[int]:
    """`root` and every process that descends from it."""
    parents: dict[int, int] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            fields = _stat_fields(int(entry.name))
            if fields:
                parents[int(entry.name)] = int(fields[1])
    family = [root] if root in parents else []
    for pid in family:
        family += [child for child, parent in parents.items() if parent == pid]
    return family


def cpu_of(root: int) -> Cpu:
    """What the family of `root` has used so far, children that have ended and were waited for included."""
    total = user = system = 0.0
    for pid in processes_under(root):
        fields = _stat_fields(pid)
        if not fields:
            continue
        ended = (int(fields[13]) + int(fields[14])) / TICKS
        total += _exact_seconds(pid) + ended
        user += (int(fields[11]) + int(fields[13])) / TICKS
        system += (int(fields[12]) + int(fields[14])) / TICKS
    return Cpu(total, user, system)


def memory_of(root: int) -> Memory:
    """Resident memory of the family of `root` now."""
    rss = pss = 0
    for pid in processes_under(root):
        try:
            lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        sizes = {line.split(":")[0]: int(line.split()[1]) for line in lines[1:] if line.endswith("kB")}
        rss += sizes.get("Rss", 0)
        pss += sizes.get("Pss", 0)
    return Memory(rss, pss)


def load_average() -> float:
    """Runnable processes over the last minute."""
    return os.getloadavg()[0]


def cpu_model() -> str:
    """The processor's name, so that figures of different machines are not laid side by side."""
    lines = (PROC / "cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def _stat_fields(pid: int) -> list[str]:
    """The fields after the command name (proc(5): index 1 is ppid, 11 to 14 are the CPU times)."""
    try:
        return (PROC / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return []


def _exact_seconds(pid: int) -> float:
    """The process's CPU clock in nanoseconds; clock_getcpuclockid(3) makes its number like this."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0
