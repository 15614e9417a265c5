"""The cores and memory of this machine, or of the container that the process runs in."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")


def available_threads(root: Path = ROOT) -> int:
    """Threads that can run at once: one per core that the process may use, within its CPU quota.

    Args:
        root: where ``/proc`` and ``/sys`` are, for tests.
    """
    has_affinity = hasattr(os, "sched_getaffinity")
    cpus = os.sched_getaffinity(0) if has_affinity else set(range(os.cpu_count() or 1))
    cores = len(cpus)
    if cores > 2:  # two threads of one core compute no more than one
        cpu = root / "sys/devices/system/cpu"
        siblings = (_read(cpu / f"cpu{n}/topology/thread_siblings_list") or str(n) for n in cpus)
        cores = len(set(siblings))
    quota = cpu_quota(root)
    return max(1, min(cores, cores if quota is None else math.ceil(quota)))


def cpu_quota(root: Path = ROOT) -> float | None:
    """The CPU quota of the cgroup (version 1 or 2) in cores; None means no limit."""
    quotas = []
    for folder in _cgroups(root, "cpu"):
        quota, _, period = _read(folder / "cpu.max").partition(" ")
        if not period:  # version 1
            quota = _read(folder / "cpu.cfs_quota_us")
            period = _read(folder / "cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit() and int(period):
            quotas.append(int(quota) / int(period))
    return min(quotas, default=None)


def available_memory(root: Path = ROOT) -> int | None:
    """Bytes available without swapping on the machine and in its cgroup; None if unknown."""
    free = []
    for line in _read(root / "proc/meminfo").splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            free.append(int(value.split()[0]) << 10)
    for folder in _cgroups(root, "memory"):
        for limit, used in (
            ("memory.max", "memory.current"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ):
            most, now = _read(folder / limit), _read(folder / used)
            if most.isdigit() and now.isdigit():
                free.append(max(0, int(most) - int(now) + _file_cache(folder)))
    return min(free, default=None)


def _file_cache(folder: Path) -> int:
    """Bytes of a cgroup's file cache that can be reclaimed."""
    for line in _read(folder / "memory.stat").splitlines():
        name, _, value = line.partition(" ")
        if name in ("inactive_file", "total_inactive_file") and value.isdigit():
            return int(value)
    return 0


def _cgroups(root: Path, controller: str) -> Iterator[Path]:
    """The folders of the process's cgroup and of those above it, whose limits apply too."""
    mount = root / "sys/fs/cgroup"
    for line in _read(root / "proc/self/cgroup").splitlines():
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        if number != "0" and controller not in controllers.split(","):
            continue
        # A container may see its own group as the root, whatever path the host knows it by.
        base = mount if number == "0" else mount / controller
        folder = base / path.lstrip("/")
        yield base
        while folder != base and base in folder.parents:
            yield folder
            folder = folder.parent


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, ValueError):
        return ""
