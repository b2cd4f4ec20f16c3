#!/usr/bin/python3
"""The link's one owner: renders the shaping commands, and runs them on the client node.

Installed verbatim as `/usr/local/sbin/streambed-link` (standard library only); `plan` imports
the same file, so what is shown is what runs. One HTB class on the interface shapes what goes to
the peers; what comes from them is redirected to an IFB device with a second HTB class. The queue of
each class is a TBF of a rate that never makes a frame wait: of all queues it is the one that takes
apart what another node's segmentation offload left in one piece, or two pieces of 64 KB would fill
it. All other traffic, management included, passes unclassified and unshaped.
"""

import argparse
import contextlib
import fcntl
import ipaddress
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

CONFIG = Path("/etc/streambed/link.json")
SEARCH_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
STATE = Path("/var/lib/streambed-link/state.json")

MIN_RATE_BIT_PER_S = 64_000
MAX_RATE_BIT_PER_S = 100_000_000_000
ETHERNET_HEADER_BYTES = 14
QUEUE_S = 0.05
QUEUE_MIN_PIECES = 64
_UNFELT_RATE_BIT_PER_S = 10**13
"""Of the queue below a class: a frame takes it 1 ns, less than the kernel needs for the next."""
OFFLOADS = {
    "tso": "tcp-segmentation-offload",
    "gso": "generic-segmentation-offload",
    "gro": "generic-receive-offload",
}

# What the kernel must have for a command; named when the command fails.
_MODULES = {
    "htb": "sch_htb",
    "tbf": "sch_tbf",
    "ingress": "sch_ingress",
    "mirred": "act_mirred",
    "u32": "cls_u32",
    "ifb": "ifb",
}

Command = tuple[str, ...]


class LinkError(Exception):
    """A refusal or a failure, in words for the user."""


@dataclass(frozen=True)
class Link:
    """The client's side of the shaped path.

    `peers` are the IPv4 addresses whose traffic is shaped, in both directions and together.
    """

    interface: str
    peers: tuple[str, ...]
    ifb: str = "ifb-streambed"

    def __post_init__(self) -> None:
        for name in (self.interface, self.ifb):
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}", name):
                raise LinkError(f"{name!r} is not the name of an interface")
        if not self.peers:
            raise LinkError("no peers: a link needs at least one address on its other side")
        for peer in self.peers:
            try:
                ipaddress.IPv4Address(peer)
            except ValueError:
                raise LinkError(f"peer {peer!r} is not an IPv4 address") from None


def check_rate(rate_bit_per_s: float) -> int:
    """The rate as a whole number of bit/s, or a LinkError that says what is allowed."""
    if not MIN_RATE_BIT_PER_S <= rate_bit_per_s <= MAX_RATE_BIT_PER_S:
        raise LinkError(
            f"{rate_bit_per_s:g} bit/s cannot be shaped: allowed are "
            f"{MIN_RATE_BIT_PER_S} (64 kbit/s) to {MAX_RATE_BIT_PER_S} bit/s (100 Gbit/s)"
        )
    return round(rate_bit_per_s)


def expected_goodput_bit_per_s(rate_bit_per_s: float, mtu_bytes: int) -> float:
    """TCP payload rate of a link: 52 bytes of IP, TCP and timestamps, 14 of Ethernet a frame."""
    return rate_bit_per_s * (mtu_bytes - 52) / (mtu_bytes + ETHERNET_HEADER_BYTES)


def burst_bytes(rate_bit_per_s: int) -> int:
    """15 kB or 1 ms of the rate, whichever is more: less would not sustain the rate."""
    return max(15_000, rate_bit_per_s // 8 // 1000)


def queue_bytes(rate_bit_per_s: int, mtu_bytes: int) -> int:
    """50 ms of the rate, at least 64 frames: no deeper, or the queue becomes the latency."""
    frame = mtu_bytes + ETHERNET_HEADER_BYTES
    return max(QUEUE_MIN_PIECES * frame, round(rate_bit_per_s / 8 * QUEUE_S))


def piece_bytes(rate_bit_per_s: int, mtu_bytes: int) -> int:
    """What may wait in one piece: a frame, on a fast link more, a 64th of its queue."""
    return queue_bytes(rate_bit_per_s, mtu_bytes) // QUEUE_MIN_PIECES


def _shape_device(device: str, rate: int, mtu: int, default: str) -> Iterator[Command]:
    frame = mtu + ETHERNET_HEADER_BYTES
    burst = str(burst_bytes(rate))
    speed = f"{rate}bit"
    yield (
        "tc",
        "qdisc",
        "add",
        "dev",
        device,
        "root",
        "handle",
        "1:",
        "htb",
        "default",
        default,
    )
    yield (
        *(
            "tc",
            "class",
            "add",
            "dev",
            device,
            "parent",
            "1:",
            "classid",
            "1:10",
            "htb",
        ),
        *(
            "rate",
            speed,
            "ceil",
            speed,
            "burst",
            burst,
            "cburst",
            burst,
            "quantum",
            str(frame),
        ),
    )
    yield (
        "tc",
        "qdisc",
        "add",
        "dev",
        device,
        "parent",
        "1:10",
        *("tbf", "rate", f"{_UNFELT_RATE_BIT_PER_S}bit"),
        *("burst", str(piece_bytes(rate, mtu)), "limit", str(queue_bytes(rate, mtu))),
    )


def set_commands(link: Link, rate_bit_per_s: float, mtu_bytes: int = 1500) -> tuple[Command, ...]:
    """The commands that shape a link nothing shapes yet, both directions at the same rate."""
    rate = check_rate(rate_bit_per_s)
    nic, ifb = link.interface, link.ifb
    commands: list[Command] = [
        ("ethtool", "-K", nic, *(word for name in OFFLOADS for word in (name, "off"))),
        ("ip", "link", "add", ifb, "type", "ifb"),
        ("ip", "link", "set", "dev", ifb, "mtu", str(mtu_bytes), "up"),
        *_shape_device(ifb, rate, mtu_bytes, default="10"),
        *_shape_device(nic, rate, mtu_bytes, default="0"),
        ("tc", "qdisc", "add", "dev", nic, "handle", "ffff:", "ingress"),
    ]
    for peer in link.peers:
        commands += [
            (
                *(
                    "tc",
                    "filter",
                    "add",
                    "dev",
                    nic,
                    "parent",
                    "1:",
                    "protocol",
                    "ip",
                    "u32",
                ),
                *("match", "ip", "dst", f"{peer}/32", "flowid", "1:10"),
            ),
            (
                *(
                    "tc",
                    "filter",
                    "add",
                    "dev",
                    nic,
                    "parent",
                    "ffff:",
                    "protocol",
                    "ip",
                    "u32",
                ),
                *("match", "ip", "src", f"{peer}/32"),
                *("action", "mirred", "egress", "redirect", "dev", ifb),
            ),
        ]
    return tuple(commands)


def clear_commands(link: Link) -> tuple[Command, ...]:
    """The commands that take the shaping away; each may find nothing to remove."""
    return (
        ("tc", "qdisc", "del", "dev", link.interface, "root"),
        ("tc", "qdisc", "del", "dev", link.interface, "ingress"),
        ("ip", "link", "del", link.ifb),
    )


# --- what runs on the node -----------------------------------------------------------------


def _run(command: Command) -> str:
    environment = {"PATH": SEARCH_PATH, "LC_ALL": "C"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    except FileNotFoundError:
        raise LinkError(f"{command[0]} is not installed on this node") from None
    if done.returncode:
        needs = [module for word, module in _MODULES.items() if word in command]
        kernel = f" (needs the kernel's {', '.join(needs)})" if needs else ""
        reason = done.stderr.strip() or f"exit status {done.returncode}"
        raise LinkError(f"`{' '.join(command)}` failed{kernel}: {reason}")
    return done.stdout


def _sys_net(interface: str, name: str) -> str:
    try:
        return Path("/sys/class/net", interface, name).read_text().strip()
    except OSError:
        return ""


def _read_config() -> Link:
    try:
        raw = json.loads(CONFIG.read_text())
        link = Link(interface=raw["interface"], peers=tuple(raw["peers"]))
    except FileNotFoundError:
        raise LinkError(f"{CONFIG} is missing: this node has no link to shape") from None
    except (ValueError, KeyError, TypeError) as error:
        raise LinkError(f"{CONFIG} is damaged: {error!r}") from None
    return link


def _is_there(interface: str) -> bool:
    return Path("/sys/class/net", interface).exists()


def _read_state() -> dict[str, Any]:
    try:
        state = json.loads(STATE.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def _write_state(state: dict[str, Any]) -> None:
    STATE.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=STATE.parent)
    with os.fdopen(handle, "w") as file:
        json.dump(state, file)
        file.flush()
        os.fsync(file.fileno())
    Path(name).replace(STATE)


def _offloads(interface: str) -> dict[str, str]:
    """Which offloads are on now, so that `clear` can put back what `set` found."""
    text = _run(("ethtool", "-k", interface))
    return {
        short: match.group(1)
        for short, long in OFFLOADS.items()
        if (match := re.search(rf"^{long}: (on|off)(?! \[fixed\])", text, re.MULTILINE))
    }


def _refuse_foreign(link: Link) -> None:
    """Refuse what somebody else gave the interface; our own is what the state file tells of."""
    if STATE.exists():
        return
    shown = json.loads(_run(("tc", "-json", "qdisc", "show", "dev", link.interface)) or "[]")
    # The kernel's own disciplines have the handle 0.
    foreign = [f"{each['kind']} {each['handle']}" for each in shown if each["handle"] != "0:"]
    if foreign:
        raise LinkError(
            f"{link.interface} has a queueing discipline of somebody else: {', '.join(foreign)}"
        )


def clear(link: Link) -> None:
    """Take the shaping away and put the interface's offloads back.

    Of an interface that is gone, the shaping and the offloads are gone with it.
    """
    there = _is_there(link.interface)
    if there:
        _refuse_foreign(link)
    for command in clear_commands(link):
        with contextlib.suppress(LinkError):  # nothing there is what `clear` wants
            _run(command)
    left = show(link)
    if left["up"] or left["down"]:
        raise LinkError(f"{link.interface} is still shaped after `clear`: {json.dumps(left)}")
    before = _read_state().get("offloads_before", {})
    words = [word for name, value in before.items() for word in (name, value)]
    if words and there:
        _run(("ethtool", "-K", link.interface, *words))
    STATE.unlink(missing_ok=True)


def apply(link: Link, rate_bit_per_s: int) -> None:
    """Shape the link; on any failure nothing stays half done."""
    speed = _sys_net(link.interface, "speed")
    if speed.isdigit() and rate_bit_per_s > int(speed) * 1_000_000:
        raise LinkError(
            f"{rate_bit_per_s} bit/s is above the speed of {link.interface}, {speed} Mbit/s"
        )
    clear(link)
    before = _offloads(link.interface)
    _write_state({"rate_bit_per_s": rate_bit_per_s, "offloads_before": before})
    if not Path("/sys/module/ifb").exists():
        with contextlib.suppress(LinkError):  # a container cannot, nor has to
            # Loaded by the kernel itself, it brings two devices that nobody wants.
            _run(("modprobe", "-q", "ifb", "numifbs=0"))
    try:
        for command in set_commands(link, rate_bit_per_s, int(_sys_net(link.interface, "mtu"))):
            _run(command)
    except LinkError:
        clear(link)
        raise


def _htb_class(device: str) -> dict[str, int] | None:
    if not _is_there(device):
        return None
    text = _run(("tc", "-s", "-r", "class", "show", "dev", device))
    match = re.search(
        r"class htb 1:10 .*?\brate (\S+) .*?Sent (\d+) bytes (\d+) pkt",
        text,
        re.DOTALL,
    )
    if match is None:
        return None
    rate, sent, packets = match.groups()
    return {
        "rate_bit_per_s": _tc_rate(rate),
        "sent_bytes": int(sent),
        "sent_packets": int(packets),
    }


def _tc_rate(text: str) -> int:
    """tc prints `10Mbit`, `1500Kbit`, `1Gbit`; of odd rates it leaves out the last three digits."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)bit", text)
    if match is None:
        raise LinkError(f"tc shows a rate that cannot be read: {text!r}")
    factor = {"": 1, "K": 1_000, "M": 1_000_000, "G": 10**9, "T": 10**12}[match.group(2)]
    return round(float(match.group(1)) * factor)


def show(link: Link) -> dict[str, Any]:
    """What the kernel does now: the class of each direction with its counters, or null."""
    speed = _sys_net(link.interface, "speed")
    return {
        "interface": link.interface,
        "speed_mbit_per_s": int(speed) if speed.isdigit() else None,
        "mtu_bytes": int(_sys_net(link.interface, "mtu") or 0),
        "peers": list(link.peers),
        "up": _htb_class(link.interface),
        "down": _htb_class(link.ifb),
    }


def _say(link: Link, *, as_json: bool) -> None:
    seen = show(link)
    if as_json:
        print(json.dumps(seen))
        return
    for direction in ("up", "down"):
        shaped = seen[direction]
        what = f"{shaped['rate_bit_per_s']} bit/s" if shaped else "not shaped"
        print(f"{link.interface} {direction} ({', '.join(link.peers)}): {what}")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise LinkError(f"{message}; try `streambed-link --help`")


def _rate_argument(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of bit/s")
    return int(text)


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0 done, 1 the kernel or the node refused, 2 bad arguments."""
    parser = _Parser(prog="streambed-link", description="Shape the link between client and cluster")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)
    setter = commands.add_parser("set", help="shape both directions to one rate")
    setter.add_argument("--rate", type=_rate_argument, required=True, help="in bit/s")
    for name in ("show", "clear", "restore"):
        commands.add_parser(name)
    for sub in commands.choices.values():
        sub.add_argument("--json", action="store_true", help="print the state as JSON")
    try:
        options = parser.parse_args(arguments)
        if options.command == "set":
            check_rate(options.rate)
    except LinkError as error:
        print(f"streambed-link: {error}", file=sys.stderr)
        return 2
    try:
        link = _read_config()
        if options.command != "clear" and not _is_there(link.interface):
            raise LinkError(f"{CONFIG}: there is no interface {link.interface!r} on this node")
        if options.command == "show":
            _say(link, as_json=options.json)
            return 0
        STATE.parent.mkdir(parents=True, exist_ok=True)
        with (STATE.parent / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if options.command == "set":
                apply(link, options.rate)
            elif options.command == "clear":
                clear(link)
            elif rate := _read_state().get("rate_bit_per_s"):
                apply(link, check_rate(rate))
        _say(link, as_json=options.json)
    except LinkError as error:
        print(f"streambed-link: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
