"""A bed's subnet: parsed strictly, and never one that somebody holds."""

import ipaddress

import pytest

from streambed.beds import network
from streambed.beds.network import Held, Network
from streambed.errors import StreambedError


def test_a_free_subnet_is_accepted() -> None:
    network.check_free(
        Network("10.83.1.0/24"),
        [Held(Network("10.83.2.0/24"), "x"), Held(Network("10.82.0.0/16"), "y")],
    )


def test_an_overlap_names_its_holder_and_a_free_place() -> None:
    held = [Held(Network("10.83.0.0/23"), "interface vpn0"), Held(Network("10.83.2.0/24"), "x")]
    with pytest.raises(StreambedError, match=r"interface vpn0 has 10\.83\.0\.0/23") as caught:
        network.check_free(Network("10.83.1.0/24"), held)
    assert "STREAMBED_BED_PREFIX=10.83.3" in caught.value.hint


@pytest.mark.parametrize(
    "text", [None, "", "10.83.1/24", "10.83.1.7/24", "10.83.1.0/31", "fd00::/64"]
)
def test_what_is_no_subnet_is_refused(text: str | None) -> None:
    with pytest.raises(StreambedError, match="bed_subnet"):
        network.parse_subnet(text)


def test_the_host_has_the_first_address() -> None:
    assert network.gateway_of(Network("10.83.1.0/24")) == ipaddress.IPv4Address("10.83.1.1")


def test_routes_count_as_held_but_not_default_local_or_our_own() -> None:
    routes: list[dict[str, object]] = [
        {"dst": "default", "dev": "eth0"},
        {"dst": "10.9.0.0/16", "dev": "tun0"},
        {"dst": "10.83.1.0/24", "dev": "sb-own"},
        {"type": "broadcast", "dst": "10.9.255.255", "dev": "tun0"},
        {"dst": "0.0.0.0/1", "dev": "tun0"},
    ]
    held = network.held_by_routes(routes, own_bridge="sb-own")
    assert [str(one.subnet) for one in held] == ["10.9.0.0/16"]
    assert "tun0" in held[0].holder
