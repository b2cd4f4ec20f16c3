import json

import pytest

from streambed.host import cache, capacity, cgroups, containers, doctor, kernel, packages
from streambed.host.capacity import Demand, Machine
from streambed.host.finding import Finding, State

GIB = 1024**3
DUO = Demand("duo", cores=0.4 + 1.6, memory_bytes=11 * GIB, nodes=2)
WIDE = Demand("wide", cores=8, memory_bytes=40 * GIB, nodes=7)


def _all_work() -> dict[str, str]:
    return {feature.name: "ok" for feature in kernel.FEATURES}


def test_a_kernel_that_does_everything_has_nothing_to_mend() -> None:
    findings = kernel.judge(kernel.FEATURES, _all_work())
    assert {one.state for one in findings} == {State.OK}


@pytest.mark.parametrize("feature", kernel.FEATURES, ids=lambda f: f.name)
def test_a_missing_module_is_named_with_the_command_that_loads_it(feature: kernel.Feature) -> None:
    answers = _all_work() | {feature.name: "Error: Specified qdisc kind is unknown."}
    findings = kernel.judge(kernel.FEATURES, answers)
    (bad,) = [one for one in findings if one.state is State.MISSING]
    assert feature.module in bad.found
    assert f"modprobe {feature.module}" in bad.mend
    assert doctor.exit_status(findings) == 1


def test_a_feature_without_an_answer_counts_as_missing() -> None:
    assert doctor.exit_status(kernel.judge(kernel.FEATURES, {})) == 1


def test_without_root_the_kernel_is_unknown_and_not_fine() -> None:
    findings = kernel.judge(kernel.FEATURES, None)
    assert {one.state for one in findings} == {State.UNKNOWN}
    assert doctor.exit_status(findings) == 1


def test_answers_are_read_line_by_line() -> None:
    output = "htb\tok\nifb\tRTNETLINK answers: Operation not supported\n"
    assert kernel.parse_answers(output) == {
        "htb": "ok",
        "ifb": "RTNETLINK answers: Operation not supported",
    }


def test_quotas_in_tenths_fit_two_cores() -> None:
    (finding,) = capacity.judge([DUO], Machine(2, 12 * GIB, 20 * GIB))
    assert finding.state is State.OK


@pytest.mark.parametrize(
    ("machine", "lacking"),
    [
        (Machine(1, 64 * GIB, 99 * GIB), "cores"),
        (Machine(4, 8 * GIB, 99 * GIB), "memory"),
        (Machine(4, 64 * GIB, 2 * GIB), "disk"),
    ],
)
def test_a_bed_that_does_not_fit_says_what_is_too_little(machine: Machine, lacking: str) -> None:
    (finding,) = capacity.judge([DUO], machine)
    assert finding.state is State.MISSING
    assert finding.found.endswith(f"too little {lacking}")


def test_only_the_default_bed_is_needed() -> None:
    findings = capacity.judge([DUO, WIDE], Machine(2, 12 * GIB, 20 * GIB))
    assert [one.state for one in findings] == [State.OK, State.NOTE]
    assert doctor.exit_status(findings) == 0


def test_the_unified_hierarchy_is_fine() -> None:
    layout = cgroups.parse(["cgroup2 /sys/fs/cgroup cgroup2 rw 0 0"], "cpuset cpu memory pids")
    assert cgroups.judge(layout).state is State.OK


def test_a_hybrid_hierarchy_works_and_is_noted() -> None:
    mounts = [
        "tmpfs /sys/fs/cgroup tmpfs rw 0 0",
        "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu,cpuacct 0 0",
        "cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0",
        "cgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0",
    ]
    assert cgroups.judge(cgroups.parse(mounts, "")).state is State.NOTE
    without_systemd = cgroups.judge(cgroups.parse(mounts[:-1], ""))
    assert without_systemd.state is State.MISSING
    assert "name=systemd" in without_systemd.mend
    without_memory = cgroups.judge(cgroups.parse([mounts[0], mounts[1], mounts[3]], ""))
    assert without_memory.state is State.MISSING
    assert "memory" in without_memory.found


@pytest.mark.parametrize(
    ("version", "state"),
    [("4.3.1", State.OK), ("5.0", State.OK), ("4.2.9", State.MISSING), ("dev", State.MISSING)],
)
def test_podman_is_judged_by_its_version(version: str, state: State) -> None:
    assert containers.judge_podman(version).state is state


def test_missing_packages_are_named_with_the_command_that_installs_them() -> None:
    listed = packages.parse("# comment\n\npodman  podman\nmaven   mvn\n")
    finding = packages.judge(listed, lambda proof: proof != "mvn")
    assert finding.state is State.MISSING
    assert finding.mend == "apt-get install --no-install-recommends maven"


def test_the_package_list_holds_what_beds_are_made_with() -> None:
    names = {one.name for one in packages.parse(packages.LIST.read_text())}
    assert {"podman", "runc", "netavark", "mmdebstrap", "maven", "python3-venv"} <= names


def test_a_proof_may_be_a_command_or_a_glob() -> None:
    assert packages.is_there("sh")
    assert packages.is_there("/bin/s*")
    assert not packages.is_there("no-such-command")
    assert not packages.is_there("/no/such/*")


def test_the_cache_needs_room_only_for_what_is_missing() -> None:
    assert cache.judge({}, 0, "/c").state is State.OK
    assert cache.judge({"kafka": 10**6}, 10**9, "/c").state is State.NOTE
    assert cache.judge({"kafka": 10**6}, 10**6, "/c").state is State.MISSING


def test_an_old_python_is_refused() -> None:
    assert doctor.judge_python((3, 10, 9)).state is State.MISSING


def test_the_summary_says_what_is_missing() -> None:
    missing = Finding("podman", "podman", "not there", State.MISSING)
    assert "podman" in doctor.summary([missing])
    assert doctor.summary([]) == "This machine can host a bed."
    assert json.dumps(missing.state) == '"missing"'
