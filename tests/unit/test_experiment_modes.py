"""A mode is a preset: it gives defaults, and one factor at a time can be taken from the other."""

import pytest

from streambed.errors import StreambedError
from streambed.experiment import Overrides, cells, load, plan
from streambed.experiment.factors import StreamingConfiguration, factors_of
from streambed.runner.producing import sender_config

ENGINEERED = StreamingConfiguration()
AS_PUBLISHED = StreamingConfiguration(mode="as_published")
BY_MODE = [factor for factor in factors_of("streaming").values() if factor.presets]


def differing(one: StreamingConfiguration, other: StreamingConfiguration) -> set[str]:
    mine, others = one.as_fields(), other.as_fields()
    return {field for field in mine if mine[field] != others[field]} - {"mode", "swap"}


def test_a_mode_gives_the_factors_that_the_two_designs_differ_in() -> None:
    assert (AS_PUBLISHED.producer, AS_PUBLISHED.partitions) == ("kafka-python", 1)
    assert (AS_PUBLISHED.batching, AS_PUBLISHED.conversion) == ("interval", "rows")
    assert AS_PUBLISHED.calls == "one_per_batch"
    assert (ENGINEERED.producer, ENGINEERED.batching) == ("confluent-kafka", "backlog")
    assert differing(ENGINEERED, AS_PUBLISHED) == {factor.field for factor in BY_MODE}


def test_what_is_written_wins_over_the_mode() -> None:
    written = StreamingConfiguration(mode="as_published", partitions=4)
    assert written.partitions == 4
    assert differing(written, AS_PUBLISHED) == {"partitions"}


def test_rows_and_identity_show_the_effective_value() -> None:
    (cell,) = cells(load("small", Overrides(set=("bandwidth=10 Mbit/s", "trigger=1 s"))))
    assert cell.fields()["producer"] == "confluent-kafka"
    assert cell.effective()["config"]["batching"] == "backlog"
    options = ("bandwidth=10 Mbit/s", "trigger=1 s", "producer=confluent-kafka")
    (written,) = cells(load("small", Overrides(set=options)))
    assert written.identity == cell.identity


@pytest.mark.parametrize("name", [factor.name for factor in BY_MODE])
def test_one_factor_can_be_swapped_and_nothing_else_changes(name: str) -> None:
    for mode, base in (("engineered", ENGINEERED), ("as_published", AS_PUBLISHED)):
        swapped = StreamingConfiguration(mode=mode, swap=name)
        assert differing(swapped, base) == {factors_of("streaming")[name].field}
        assert swapped.contradictions() == StreamingConfiguration(mode=mode).contradictions()


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_a_codec_without_a_library_on_the_nodes_is_a_contradiction(codec: str) -> None:
    (text,) = StreamingConfiguration(
        bandwidth_mbit_per_s=10, producer="kafka-python", compression=codec
    ).contradictions()
    assert repr(codec) in text
    assert "confluent-kafka" in text


def test_a_swap_of_what_is_written_is_a_contradiction() -> None:
    written = StreamingConfiguration(swap="producer", producer="confluent-kafka", images=1)
    (text,) = written.contradictions()
    assert "`swap: producer` means kafka-python" in text
    with pytest.raises(StreambedError, match="swap: producer"):
        load("small", Overrides(set=("swap=producer", "producer=confluent-kafka")))


def test_every_factor_by_mode_can_be_swapped_in_the_experiment_that_tells_the_causes() -> None:
    assert set(load("modes").levels["swap"]) == {None, *(factor.name for factor in BY_MODE)}
    assert len(cells(load("modes"))) == 2 * (1 + len(BY_MODE))


def test_the_library_settings_bound_only_what_waits() -> None:
    config = StreamingConfiguration(mode="as_published", bandwidth_mbit_per_s=10.0)
    given = {name: value for name, value in sender_config(config).items() if value is not None}
    assert set(given) == {"queue_bytes", "compression"}
    fitted = sender_config(StreamingConfiguration(bandwidth_mbit_per_s=10.0))
    assert given["queue_bytes"] == fitted["queue_bytes"]


def test_an_evening_of_study_a_has_every_cell_and_fits_an_evening() -> None:
    evening = plan.build(load("bandwidth", Overrides(subset="evening")))
    assert len(evening.cells) == len(cells(load("bandwidth"))) == 60
    assert evening.estimated_s <= 100 * 60
    whole = cells(load("bandwidth"))
    assert {cell.images for cell in whole} == {500_000}
    slow = [c for c in evening.cells if c.cell.streaming.mode == "as_published"]
    assert all(c.cell.images and c.cell.images < 500_000 for c in slow)
