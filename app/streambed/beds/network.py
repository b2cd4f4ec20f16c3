"""A bed's own network, and the check that its subnet is free on this host."""

import ipaddress
import json
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from streambed.beds import podman
from streambed.beds.names import LABEL_BED, LABEL_CLONE, BedNames
from streambed.errors import StreambedError
from streambed.inventory import Node

Network = ipaddress.IPv4Network

# Where free subnets are looked for when the bed's own is taken.
_SUGGESTED = [Network(f"10.83.{third}.0/24") for third in range(1, 255)]


@dataclass(frozen=True)
class Held:
    """A subnet that is in use on the host, and by whom."""

    subnet: Network
    holder: str


def parse_subnet(text: str | None) -> Network:
    """The bed's subnet.

    Raises:
        StreambedError: it is not an IPv4 network with room for nodes.
    """
    try:
        subnet = Network(text or "")
    except ValueError as error:
        raise StreambedError(
            f"bed_subnet {text!r}: {error}",
            hint="STREAMBED_BED_PREFIX takes the first three numbers, as in 10.83.2",
        ) from None
    if not 8 <= subnet.prefixlen <= 28:
        raise StreambedError(f"bed_subnet {text!r}: a prefix length of 8 to 28 is needed")
    return subnet


def gateway_of(subnet: Network) -> ipaddress.IPv4Address:
    """The host's own address in the bed: the first one."""
    return subnet.network_address + 1


def check_addresses(nodes: Sequence[Node], subnet: Network) -> None:
    """Refuse nodes outside the subnet, or on an address that is the host's or broadcast's."""
    reserved = {subnet.network_address, gateway_of(subnet), subnet.broadcast_address}
    for node in nodes:
        try:
            address = ipaddress.IPv4Address(node.address)
        except ValueError:
            raise StreambedError(
                f"node {node.name}: ansible_host {node.address!r} is not an IPv4 address"
            ) from None
        if address not in subnet or address in reserved:
            raise StreambedError(
                f"node {node.name}: {address} cannot be a node's address in {subnet} "
                f"({gateway_of(subnet)} is the host's)"
            )


def check_free(subnet: Network, held: Iterable[Held]) -> None:
    """Refuse a subnet that overlaps one in use.

    Raises:
        StreambedError: says who holds it and proposes a free one.
    """
    held = list(held)
    for other in held:
        if subnet.overlaps(other.subnet):
            raise StreambedError(
                f"subnet {subnet} is taken: {other.holder} has {other.subnet}",
                hint=_move(held),
            )


def _move(held: Sequence[Held]) -> str:
    for candidate in _SUGGESTED:
        if not any(candidate.overlaps(other.subnet) for other in held):
            prefix = str(candidate.network_address).rsplit(".", 1)[0]
            return f"move the bed: export STREAMBED_BED_PREFIX={prefix}"
    return "move the bed: export STREAMBED_BED_PREFIX=<first three numbers of a free subnet>"


def held_subnets(names: BedNames) -> list[Held]:
    """Every IPv4 subnet in use on this host, but for the bed's own network."""
    held = _held_by_podman(podman.call_json("network", "inspect", *_network_names()), names)
    links = _ip("address", "show")
    held += held_by_addresses(links, own_bridge=names.bridge)
    held += held_by_routes(_ip("route", "show", "table", "all"), own_bridge=names.bridge)
    return held


def _network_names() -> list[str]:
    return podman.call("network", "ls", "--format", "{{.Name}}").split()


def _ip(*arguments: str) -> list[dict[str, object]]:
    done = subprocess.run(
        ["ip", "-json", "-4", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise StreambedError(f"ip {' '.join(arguments)} failed: {done.stderr.strip()}")
    return list(json.loads(done.stdout or "[]"))


def _held_by_podman(networks: Sequence[dict[str, object]], names: BedNames) -> list[Held]:
    held = []
    for network in networks:
        if network["name"] == names.network:
            continue
        labels = network.get("labels")
        holder = f"podman network {network['name']}"
        if isinstance(labels, dict) and LABEL_BED in labels:
            holder = f"bed {labels[LABEL_BED]} of {labels.get(LABEL_CLONE)} ({holder})"
        subnets = network.get("subnets")
        for subnet in subnets if isinstance(subnets, list) else []:
            parsed = ipaddress.ip_network(subnet["subnet"])
            if isinstance(parsed, Network):
                held.append(Held(parsed, holder))
    return held


def held_by_addresses(links: Sequence[dict[str, object]], *, own_bridge: str) -> list[Held]:
    held = []
    for link in links:
        infos = link.get("addr_info")
        if link.get("ifname") == own_bridge or not isinstance(infos, list):
            continue
        for info in infos:
            subnet = Network(f"{info['local']}/{info['prefixlen']}", strict=False)
            held.append(Held(subnet, f"interface {link.get('ifname')}"))
    return held


def held_by_routes(routes: Sequence[dict[str, object]], *, own_bridge: str) -> list[Held]:
    held = []
    for route in routes:
        destination = str(route.get("dst", "default"))
        # A default route covers everything and holds nothing; multicast and broadcast neither.
        if destination == "default" or route.get("type", "unicast") not in (
            "unicast",
            "blackhole",
        ):
            continue
        if route.get("dev") == own_bridge:
            continue
        subnet = Network(destination, strict=False)
        if subnet.prefixlen >= 8:
            held.append(Held(subnet, f"route {destination} dev {route.get('dev', '-')}"))
    return held


def exists(names: BedNames, subnet: Network) -> bool:
    """Is the bed's network there?

    Raises:
        StreambedError: it is, with another subnet.
    """
    inspected = podman.attempt("network", "inspect", names.network)
    if inspected.returncode != 0:
        return False
    (network,) = json.loads(inspected.stdout)
    present = [entry["subnet"] for entry in network["subnets"]]
    if present != [str(subnet)]:
        raise StreambedError(
            f"the bed exists on {', '.join(present)}, its inventory says {subnet}",
            hint="./streambed down, or set STREAMBED_BED_PREFIX as it was",
        )
    return True


def ensure(names: BedNames, subnet: Network) -> None:
    """Create the bed's network unless it is there.

    `internal`: the host reaches the nodes and they reach the host, and nothing is routed or
    translated beyond, so that no node has the internet and no firewall rule is needed.

    Raises:
        StreambedError: it is there with another subnet, or podman refuses.
    """
    if exists(names, subnet):
        return
    labels = [f"--label={key}={value}" for key, value in names.labels().items()]
    podman.call(
        "network",
        "create",
        "--internal",
        "--disable-dns",
        f"--subnet={subnet}",
        f"--gateway={gateway_of(subnet)}",
        *labels,
        names.network,
    )
    _name_bridge(names)


def _name_bridge(names: BedNames) -> None:
    """Give the network's interface the bed's name instead of podman's next number.

    podman 4.3 has no option for it. Should this be interrupted, the network works under
    the name podman chose, and goes away with the network.
    """
    script = (
        'set -eu; file="/etc/containers/networks/$1.json"; [ -f "$file" ] || exit 0; '
        'sed \'s/"network_interface": "[^"]*"/"network_interface": "\'"$2"\'"/\' '
        '"$file" > "$file.new"; mv "$file.new" "$file"'
    )
    podman.run_uninterrupted(
        [*podman.as_root(), "sh", "-c", script, "sh", names.network, names.bridge]
    )


def remove(names: BedNames) -> bool:
    """Remove the bed's network and its interface; False when there was none."""
    found = podman.attempt("network", "exists", names.network).returncode == 0
    if found:
        podman.call("network", "rm", "--force", names.network)
    # Goes away with its last container, unless that died together with podman.
    if Path("/sys/class/net", names.bridge).exists():
        podman.run_uninterrupted([*podman.as_root(), "ip", "link", "delete", names.bridge])
        found = True
    return found
