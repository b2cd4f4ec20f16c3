"""The nodes' resources: kept as sampled, and the busiest one named."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streambed import link
from streambed.errors import StreambedError
from streambed.results import bottleneck, resources
from streambed.results.resources import Limits, NodeUse

EPOCH = 1_760_000_000.0
CLIENT = Limits(cpus=0.4, memory_bytes=3 << 30, mtu_bytes=1500)
CLOUD = Limits(cpus=1.6, memory_bytes=8 << 30, mtu_bytes=1500)


def samples(seconds: int, cores: dict[str, float], up_bit_per_s: float = 0.0) -> list[Any]:
    """A node that uses the same in every second, sampled at whole ones."""
    return [
        {
            "event": "sample",
            "at": EPOCH + k,
            "cpu_s": {group: k * used for group, used in cores.items()},
            "memory_bytes": dict.fromkeys(cores, 1 << 30),
            "sent_bytes": k * up_bit_per_s / 8,
            "received_bytes": 100 * k,
            "sent_packets": k,
            "received_packets": k,
        }
        for k in range(seconds + 1)
    ]


def bed(
    cloud: dict[str, float], up_bit_per_s: float = 0.0, seconds: int = 20
) -> dict[str, NodeUse]:
    return {
        "client": NodeUse.of_events(samples(seconds, {"producer": 0.1}, up_bit_per_s), CLIENT),
        "cloud": NodeUse.of_events(samples(seconds, cloud), CLOUD),
    }


def ranked(nodes: dict[str, NodeUse]) -> tuple[bottleneck.Utilisation, ...]:
    return bottleneck.utilisations(nodes, EPOCH + 4, EPOCH + 12, {"client": (9.56, 9.56)})


def test_samples_come_back_from_the_table_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / resources.FILE
    written = bed({"Python workers": 0.8, "broker": 0.1})
    resources.write(path, written)
    found = resources.read(path)
    assert list(found) == ["client", "cloud"]
    for name, use in found.items():
        assert use.limits == written[name].limits
        np.testing.assert_array_equal(use.at_s, written[name].at_s)
        for kind in ("cpu_s", "memory_bytes", "counters"):
            before, after = getattr(written[name], kind), getattr(use, kind)
            assert set(after) == set(before)
            for key, values in before.items():
                np.testing.assert_array_equal(after[key], values)
    assert "disk_read_bytes" not in found["cloud"].counters


def test_a_table_without_samples_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / resources.FILE
    resources.write(path, {"cloud": NodeUse.of_events([], CLOUD)})
    assert resources.read(path)["cloud"].at_s.size == 0


def test_a_damaged_table_is_told_by_name(tmp_path: Path) -> None:
    path = tmp_path / resources.FILE
    path.write_text("not a table")
    with pytest.raises(StreambedError, match=r"resources\.parquet"):
        resources.read(path)


def test_a_group_that_comes_late_used_nothing_before() -> None:
    events = samples(2, {"broker": 0.1})
    events[2]["cpu_s"]["producer"] = 0.7
    events[2]["memory_bytes"]["producer"] = 5
    use = NodeUse.of_events(events, CLOUD)
    assert use.cpu_s["producer"].tolist() == [0, 0, 0.7]
    assert use.memory_bytes["producer"].tolist() == [0, 0, 5]


def test_a_full_cpu_is_the_bottleneck_with_its_users() -> None:
    found = ranked(bed({"Python workers": 0.8, "executor JVM": 0.74, "history server": 0.01}))
    assert found[0].share == pytest.approx(1.55 / 1.6)
    assert bottleneck.in_words(found) == (
        "CPU of cloud, 97 % of 1.6 cores (Python workers 52 %, executor JVM 48 %)"
    )
    measures = bottleneck.measures(found)
    assert measures["cpu_share_max"] == pytest.approx(1.55 / 1.6)
    assert measures["memory_share_max"] == pytest.approx(3 / 8)
    assert measures["link_share_max"] == pytest.approx(100 * 8 * 1448 / 1514 / 9.56e6)


def test_a_full_link_is_the_bottleneck_by_the_frames_its_goodput_needs() -> None:
    wire = 9.56e6 / link.expected_goodput_bit_per_s(1.0, 1500)
    found = ranked(bed({"broker": 0.2}, up_bit_per_s=0.98 * wire))
    assert bottleneck.measures(found)["link_share_max"] == pytest.approx(0.98)
    assert bottleneck.in_words(found) == "link of client, up, 98 % of 9.56 Mbit/s of payload"


def test_with_nothing_at_its_limit_the_next_one_is_named_as_such() -> None:
    words = bottleneck.in_words(ranked(bed({"broker": 0.8})))
    assert words == "nothing at its limit; busiest: CPU of cloud, 50 % of 1.6 cores (broker 100 %)"


def test_full_memory_is_reported_and_is_no_bottleneck_of_a_rate() -> None:
    nodes = bed(dict.fromkeys("abcdefgh", 0.01))
    assert bottleneck.measures(ranked(nodes))["memory_share_max"] == pytest.approx(1)
    assert str(bottleneck.in_words(ranked(nodes))).startswith("nothing at its limit; busiest: CPU")


def test_an_unshaped_link_has_no_share() -> None:
    found = bottleneck.utilisations(bed({"broker": 0.8}), EPOCH + 4, EPOCH + 12, {})
    assert bottleneck.measures(found)["link_share_max"] is None


def test_only_the_window_counts() -> None:
    events = samples(20, {"broker": 0.0})
    for k, event in enumerate(events):  # busy until second 4, idle after
        event["cpu_s"]["broker"] = float(min(k, 4))
    found = ranked({"cloud": NodeUse.of_events(events, CLOUD)})
    assert bottleneck.measures(found)["cpu_share_max"] == 0


def test_samples_that_end_inside_the_window_are_no_evidence() -> None:
    with pytest.raises(ValueError, match="client"):
        ranked(bed({"broker": 0.8}, seconds=10))


def test_nodes_together_share_their_quotas() -> None:
    nodes = bed({"broker": 0.8})
    assert bottleneck.cpu_share([nodes["cloud"]], EPOCH + 4, EPOCH + 12) == pytest.approx(0.5)
    both = bottleneck.cpu_share(nodes.values(), EPOCH + 4, EPOCH + 12)
    assert both == pytest.approx(0.9 / 2.0)
