from pathlib import Path

import pytest

from service.workers.cpus import Plan, available, cgroup_quota, choose, plan


def machine(root: Path, cgroup: str, files: dict[str, str]) -> Path:
    """A directory that looks like the root of a machine with these cgroup files."""
    for name, content in {"proc/self/cgroup": cgroup, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


@pytest.mark.parametrize(
    ("cgroup", "files", "quota"),
    [
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        (
            "0::/kube/pod\n",
            {
                "sys/fs/cgroup/kube/pod/cpu.max": "max 100000\n",
                "sys/fs/cgroup/kube/cpu.max": "400000 100000\n",
            },
            4,
        ),
        ("0::/on/the/host\n", {"sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
        ("0::/../other\n", {"sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
        (
            "4:memory:/a\n3:cpuacct,cpu:/docker/1\n0::/\n",
            {
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/cpu/docker/1/cpu.cfs_quota_us": "50000\n",
                "sys/fs/cgroup/cpu/docker/1/cpu.cfs_period_us": "100000\n",
            },
            0.5,
        ),
        ("3:cpuset:/\n", {}, None),
    ],
)
def test_the_smallest_quota_of_a_cgroup_and_its_ancestors(
    tmp_path: Path, cgroup: str, files: dict[str, str], quota: float | None
) -> None:
    assert cgroup_quota(machine(tmp_path, cgroup, files)) == quota


def test_no_cgroups_no_quota(tmp_path: Path) -> None:
    assert cgroup_quota(tmp_path) is None


def test_the_smaller_of_affinity_and_quota_counts_and_says_why() -> None:
    assert choose(8, None).count == 8
    assert choose(2, 4.0).count == 2
    assert choose(64, 2.5).count == 2
    assert choose(64, 0.5).count == 1
    assert choose(64, 2.5).reason == "the cgroup's quota is 2.5, of 64 by affinity"


def test_this_machine_has_a_cpu() -> None:
    assert available().count >= 1


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((0, 0), Plan(8, 1)),
        ((0, 2), Plan(4, 2)),
        ((0, 16), Plan(1, 16)),
        ((2, 0), Plan(2, 4)),
        ((16, 0), Plan(16, 1)),
        ((3, 5), Plan(3, 5)),
    ],
)
def test_what_is_left_open_is_filled_from_eight_cpus(
    given: tuple[int, int], expected: Plan
) -> None:
    assert plan(*given, cpus=8) == expected
