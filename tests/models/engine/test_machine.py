"""Cores and memory, within what a container may use."""

import os

import pytest

from thinkgraph.models.engine.machine import available_memory, available_threads, cpu_quota


@pytest.fixture
def machine(tmp_path):
    def write(**files):
        for name, text in files.items():
            path = tmp_path / name.replace("_S_", "/").replace("__", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


def test_without_a_container_nothing_is_limited(machine):
    root = machine(proc_S_self_S_cgroup="0::/\n")
    assert cpu_quota(root) is None
    assert available_threads(root) >= 1
    assert available_memory(root) is None


def test_a_quota_of_version_2_holds_also_of_a_group_above(machine):
    root = machine(
        proc_S_self_S_cgroup="0::/pod/box\n",
        sys_S_fs_S_cgroup_S_pod_S_cpu__max="150000 100000\n",
        sys_S_fs_S_cgroup_S_pod_S_box_S_cpu__max="max 100000\n",
    )
    assert cpu_quota(root) == 1.5
    assert available_threads(root) <= 2


def test_a_quota_of_version_1(machine):
    root = machine(
        proc_S_self_S_cgroup="3:cpu,cpuacct:/docker/abc\n2:memory:/docker/abc\n",
        sys_S_fs_S_cgroup_S_cpu_S_cpu__cfs_quota_us="50000\n",
        sys_S_fs_S_cgroup_S_cpu_S_cpu__cfs_period_us="100000\n",
    )
    assert cpu_quota(root) == 0.5
    assert available_threads(root) == 1


@pytest.mark.parametrize(
    ("cpus", "threads"),
    [
        (range(8), 4),  # two threads of each core
        (range(4), 4),  # one of each, as by taskset
        ([0, 1, 4], 2),
        ([0, 4], 2),  # a virtual machine of one core: there is nothing else to use
        ([0], 1),
    ],
)
def test_a_thread_for_each_core_that_may_be_used(machine, monkeypatch, cpus, threads):
    for cpu in range(8):
        siblings = f"{cpu % 4},{cpu % 4 + 4}\n"
        name = f"sys_S_devices_S_system_S_cpu_S_cpu{cpu}_S_topology_S_thread_siblings_list"
        root = machine(**{name: siblings})
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(cpus), raising=False)
    assert available_threads(root) == threads


def test_every_cpu_counts_where_nothing_is_known_of_cores(machine, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    assert available_threads(machine()) == 6


def test_memory_is_what_the_container_has_left(machine):
    root = machine(
        proc_S_self_S_cgroup="0::/\n",
        proc_S_meminfo="MemTotal: 100 kB\nMemAvailable:    8000000 kB\n",
        sys_S_fs_S_cgroup_S_memory__max="4000000000\n",
        sys_S_fs_S_cgroup_S_memory__current="3000000000\n",
        sys_S_fs_S_cgroup_S_memory__stat="anon 1\ninactive_file 500000000\n",
    )
    assert available_memory(root) == 1_500_000_000


@pytest.mark.parametrize("text", ["", "max", "x y", "100000 0"])
def test_a_strange_quota_is_none(machine, text):
    root = machine(proc_S_self_S_cgroup="0::/\n", sys_S_fs_S_cgroup_S_cpu__max=text)
    assert cpu_quota(root) is None
