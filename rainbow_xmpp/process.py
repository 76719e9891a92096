"""Settings of the process itself, some of them worth more than any choice of library."""

import ctypes
import gc
import resource
from pathlib import Path

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_MIB = 1 << 20


def tune_allocator() -> bool:
    """Let glibc keep blocks of up to 32 MiB on its heap; to be called first thing in the process.

    asyncio and aiofastnet read into a new block of 256 KiB each time. As shipped, glibc fetches one of that
    size from the kernel and gives it back at once, which costs 20 µs for each read. Returns False where
    the C library is another one, which has no such setting.
    """
    try:
        libc = ctypes.CDLL(None)
        _ = libc.gnu_get_libc_version
        mallopt = libc.mallopt
    except (OSError, AttributeError):
        return False
    mallopt.argtypes = (ctypes.c_int, ctypes.c_int)
    return bool(mallopt(_M_MMAP_THRESHOLD, 32 * _MIB) and mallopt(_M_TRIM_THRESHOLD, 64 * _MIB))


def raise_file_limit() -> int:
    """Allow as many open files, and so connections, as the system lets this process have; returns how many.

    The usual soft limit of 1,024 is there for programs that still use `select`.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):
            return soft  # some systems name a hard limit that they do not grant
    return hard


def tune_gc() -> None:
    """Take what exists now out of garbage collection and collect more seldom; to be called when started.

    With 10,000 sessions a full collection stops everybody for 15 ms; hardly any cycles arise meanwhile.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def usage() -> dict[str, float]:
    """CPU time in seconds, resident memory in bytes, open files and how many there may be; without /proc only CPU."""
    spent = resource.getrusage(resource.RUSAGE_SELF)
    found: dict[str, float] = {"cpu_s": spent.ru_utime + spent.ru_stime}
    try:
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
        found |= {"memory_bytes": resident, "open_files": _open_files()}
    except (OSError, ValueError, IndexError):
        return found
    return found | {"most_files": resource.getrlimit(resource.RLIMIT_NOFILE)[0]}


def _open_files() -> int:
    """Newer kernels tell it at once; older ones have them listed."""
    folder = Path("/proc/self/fd")
    return folder.stat().st_size or sum(1 for _ in folder.iterdir())
