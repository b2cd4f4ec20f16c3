"""The shaping commands: rendered without a network, bounded, and sound at the edges."""

import json
from pathlib import Path

import pytest

from streambed import link

LINK = link.Link("eth0", ("10.83.1.12", "10.83.1.13"))


def _text(rate: float) -> list[str]:
    return [" ".join(command) for command in link.set_commands(LINK, rate)]


def test_both_directions_get_a_class_at_the_rate() -> None:
    classes = [line for line in _text(10e6) if "class add" in line]
    assert [line.split()[4] for line in classes] == [LINK.ifb, "eth0"]
    assert all("rate 10000000bit ceil 10000000bit" in line for line in classes)


def test_each_peer_is_matched_in_both_directions_and_nobody_else() -> None:
    filters = [line for line in _text(10e6) if "filter add" in line]
    for peer in LINK.peers:
        assert sum(f"dst {peer}/32" in line for line in filters) == 1
        assert sum(f"src {peer}/32" in line for line in filters) == 1
    assert len(filters) == 2 * len(LINK.peers)


def test_unclassified_traffic_of_the_interface_is_not_shaped() -> None:
    (root,) = [line for line in _text(10e6) if "dev eth0 root" in line]
    assert root.endswith("htb default 0")


@pytest.mark.parametrize(("rate", "burst"), [(10_000_000, 15_000), (1_000_000_000, 125_000)])
def test_burst_is_15_kb_or_a_millisecond(rate: int, burst: int) -> None:
    assert link.burst_bytes(rate) == burst


def test_the_queue_holds_50_ms_but_at_least_64_frames() -> None:
    assert link.queue_bytes(100_000_000, 1500) == 625_000
    assert link.queue_bytes(1_000_000, 1500) == 64 * 1514


@pytest.mark.parametrize("rate", [64_000, 20_000_000, 1_000_000_000])
def test_what_waits_in_one_piece_is_a_frame_or_a_64th_of_the_queue(rate: int) -> None:
    """A segment of 64 KB, taken for one frame, would be half the queue of 20 Mbit/s."""
    piece, queue = link.piece_bytes(rate, 1500), link.queue_bytes(rate, 1500)
    assert 1514 <= piece <= queue / 64
    queues = [line for line in _text(rate) if " tbf " in line]
    assert [line.partition("burst ")[2] for line in queues] == [f"{piece} limit {queue}"] * 2


@pytest.mark.parametrize("rate", [0, -1, 63_999, 1e12, float("nan"), float("inf")])
def test_a_rate_that_cannot_be_shaped_is_refused_with_the_bounds(rate: float) -> None:
    with pytest.raises(link.LinkError, match="64 kbit/s"):
        link.check_rate(rate)


@pytest.mark.parametrize("name", ["eth0; reboot", "", "a" * 16, "-x"])
def test_a_name_that_is_no_interface_is_refused(name: str) -> None:
    with pytest.raises(link.LinkError):
        link.Link(name, ("10.0.0.1",))


@pytest.mark.parametrize("peers", [(), ("cloud",), ("10.0.0.256",), ("::1",)])
def test_peers_must_be_ipv4_addresses(peers: tuple[str, ...]) -> None:
    with pytest.raises(link.LinkError):
        link.Link("eth0", peers)


def test_expected_goodput_at_1500() -> None:
    assert link.expected_goodput_bit_per_s(1e8, 1500) == pytest.approx(0.9564e8, rel=1e-3)


@pytest.mark.parametrize(
    "arguments",
    [
        ["set"],
        ["set", "--rate", "fast"],
        ["set", "--rate", "1"],
        ["open"],
        [],
        ["set", "--rat", "-1"],
    ],
)
def test_bad_arguments_end_in_2_before_anything_is_touched(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(command: link.Command) -> str:
        raise AssertionError(f"ran {command}")

    monkeypatch.setattr(link, "_run", refuse)
    assert link.main(arguments) == 2
    assert capsys.readouterr().err.startswith("streambed-link: ")


def test_a_missing_kernel_module_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The kernel's refusal of IFB, as a command that fails, ends in a message naming `ifb`."""
    config = tmp_path / "link.json"
    config.write_text(json.dumps({"interface": "lo", "peers": ["127.0.0.2"]}))
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("tc", "ethtool"):
        (tools / tool).symlink_to("/bin/true")
    (tools / "ip").symlink_to("/bin/false")
    monkeypatch.setattr(link, "CONFIG", config)
    monkeypatch.setattr(link, "STATE", tmp_path / "state" / "state.json")
    monkeypatch.setattr(link, "SEARCH_PATH", str(tools))
    assert link.main(["set", "--rate", "1000000"]) == 1
    assert "needs the kernel's ifb" in capsys.readouterr().err
    assert not (tmp_path / "state" / "state.json").exists()


def test_an_interface_that_is_gone_has_nothing_to_clear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config, state = tmp_path / "link.json", tmp_path / "state" / "state.json"
    config.write_text(json.dumps({"interface": "none0", "peers": ["127.0.0.2"]}))
    state.parent.mkdir()
    state.write_text(json.dumps({"rate_bit_per_s": 10**6, "offloads_before": {"tso": "on"}}))
    ran: list[link.Command] = []

    def note(command: link.Command) -> str:
        ran.append(command)
        return ""

    monkeypatch.setattr(link, "CONFIG", config)
    monkeypatch.setattr(link, "STATE", state)
    monkeypatch.setattr(link, "_run", note)
    assert link.main(["set", "--rate", "1000000"]) == 1
    assert "no interface 'none0'" in capsys.readouterr().err
    assert link.main(["clear"]) == 0
    assert ("ip", "link", "del", link.Link("none0", ("127.0.0.2",)).ifb) in ran
    assert not any(command[0] == "ethtool" for command in ran)
    assert not state.exists()


def test_a_discipline_of_somebody_else_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[link.Command] = []

    def answer(command: link.Command) -> str:
        ran.append(command)
        return json.dumps([{"kind": "fq", "handle": "8001:", "root": True}])

    monkeypatch.setattr(link, "_run", answer)
    monkeypatch.setattr(link, "STATE", tmp_path / "state.json")
    with pytest.raises(link.LinkError, match=r"eth0 has .* of somebody else: fq 8001:"):
        link.clear(LINK)
    assert [command[:2] for command in ran] == [("tc", "-json")]
