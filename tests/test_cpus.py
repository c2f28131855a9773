"""How many workers there are where nobody says: what the scheduler and the quotas of cgroups leave, as files say it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from gateway.cpus import MOST_WORKERS, available_cpus

V2: Final = {"proc/self/cgroup": "0::/\n"}
V1: Final = {"proc/self/cgroup": "12:memory:/docker/ab\n4:cpu,cpuacct:/docker/ab\n0::/\n"}
SLICE: Final = {"proc/self/cgroup": "0::/system.slice/gateway.service\n"}
GROUPS: Final = "sys/fs/cgroup"


def quota_v1(place: str, quota: str, period: str = "100000\n") -> Mapping[str, str]:
    return {f"{place}/cpu.cfs_quota_us": quota, f"{place}/cpu.cfs_period_us": period}


@pytest.mark.parametrize(
    ("files", "allowed", "expected"),
    [
        pytest.param({}, 4, 4, id="no-cgroups"),
        pytest.param({}, 0, 1, id="never-none"),
        pytest.param(V2, 4, 4, id="v2-top-without-file"),
        pytest.param({**V2, f"{GROUPS}/cpu.max": "max 100000\n"}, 4, 4, id="v2-without-quota"),
        pytest.param({**V2, f"{GROUPS}/cpu.max": "200000 100000\n"}, 16, 2, id="v2-quota"),
        pytest.param({**V2, f"{GROUPS}/cpu.max": "150000 100000\n"}, 16, 2, id="v2-part-of-one-more"),
        pytest.param({**V2, f"{GROUPS}/cpu.max": "10000 100000\n"}, 16, 1, id="v2-a-tenth"),
        pytest.param({**V2, f"{GROUPS}/cpu.max": "800000 100000\n"}, 3, 3, id="v2-more-than-there-are"),
        pytest.param({**V2, f"{GROUPS}/cpu.max": "100000\n"}, 4, 4, id="v2-one-word"),
        pytest.param({**V2, f"{GROUPS}/cpu.max": "many 100000\n"}, 4, 4, id="v2-no-number"),
        pytest.param({**V2, f"{GROUPS}/cpu.max": "200000 0\n"}, 4, 4, id="v2-no-period"),
        pytest.param({**V2, f"{GROUPS}/cpu.max": "\u0662 \u0661\n"}, 4, 4, id="v2-other-digits"),
        pytest.param(
            {**SLICE, f"{GROUPS}/system.slice/gateway.service/cpu.max": "300000 100000\n"}, 16, 3, id="v2-own-group"
        ),
        pytest.param(
            {
                **SLICE,
                f"{GROUPS}/system.slice/gateway.service/cpu.max": "300000 100000\n",
                f"{GROUPS}/system.slice/cpu.max": "100000 100000\n",
            },
            16,
            1,
            id="v2-the-group-around-it-has-less",
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/../../pod\n", f"{GROUPS}/cpu.max": "200000 100000\n", "cpu.max": "1 1\n"},
            16,
            2,
            id="v2-path-outside-what-is-mounted",
        ),
        pytest.param({**V1, **quota_v1(f"{GROUPS}/cpu,cpuacct", "200000\n")}, 16, 2, id="v1-as-containers-see-it"),
        pytest.param({**V1, **quota_v1(f"{GROUPS}/cpu/docker/ab", "300000\n")}, 16, 3, id="v1-as-machines-see-it"),
        pytest.param({**V1, **quota_v1(f"{GROUPS}/cpu", "-1\n")}, 4, 4, id="v1-without-quota"),
        pytest.param({**V1, **quota_v1(f"{GROUPS}/cpu", "200000\n", "")}, 4, 4, id="v1-no-period"),
        pytest.param({**V1, **quota_v1(f"{GROUPS}/memory", "100000\n")}, 4, 4, id="v1-of-another-controller"),
    ],
)
def test_what_is_left_of_the_processors(files: Mapping[str, str], allowed: int, expected: int, tmp_path: Path) -> None:
    for name, text in files.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert available_cpus(tmp_path / "root", allowed) == expected


def workers(environ: Mapping[str, str], run: str = "") -> int:
    clean = {name: value for name, value in os.environ.items() if name != "WEB_CONCURRENCY"}
    code = f"import os; {run}\nfrom gateway.gunicorn_conf import workers; print(workers)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=clean | dict(environ), capture_output=True, text=True, check=True, timeout=60
    )
    return int(done.stdout)


ONE_PROCESSOR: Final = "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})"


@pytest.mark.parametrize(
    ("environ", "run", "expected"),
    [
        pytest.param({"WEB_CONCURRENCY": "5"}, "", {5}, id="said"),
        pytest.param({}, ONE_PROCESSOR, {1}, id="held-to-one-processor"),
        pytest.param({"WEB_CONCURRENCY": ""}, ONE_PROCESSOR, {1}, id="empty-is-unsaid"),
        pytest.param({}, "os.sched_getaffinity = lambda _: range(64)", set(range(1, MOST_WORKERS + 1)), id="bounded"),
    ],
)
def test_what_gunicorn_is_told(environ: Mapping[str, str], run: str, expected: set[int]) -> None:
    assert workers(environ, run) in expected
