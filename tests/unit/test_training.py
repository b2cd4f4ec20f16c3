"""Pipeline `training` on the controller: cells, plan, refusals, extras."""

import importlib
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.wide import bed

from streambed import inventory, paths
from streambed.artifacts import debs
from streambed.artifacts import engines as artifacts
from streambed.artifacts.components import Workshop
from streambed.artifacts.pins import load_versions
from streambed.beds import apt_sources, engines
from streambed.beds.apt_sources import NODE_RELEASE, Source
from streambed.errors import StreambedError
from streambed.experiment import Overrides, cells, load, plan
from streambed.experiment.cells import Cell
from streambed.runner import provenance

CLONE = paths.ROOT


@pytest.fixture
def plain(tmp_path: Path) -> str:
    """A bed of five workers without engines."""
    folder = tmp_path / "plain"
    folder.mkdir()
    return bed(folder)


@pytest.fixture
def wide(tmp_path: Path) -> Iterator[str]:
    """The same, which is to have the engines; pinned, as far as a plan is concerned."""
    folder = tmp_path / "wide"
    folder.mkdir()
    path = Path(bed(folder)) / "hosts.yml"
    hosts = yaml.safe_load(path.read_text())
    hosts["all"]["vars"]["training_engines"] = ["chainermn", "torch"]
    path.write_text(yaml.safe_dump(hosts))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(artifacts, "locked", lambda name: name)
        yield str(folder)


def found(wide: str, *options: str, subset: str | None = "evening") -> tuple[Cell, ...]:
    return cells(load("training", Overrides(set=options, subset=subset, bed=wide)))


# --- cells, plan, refusals ------------------------------------------------------------------


def test_the_evening_is_planned_within_45_minutes_on_the_bed_of_the_clone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engines, "refuse_missing", lambda *_: None)
    built = plan.build(load("training", Overrides(subset="evening")))
    assert 20 * 60 < built.estimated_s <= 45 * 60
    assert not any(planned.commands for planned in built.cells)


def test_the_study_has_a_bed_of_four_equal_workers_and_little_else() -> None:
    found = load("training", Overrides(subset="evening"))
    assert {cell.bed for cell in cells(found)} == {"training"}
    nodes = inventory.load("training")
    workers = nodes.group("spark_workers")
    assert [node.cpus for node in workers] == [0.375] * 4
    others = {node.name: node.cpus for node in nodes.nodes if node not in workers}
    assert others == {"client": 0.1, "broker": 0.1, "master": 0.3}


def test_the_evening_has_what_the_claims_need(wide: str) -> None:
    there = {
        (c.engine, c.workers, c.batch_size, c.epochs, c.iterations)
        for c in (cell.training for cell in found(wide))
    }
    assert {("chainermn", n, 768, 3, None) for n in (1, 2, 4)} <= there
    assert {(e, 4, 768, 15, None) for e in ("chainermn", "torch", "spark-mlp")} <= there
    assert ("chainermn", 1, 1, 15, 1000) in there


def test_the_whole_matrix_can_be_run_and_a_subset_is_cut_from_it(wide: str) -> None:
    whole = found(wide, subset=None)
    assert {cell.training.workers for cell in whole} == {1, 2, 3, 4}
    assert all(c.training.workers == 1 for c in whole if c.training.batch_size == 1)
    assert len(whole) == 4 * 3 * 2 + 2


def test_a_subset_without_parts_is_cut_from_those_of_the_whole(tmp_path: Path, wide: str) -> None:
    text = (paths.ROOT / "experiments" / "training.yml").read_text()
    experiment = yaml.safe_load(text)
    experiment["subsets"] = {"one": {"factors": {"workers": [1], "engine": ["torch"]}}}
    path = tmp_path / "mine.yml"
    path.write_text(yaml.safe_dump(experiment, sort_keys=False))
    listed = cells(load(path, Overrides(subset="one", bed=wide)))
    assert {(c.training.batch_size, c.training.iterations) for c in listed} == {
        *((192, None), (768, None), (1, 1000))
    }


def test_an_image_is_trained_in_each_epoch_or_until_the_last_update(wide: str) -> None:
    by_label = {cell.label: cell.images for cell in found(wide)}
    assert by_label["1, chainermn, 768, 3, all"] == 180_000
    assert by_label["4, spark-mlp, 768, 15, all"] == 900_000
    assert by_label["1, chainermn, 1, 15, 1000"] == 1000


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("batch_size=500", "workers=3"), "500 cannot be shared by 3 ranks"),
        (("ranks=2", "batch_size=9", "workers=2"), "multiples of 4"),
        (("ranks=9", "batch_size=18"), "ranks: 9 on worker1, which offers 8 slots"),
        (("workers=9", "batch_size=9"), "workers: 9, but bed wide has 5"),
        (("engine=tensorflow",), "allowed are chainermn, torch, spark-mlp"),
        (("iterations=0",), "at least 1"),
        (("epochs=0",), "from 1 to 1000"),
        (("augment=flip",), "none, shift"),
        (("image_count=5",), "`image_count` means nothing to a training"),
        (("duration=5 s",), "`duration` means nothing to a training"),
    ],
)
def test_a_mistake_is_named(wide: str, options: tuple[str, ...], words: str) -> None:
    with pytest.raises(StreambedError) as caught:
        load("training", Overrides(set=options, subset="scaling", bed=wide))
    assert words in caught.value.message


def test_spark_s_own_perceptron_takes_any_batch(plain: str) -> None:
    listed = found(plain, "workers=3", "batch_size=500", subset="plain")
    assert [cell.training.batch_size for cell in listed] == [500]
    plan.build(load("training", Overrides(set=("workers=3",), subset="plain", bed=plain)))


def test_a_missing_extra_is_refused_with_the_command_that_adds_it(plain: str) -> None:
    with pytest.raises(StreambedError, match="no training engine chainermn, torch") as caught:
        plan.build(load("training", Overrides(subset="evening", bed=plain)))
    assert caught.value.hint == f"./streambed up -i {plain} --engines chainermn,torch"


def test_an_extra_without_a_lock_is_refused_with_the_command_that_makes_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    with pytest.raises(StreambedError, match="torch is not pinned") as caught:
        artifacts.locked("torch")
    assert caught.value.hint == "./streambed lock --engine torch"


def test_engines_are_named_by_the_inventory_or_asked_for(
    wide: str, plain: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert engines.wanted(inventory.load(wide)) == ("chainermn", "torch")
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    asked = inventory.load(plain)
    assert engines.wanted(asked) == ()
    assert not (tmp_path / ".streambed").exists()
    engines.ask(asked, engines.parse("torch, torch"))
    assert engines.wanted(asked) == ("torch",)
    engines.ask(asked, engines.parse("none"))
    assert engines.wanted(asked) == ()
    with pytest.raises(StreambedError, match="unknown training engine 'bigdl'"):
        engines.parse("bigdl")


def of_a_play(bed_path: str, host: str) -> dict[str, Any]:
    """What a play by hand templates, on a host, of all that depends on the bed's engines."""
    from ansible.inventory.manager import InventoryManager
    from ansible.parsing.dataloader import DataLoader
    from ansible.template import Templar, trust_as_template
    from ansible.vars.hostvars import HostVars
    from ansible.vars.manager import VariableManager

    loader = DataLoader()
    loader.set_basedir(str(CLONE / "ansible"))
    manager = InventoryManager(loader=loader, sources=[bed_path])
    variables = VariableManager(loader=loader, inventory=manager)
    hostvars = HostVars(manager, variables, loader)
    known = variables.get_vars(host=manager.get_host(host), include_hostvars=False)
    for part in ("preflight/defaults", "firewall/defaults", "firewall/vars"):
        path = str(CLONE / "roles" / part / "main.yml")
        known |= loader.load_from_file(path, trusted_as_template=True)
    templar = Templar(loader=loader, variables={**known, "hostvars": hostvars})
    unit = (CLONE / "roles/spark/templates/spark.service.j2").read_text()
    condition = re.search(r"{% if daemon == 'worker' and (.*?) %}", unit)
    assert condition is not None
    return {
        "engines": templar.template(trust_as_template("{{ bed_engines }}")),
        "flows": [
            flow["what"] for flow in templar.template(trust_as_template("{{ _firewall_flows }}"))
        ],
        "netlink": templar.template(trust_as_template("{{ " + condition[1] + " }}")),
        "ports": templar.template(trust_as_template("{{ preflight_ports }}")),
    }


def test_a_play_by_hand_knows_what_up_was_asked_for(
    plain: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hosts = Path(plain) / "hosts.yml"
    content = yaml.safe_load(hosts.read_text())
    content["all"]["vars"]["bed_state_dir"] = str(tmp_path / ".streambed" / "wide")
    hosts.write_text(yaml.safe_dump(content))
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    inventory._load.cache_clear()
    asked = inventory.load(plain)
    known = of_a_play(plain, "worker1")
    assert (known["engines"], known["netlink"], 7100 in known["ports"]) == ([], False, False)
    engines.ask(asked, ("torch", "chainermn"))
    known = of_a_play(plain, "worker1")
    assert known["engines"] == ["torch", "chainermn"]
    assert (known["netlink"], 7199 in known["ports"]) == (True, True)
    assert sum(what.startswith("ranks of a training") for what in known["flows"]) == 2
    # One worker's inventory counts for all, as with `up`.
    content["all"]["hosts"]["worker2"]["training_engines"] = "chainermn"
    hosts.write_text(yaml.safe_dump(content))
    engines.ask(asked, ("torch",))
    inventory._load.cache_clear()
    assert set(of_a_play(plain, "broker")["engines"]) == set(engines.wanted(inventory.load(plain)))
    engines.ask(asked, ())
    assert of_a_play(plain, "broker")["engines"] == ["chainermn"]


def test_an_engine_is_locked_beside_the_nodes_own_packages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[Any] = []
    # Its package has a function of this name, too.
    relock = importlib.import_module("streambed.artifacts.relock")
    monkeypatch.setattr(relock, "_compile", lambda *a, **k: told.append((a, k)))
    monkeypatch.setattr(artifacts, "lock", told.append)
    relock.relock_engine("chainermn")
    (stem, options), _ = told[0]
    assert stem == "requirements-engine-chainermn"
    assert "--constraint=requirements-node.lock" in options
    assert told[1] == "chainermn"


def test_an_engine_of_debian_is_locked_as_the_release_has_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told: list[Any] = []
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    (tmp_path / "debian-engine-torch.in").write_text("# First\ntorch\n\n# and\nfmt9\n")
    updates = Source("http://mirror/debian", f"{NODE_RELEASE}-updates", ("main",))
    monkeypatch.setattr(
        apt_sources, "of_this_host", lambda: [updates, replace(updates, suite=NODE_RELEASE)]
    )

    def offered(names: tuple[str, ...], sources: str, *, scratch: Path) -> dict[str, str]:
        assert scratch.is_dir()
        told.append(sources)
        return dict(zip(names, ("1.13.1+dfsg-4", "1:9"), strict=True))

    monkeypatch.setattr(debs, "offered", offered)
    monkeypatch.setattr(artifacts, "lock", told.append)
    importlib.import_module("streambed.artifacts.relock").relock_engine("torch")
    assert told == ["deb http://mirror/debian bookworm main\n", "torch"]
    assert artifacts.releases("torch") == {"torch": "1.13.1+dfsg-4", "fmt9": "1:9"}
    versions = load_versions(CLONE / "ansible" / "versions.yml")
    assert artifacts.component("torch").version(versions) == "1.13.1+dfsg-4"


def test_the_pinned_archive_has_the_packages_of_the_list() -> None:
    """Of each one a file, in the release that is locked."""
    locked = artifacts.releases("torch")
    assert tuple(locked) == artifacts.listed("torch")
    archive = artifacts.locked("torch")
    assert archive.version == locked["python3-torch"]
    assert {file.rsplit("_", 1)[0] for file in archive.members} == {
        f"{name}_{version}" for name, version in locked.items()
    }
    assert artifacts.locked("chainermn").version == "py3.11"


def test_a_release_that_is_gone_is_told_with_the_command_that_locks_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def gone(*_: Any, **__: Any) -> None:
        raise StreambedError("E: Version '9' for 'fmt9' was not found", hint="is it reachable?")

    monkeypatch.setattr(debs, "fetch_releases", gone)
    monkeypatch.setattr(artifacts, "sources", str)
    with pytest.raises(StreambedError, match="fmt9") as caught:
        artifacts.component("torch").fetch(
            Workshop(tmp_path, tmp_path, tmp_path, lock=0), load_versions()
        )
    assert caught.value.hint.endswith("./streambed lock --engine torch")


def test_each_engine_has_a_script_that_makes_its_environment() -> None:
    role = CLONE / "roles" / "training"
    scripts = yaml.safe_load((role / "vars" / "main.yml").read_text())["_training_scripts"]
    assert set(scripts) == set(artifacts.OF_DEBIAN)
    for script in ("build-engine", *scripts.values()):
        assert os.access(role / "files" / script, os.X_OK)


def test_the_manifest_says_which_archive_an_engine_came_from() -> None:
    facts = provenance.of_engine("torch", {"torch": "1.13.0a0"})
    archive = artifacts.locked("torch")
    assert facts.checksums == {"artifacts": {"engine_torch": archive.sha256}}
    assert facts.effective["training engine torch"] == {
        "torch": "1.13.0a0",
        "artifact": archive.file,
    }
    assert provenance.of_engine("spark-mlp", {}).checksums == {}
