"""The producer's sample of acknowledgements, and what brokers say they store."""

from pathlib import Path

from streambed.pipelines.ack_samples import EVERY, AckSamples
from streambed.pipelines.pacing import block_size
from streambed.pipelines.stored import sizes_of
from streambed.results.latency import Acknowledged


def test_the_sample_takes_every_place_in_a_block_its_turn() -> None:
    for partitions in (1, 2, 4, 16):
        block = block_size(partitions)
        places = {image_id % block for image_id in range(0, EVERY * 128 * 2, EVERY)}
        assert places == set(range(block))


def test_what_the_producer_kept_is_what_figures_read(tmp_path: Path) -> None:
    samples = AckSamples()
    for image_id in (2 * EVERY, 0, EVERY):  # acknowledged in any order
        told = samples.of(image_id)
        assert told is not None
        told(1000.0 + image_id)
    assert samples.of(1) is None
    samples.save(tmp_path / "run" / "acks.npz")
    found = Acknowledged.load(tmp_path / "run" / "acks.npz")
    assert found.image_id.tolist() == [0, EVERY, 2 * EVERY]
    assert found.acked_at_s.tolist() == [1000.0, 1000.0 + EVERY, 1000.0 + 2 * EVERY]


def test_only_the_asked_topic_is_summed() -> None:
    partition = {"partition_index": 1, "partition_size": 500, "offset_lag": 0}
    log_dirs = [
        {"topics": [{"name": "other", "partitions": [partition]}]},
        {"topics": [{"name": "images", "partitions": [partition]}]},
    ]
    assert sizes_of(log_dirs, "images") == {"1": 500}
