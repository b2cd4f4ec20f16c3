"""A plan shows what a run would do."""

import io
import json

import pytest
from rich.console import Console

from streambed import link
from streambed.errors import StreambedError
from streambed.experiment import Overrides, load, plan
from streambed.experiment.estimate import cell_s


def text_of(built: plan.Plan) -> str:
    console = Console(file=io.StringIO(), width=200, highlight=False)
    console.print(plan.render(built))
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_the_commands_are_those_that_the_link_helper_runs() -> None:
    planned = plan.build(load("small")).cells[0]
    peers = tuple(node.bed_address for node in planned.placement.peers)
    assert planned.commands == link.set_commands(link.Link("eth0", peers), 10e6)


def test_the_broker_is_placed_by_its_factor() -> None:
    options = Overrides(set=("broker_on=cloud,client", "bandwidth=10 Mbit/s", "trigger=1 s"))
    cloud, client = plan.build(load("small", options)).cells
    assert [node.name for node in cloud.placement.brokers] == ["cloud"]
    assert [node.name for node in client.placement.brokers] == ["client"]


def test_the_text_shows_every_cell_its_commands_and_the_time() -> None:
    text = text_of(plan.build(load("small", Overrides(repeats=2))))
    assert "4 cells, 2 repeats, about" in text
    for command in plan.build(load("small")).cells[0].commands:
        assert " ".join(command) in text
    assert "broker, Spark master and driver, Spark worker" in text


def test_the_json_holds_order_identity_and_estimate() -> None:
    built = plan.build(load("small", Overrides(repeats=3)))
    data = json.loads(plan.to_json(built))
    assert len(data["order"]) == 12
    assert data["seed"] == built.seed
    assert data["estimated_s"] == pytest.approx(
        40 + 3 * sum(cell_s(p.cell) for p in built.cells), 0.01
    )
    assert data["cells"][0]["shaping"]["commands"][0].startswith("ethtool -K eth0")


def test_an_unshaped_cell_has_no_commands() -> None:
    options = Overrides(set=("bandwidth=unshaped",), images=100_000)
    built = plan.build(load("small", options))
    assert all(planned.commands == () for planned in built.cells)
    assert "the link is not shaped" in text_of(built)


def test_a_bed_without_the_nodes_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("lonely")
    (folder / "hosts.yml").write_text(
        "all: {vars: {bed_name: lonely}, hosts: {one: {ansible_host: 10.0.0.1}}}\n"
    )
    with pytest.raises(StreambedError, match="no node in group 'clients'"):
        plan.build(load("small", Overrides(bed=str(folder))))
