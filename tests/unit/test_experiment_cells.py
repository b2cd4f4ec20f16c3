"""A cell's identity, its length, and the order of a run."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from streambed.errors import StreambedError
from streambed.experiment import Overrides, cells, load, order
from streambed.experiment.cells import config_hash
from streambed.experiment.estimate import cell_s
from streambed.experiment.factors import StreamingConfiguration
from streambed.experiment.length import (
    images_at,
    images_of,
    link_images_per_s,
    sending_time_s,
)
from streambed.experiment.schema import WarmUp


def test_the_identity_is_the_whole_configuration_and_nothing_else() -> None:
    first = cells(load("small"))
    again = cells(load("small", Overrides(repeats=9)))
    assert [c.identity for c in first] == [c.identity for c in again]
    for change in ("partitions=3", "producer=kafka-python", "model=lenet5", "image_count=77"):
        changed = cells(load("small", Overrides(set=(change,))))
        assert not {c.identity for c in first} & {c.identity for c in changed}, change


def test_the_identity_covers_warm_up_and_gates() -> None:
    cell = cells(load("small"))[0]
    assert replace(cell, warm_up=WarmUp(triggers=4)).identity != cell.identity
    gates = cell.gates.model_copy(update={"goodput_tolerance": 0.5})
    assert replace(cell, gates=gates).identity != cell.identity


def test_files_count_by_content_not_by_path(tmp_path: Path) -> None:
    found = []
    for folder, weights in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "weights.npz"
        path.write_bytes(weights)
        found.append(cells(load("small", Overrides(set=(f"weights={path}",))))[0].identity)
    assert found[0] == found[1] != found[2]


def test_levels_of_the_same_content_are_one_cell_and_refused(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        (tmp_path / name).write_bytes(b"same")
    levels = f"weights={tmp_path}/a.npz,{tmp_path}/b.npz"
    with pytest.raises(StreambedError, match="the same cell"):
        cells(load("small", Overrides(set=(levels,))))


def test_a_configuration_cannot_be_changed_after_it_was_hashed() -> None:
    cell = cells(load("small"))[0]
    with pytest.raises(AttributeError):
        cell.streaming.trigger_s = 3.0  # type: ignore[misc]


def test_the_payload_of_the_link_follows_the_goodput() -> None:
    # 100 Mbit/s: 95.65 Mbit/s of TCP payload, records of 784 + 8 bytes.
    assert link_images_per_s(100, 784) == pytest.approx(15_095, rel=1e-3)


def test_a_cell_is_long_enough_for_warm_up_and_eight_triggers_and_their_edges() -> None:
    config = StreamingConfiguration(bandwidth_mbit_per_s=10.0, trigger_s=2.0)
    warm_up = WarmUp.model_validate({"triggers": 3, "drain": "4 s"})
    assert sending_time_s(config, warm_up) == (3 + 8 + 2) * 2 + 4
    images = images_of(config, warm_up, 784)
    assert images / link_images_per_s(10, 784) >= 30
    assert (images - 1) / link_images_per_s(10, 784) < 30


def test_a_trigger_shorter_than_a_batch_still_gets_seconds_to_measure() -> None:
    config = StreamingConfiguration(offered_rate_images_per_s=100.0, trigger_s=0.1)
    warm_up = WarmUp.model_validate({"triggers": 3, "drain": "2 s"})
    assert sending_time_s(config, warm_up) == pytest.approx((3 + 2) * 0.1 + 8 + 2)


def test_compression_makes_a_cell_of_the_same_time_larger() -> None:
    plain = StreamingConfiguration(bandwidth_mbit_per_s=10.0)
    packed = replace(plain, compression="zstd")
    assert images_of(packed, WarmUp(), 784) > 4.6 * images_of(plain, WarmUp(), 784)


def test_an_offered_rate_sets_the_length_when_the_link_is_faster() -> None:
    config = StreamingConfiguration(bandwidth_mbit_per_s=100.0, offered_rate_images_per_s=50.0)
    warm_up = WarmUp.model_validate({"triggers": 2, "drain": "2 s"})
    assert images_of(config, warm_up, 784) == 50 * (2 + 8 + 2 + 2)


def test_a_slow_client_library_sets_the_length_on_the_cores_that_it_has() -> None:
    config = StreamingConfiguration(mode="as_published", bandwidth_mbit_per_s=100.0)
    warm_up = WarmUp.model_validate({"triggers": 2, "drain": "2 s"})
    whole, less, more = (images_of(config, warm_up, 784, cpus) for cpus in (None, 0.4, 4.0))
    assert whole == more == 10_000 * (2 + 8 + 2 + 2)
    assert less == 4_000 * (2 + 8 + 2 + 2)


def test_a_written_duration_is_what_a_cell_sends() -> None:
    cell = cells(load("small", Overrides(duration="60 s")))[0]
    assert cell.images == pytest.approx(60 * link_images_per_s(10, 784), abs=1)


def test_each_repeat_is_a_block_with_every_cell_once() -> None:
    four = cells(load("small"))
    executions = order(four, 6)
    blocks = [executions[i : i + 4] for i in range(0, 24, 4)]
    for number, block in enumerate(blocks, start=1):
        assert {e.repeat for e in block} == {number}
        assert Counter(e.cell.id for e in block) == Counter(c.id for c in four)
    assert len({tuple(e.cell.id for e in block) for block in blocks}) > 1


def test_the_order_follows_the_seed_and_not_the_file() -> None:
    four = cells(load("small"))
    assert order(four, 3) == order(tuple(reversed(four)), 3)
    assert order(four, 3, seed=1) != order(four, 3, seed=2)
    assert order(four, 5)[:12] == order(four, 3)


def test_the_hash_of_a_run_does_not_depend_on_the_order() -> None:
    four = cells(load("small"))
    assert config_hash(four) == config_hash(tuple(reversed(four)))
    assert config_hash(four) != config_hash(four[:3])


def test_a_cell_that_searches_its_rate_knows_its_length_only_then() -> None:
    found = cells(load("latency"))
    assert [cell.images for cell in found] == [None] * 4
    assert {cell.streaming.sustainable_share for cell in found} == {0.5}
    assert images_at(2_000, found[0].config, found[0].warm_up) == 60_000
    assert cell_s(found[0]) > 60


def test_a_rate_is_given_or_searched_but_not_both() -> None:
    with pytest.raises(StreambedError, match="`offered_rate` and `sustainable_share`"):
        cells(load("latency", Overrides(set=("offered_rate=500 images/s",))))
