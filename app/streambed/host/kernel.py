"""Ask the kernel for what beds and links need by doing it, in a throw-away network namespace.

Configuration files tell what was built, not what loads here; a container's host may have neither.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from streambed.host.finding import Finding, State


@dataclass(frozen=True)
class Feature:
    """One ability of the kernel: the module that brings it, and commands that need it."""

    name: str
    module: str
    commands: tuple[str, ...]
    """Run in order, in a namespace of their own; the ability is there when all succeed."""


_PAIR = "ip link add sb0 type veth peer name sb1"
_HTB = "tc qdisc add dev sb0 root handle 1: htb default 10"
_INGRESS = "tc qdisc add dev sb0 handle ffff: ingress"
_MATCH = "protocol ip prio 1 u32 match ip dst 192.0.2.1"

FEATURES = (
    Feature("veth", "veth", (_PAIR,)),
    Feature("bridge", "bridge", ("ip link add sbbr type bridge",)),
    Feature("ifb", "ifb", ("ip link add sbifb type ifb",)),
    Feature(
        "htb",
        "sch_htb",
        (_PAIR, _HTB, "tc class add dev sb0 parent 1: classid 1:10 htb rate 10mbit"),
    ),
    Feature(
        "tbf",
        "sch_tbf",
        (_PAIR, "tc qdisc add dev sb0 root tbf rate 10mbit burst 15kb limit 65536"),
    ),
    Feature(
        "cubic",
        "tcp_cubic",
        ("ip link set lo up", "ip route add 192.0.2.0/24 dev lo congctl cubic"),
    ),
    Feature("ingress", "sch_ingress", (_PAIR, _INGRESS)),
    Feature(
        "u32",
        "cls_u32",
        (_PAIR, _HTB, f"tc filter add dev sb0 parent 1: {_MATCH} flowid 1:10"),
    ),
    Feature(
        "mirred",
        "act_mirred",
        (
            _PAIR,
            _INGRESS,
            f"tc filter add dev sb0 parent ffff: {_MATCH} action mirred egress redirect dev sb1",
        ),
    ),
    Feature("nf_tables", "nf_tables", ("nft add table inet streambed",)),
    Feature("iptables nat", "iptable_nat", ("iptables --wait --table nat --list --numeric",)),
)


def render_script(features: Sequence[Feature]) -> str:
    """A shell script that tries each feature and prints `name<TAB>ok` or `name<TAB>reason`."""
    lines = []
    for feature in features:
        body = " && ".join(feature.commands)
        inner = f"exec unshare --net sh -c '{body}' 2>&1 >/dev/null"
        lines.append(
            f"if reason=$({inner}); then reason=ok; fi; "
            f"printf '%s\\t%s\\n' '{feature.name}' \"$(printf %s \"$reason\" | tail -n 1)\""
        )
    return "\n".join(lines)


def parse_answers(output: str) -> dict[str, str]:
    """What `render_script` printed: "ok" or the kernel's words, per feature."""
    return dict(line.split("\t", 1) for line in output.splitlines() if "\t" in line)


def judge(features: Sequence[Feature], answers: Mapping[str, str] | None) -> list[Finding]:
    """One finding per feature; `answers` is None when there was no right to ask."""
    if answers is None:
        names = ", ".join(feature.name for feature in features)
        return [Finding("kernel", names, "needs root to ask", State.UNKNOWN)]
    findings = []
    for feature in features:
        name, need = f"kernel: {feature.name}", f"module {feature.module}"
        if (answer := answers.get(feature.name, "no answer")) == "ok":
            findings.append(Finding(name, need, "works", State.OK))
        else:
            findings.append(
                Finding(
                    name,
                    need,
                    f"{feature.module}: {answer.strip()}",
                    State.MISSING,
                    f"modprobe {feature.module} (Ubuntu: apt-get install "
                    "linux-modules-extra-$(uname -r); a container: on its host)",
                )
            )
    return findings
