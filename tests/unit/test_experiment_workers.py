"""Workers, threads and memory: what a cell asks of its bed, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from streambed import inventory, paths
from streambed.errors import StreambedError
from streambed.experiment import Overrides, cells, fitting, load, plan
from streambed.experiment.estimate import classifier_images_per_s, cold_start_s
from streambed.experiment.factors import StreamingConfiguration
from streambed.experiment.placement import place

BEDS = ("duo", "cluster", "wide", "training")


def on(bed: str, *options: str) -> Overrides:
    return Overrides(bed=bed, set=("bandwidth=10 Mbit/s", "trigger=1 s", *options))


def changed(folder: Path, node: str, **variables: Any) -> str:
    """The cluster with some variables of one node changed."""
    hosts = yaml.safe_load((paths.ROOT / "inventory/cluster/hosts.yml").read_text())
    hosts["all"]["hosts"][node] |= variables
    (folder / "hosts.yml").write_text(yaml.safe_dump(hosts))
    (folder / "group_vars").symlink_to(paths.ROOT / "inventory" / "group_vars")
    return str(folder)


@pytest.mark.parametrize("bed", BEDS)
def test_the_beds_that_come_with_it_fit_two_cores_and_twenty_gib(bed: str) -> None:
    nodes = inventory.load(bed).nodes
    assert round(sum(node.cpus or 0 for node in nodes), 6) <= 2.0
    assert sum(node.memory_bytes or 0 for node in nodes) <= 20 * 2**30


@pytest.mark.parametrize("bed", BEDS)
def test_every_bed_has_a_network_of_its_own_and_equal_workers(bed: str) -> None:
    subnets = [inventory.load(other).subnet for other in BEDS]
    assert len(set(subnets)) == len(BEDS)
    workers = inventory.load(bed).group("spark_workers")
    assert len({(node.cpus, node.memory_bytes) for node in workers}) == 1


def test_all_workers_are_used_unless_a_number_is_given() -> None:
    every, some = (
        cells(load("small", on("cluster")))[0],
        cells(load("small", on("wide", "workers=2")))[0],
    )
    assert (every.streaming.workers, every.streaming.partitions) == (3, 6)
    assert (some.streaming.workers, some.streaming.partitions) == (2, 4)
    assert every.fields()["workers"] == 3
    one = cells(load("small", on("duo")))[0]
    assert (one.streaming.workers, one.streaming.partitions) == (1, 2)


def test_one_partition_per_thread_unless_a_number_is_given() -> None:
    found = cells(load("small", on("wide", "threads=1,3", "workers=4")))
    assert [cell.streaming.partitions for cell in found] == [4, 12]
    (given,) = cells(load("small", on("wide", "partitions=7")))
    assert given.streaming.partitions == 7
    (published,) = cells(load("small", on("wide", "mode=as_published")))
    assert published.streaming.partitions == 1


def test_the_first_workers_are_used_and_the_others_are_idle() -> None:
    placed = place(StreamingConfiguration(workers=2), inventory.load("cluster"))
    assert [node.name for node in placed.workers] == ["worker1", "worker2"]
    assert [node.name for node in placed.idle] == ["worker3"]
    assert placed.roles()["worker3"] == ["Spark worker, stopped"]
    assert placed.master_url.startswith("spark://10.")


def test_the_link_ends_at_the_broker_or_at_a_worker_when_the_broker_is_near() -> None:
    bed = inventory.load("cluster")
    assert place(StreamingConfiguration(), bed).far_end.name == "broker"
    assert place(StreamingConfiguration(broker_on="client"), bed).far_end.name == "worker1"


def test_more_workers_than_the_bed_has_are_refused_with_their_names() -> None:
    with pytest.raises(
        StreambedError, match=r"workers: 4, but bed cluster has 3 \(worker1, worker2"
    ):
        load("small", on("cluster", "workers=4"))
    bed = inventory.load("cluster")
    with pytest.raises(StreambedError, match="4 workers are asked for, it has 3"):
        place(StreamingConfiguration(workers=4), bed)


def test_more_threads_than_a_worker_offers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StreambedError, match=r"threads: 9 .* on worker1, which offers 8"):
        load("small", on("cluster", "threads=9"))
    bed = changed(tmp_path, "worker2", spark_worker_cores=2)
    with pytest.raises(StreambedError, match=r"threads: 3 .* on worker2, which offers 2"):
        load("small", on(bed, "threads=3"))


def test_more_memory_than_a_worker_has_is_refused_with_the_arithmetic(tmp_path: Path) -> None:
    bed = changed(tmp_path, "worker3", memory="2 GiB")
    with pytest.raises(
        StreambedError, match=r"threads: 8 need 2446 MiB on worker3 \(system 160 \+"
    ):
        load("small", on(bed, "threads=8"))
    # It is not in use.
    load("small", on(bed, "threads=8", "workers=2"))


def test_a_worker_too_small_for_an_executor_is_refused(tmp_path: Path) -> None:
    bed = changed(tmp_path, "worker1", spark_worker_memory_mib=512)
    with pytest.raises(StreambedError, match="a heap of 768 MiB, worker1 offers 512"):
        load("small", on(bed))


def test_a_bed_that_is_larger_than_the_host_is_refused_by_the_plan(tmp_path: Path) -> None:
    bed = changed(tmp_path, "worker1", memory="30 GiB")
    with pytest.raises(
        StreambedError, match=r"worker1 30 GiB .* = 44 GiB of memory, the host has 24"
    ):
        plan.build(load("small", on(bed)))


def test_eight_threads_of_the_published_setting_fit_every_worker() -> None:
    for bed in ("cluster", "wide"):
        config = StreamingConfiguration(threads=8)
        assert fitting.refusals(config, inventory.load(bed)) == []


def test_an_ablation_needs_everything_on_one_node() -> None:
    with pytest.raises(StreambedError, match="ablation compares its stages under one quota"):
        load("ablation", Overrides(bed="cluster"))


def test_estimates_follow_the_quotas() -> None:
    duo = cells(load("small", on("duo")))[0]
    assert cold_start_s(duo) == pytest.approx(14)
    assert classifier_images_per_s(duo) == pytest.approx(20_000)
    one, four = cells(load("small", on("wide", "workers=1,4")))
    assert classifier_images_per_s(four) == pytest.approx(4 * classifier_images_per_s(one))
    assert cold_start_s(one) > 30


@pytest.mark.parametrize(("subset", "minutes"), [("evening", 20), ("ends", 8)])
def test_what_workers_give_is_planned_in_time(subset: str, minutes: int) -> None:
    built = plan.build(load("workers", Overrides(subset=subset)))
    assert built.estimated_s <= 60 * minutes
    closed = {
        planned.cell.streaming.workers
        for planned in built.cells
        if not planned.cell.streaming.open_mode
    }
    assert closed >= {1, 4}


def test_the_plan_tells_what_the_levels_decide(tmp_path: Path) -> None:
    from tests.unit.test_experiment_plan import text_of

    text = text_of(plan.build(load("small", on("wide", "workers=1,5"))))
    assert "Decided by the levels of others: partitions." in text
    assert "worker5 (wide): Spark worker, stopped" in text
    assert "worker5 (wide): Spark worker\n" in text


@pytest.mark.parametrize("bed", BEDS)
def test_slots_and_memory_are_those_that_the_role_gives_spark(bed: str) -> None:
    from ansible.parsing.dataloader import DataLoader
    from ansible.template import Templar

    loader = DataLoader()
    role: dict[str, Any] = {}
    for part in ("defaults", "vars"):
        path = str(paths.ROOT / "roles/spark" / part / "main.yml")
        role |= loader.load_from_file(path, trusted_as_template=True)
    for node in inventory.load(bed).group("spark_workers"):
        templar = Templar(loader=loader, variables={**role, **node.variables})
        assert int(templar.template(role["spark_worker_cores"])) == fitting.slots(node)
        room = int(templar.template(role["spark_worker_memory_mib"]))
        assert room == fitting.executor_room_mib(node)
