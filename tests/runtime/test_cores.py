"""Cores are counted by affinity and by the quota of the cgroup, of either version."""

import os

import pytest

from earbit.runtime import cores, doctor


@pytest.fixture
def affinity(monkeypatch):
    monkeypatch.setattr(cores, "affinity_cores", lambda: 8)


def machine(root, cgroup, files):
    """A root with that /proc/self/cgroup and these files below /sys/fs/cgroup."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(cgroup)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


V1 = "5:cpuset:/\n4:cpu,cpuacct:/box\n1:name=systemd:/x\n"


@pytest.mark.parametrize(
    ("cgroup", "files", "quota", "n_cores"),
    [
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2.0, 2),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5, 2),
        ("0::/\n", {"cpu.max": "10000 100000\n"}, 0.1, 1),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None, 8),
        ("0::/\n", {"cpu.max": "1600000 100000\n"}, 16.0, 8),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "300000 100000\n"}, 3.0, 3),
        ("0::/a/b\n", {"a/b/cpu.max": "100000 50000\n", "a/cpu.max": "300000 50000\n"}, 2.0, 2),
        # The path of the host, seen from within a container.
        ("0::/docker/1234\n", {"cpu.max": "400000 100000\n"}, 4.0, 4),
        (
            V1,
            {
                "cpu,cpuacct/box/cpu.cfs_quota_us": "250000\n",
                "cpu,cpuacct/box/cpu.cfs_period_us": "100000\n",
                "cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
                "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            2.5,
            3,
        ),
        (V1, {"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "50000\n"}, 1.0, 1),
        (V1, {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None, 8),
        (V1, {"cpuset/cpu.cfs_quota_us": "100\n", "cpuset/cpu.cfs_period_us": "100\n"}, None, 8),
        # Both versions side by side: the CPU is limited by the first.
        (
            "3:cpu:/\n0::/\n",
            {
                "cpu/cpu.cfs_quota_us": "300000\n",
                "cpu/cpu.cfs_period_us": "100000\n",
                "unified/cgroup.procs": "1\n",
            },
            3.0,
            3,
        ),
        ("0::/\n", {"cpu.max": "nonsense\n"}, None, 8),
        ("0::/\n", {"cpu.max": "0 0\n"}, None, 8),
        ("damaged", {}, None, 8),
        ("", {}, None, 8),
    ],
)
def test_the_quota_of_a_cgroup_bounds_the_cores(tmp_path, affinity, cgroup, files, quota, n_cores):
    root = machine(tmp_path, cgroup, files)
    assert cores.cpu_quota(root) == quota
    assert cores.usable_cores(root) == n_cores


def test_a_system_without_proc_has_no_quota(tmp_path, affinity):
    assert cores.cpu_quota(tmp_path) is None
    assert cores.usable_cores(tmp_path) == 8


def test_cores_without_a_quota_are_those_of_the_affinity(tmp_path):
    assert cores.usable_cores(tmp_path) == len(os.sched_getaffinity(0))


def test_the_doctor_names_both_limits_and_advises_the_smaller(monkeypatch):
    monkeypatch.setattr(doctor, "usable_cores", lambda: 2)
    monkeypatch.setattr(doctor, "affinity_cores", lambda: 64)
    monkeypatch.setattr(doctor, "cpu_quota", lambda: 1.5)
    found = doctor.examine()
    said = doctor.render_doctor(found)
    assert "2 cores (cgroup quota 1.5, affinity 64) may be used" in said
    assert "threads=2" in said
    assert (found["cores"], found["affinity_cores"], found["cpu_quota"]) == (2, 64, 1.5)
    monkeypatch.setattr(doctor, "cpu_quota", lambda: None)
    assert "threads    2 cores may be used" in doctor.render_doctor(doctor.examine())
