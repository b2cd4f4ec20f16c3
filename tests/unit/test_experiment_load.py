"""A user's mistakes in an experiment file and its options: each is told with line and cure."""

import re
from pathlib import Path

import pytest

from streambed import paths
from streambed.errors import StreambedError
from streambed.experiment import Overrides, cells, load

GOOD = """\
name: trial
study: A
bed: duo
pipeline: streaming
factors:
  bandwidth: [10 Mbit/s, 100 Mbit/s]
  trigger: [1 s, 2 s]
fixed:
  model: mlp
subsets:
  evening:
    factors:
      bandwidth: [100 Mbit/s]
    fixed:
      image_count: 5000
    repeats: 2
repeats: 5
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "trial.yml"
    path.write_text(text)
    return path


def refusal(path: Path, overrides: Overrides | None = None) -> str:
    with pytest.raises(StreambedError) as caught:
        load(path, overrides)
    return caught.value.message


def test_a_good_file_becomes_typed_cells(tmp_path: Path) -> None:
    experiment = load(write(tmp_path, GOOD))
    values = [(c.streaming.bandwidth_mbit_per_s, c.streaming.trigger_s) for c in cells(experiment)]
    assert values == [(10.0, 1.0), (10.0, 2.0), (100.0, 1.0), (100.0, 2.0)]
    assert experiment.repeats == 5
    assert experiment.beds == ("duo",)


def test_small_is_the_four_cells_of_the_first_experiment() -> None:
    experiment = load("small")
    assert [cell.label for cell in cells(experiment)] == [
        "10 Mbit/s, 1 s",
        "10 Mbit/s, 2 s",
        "100 Mbit/s, 1 s",
        "100 Mbit/s, 2 s",
    ]


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("study: A", "studdy: A", 2, ["'studdy'", "did you mean 'study'", "factors"]),
        ("  trigger:", "  triger:", 7, ["unknown factor 'triger'", "did you mean 'trigger'"]),
        ("10 Mbit/s, ", "10, ", 6, ["'10'", "Mbit/s"]),
        ("10 Mbit/s, ", "fast, ", 6, ["'fast'", "10 Mbit/s"]),
        ("10 Mbit/s, ", ".nan, ", 6, ["nan", "positive number"]),
        ("10 Mbit/s, ", "nan Mbit/s, ", 6, ["nan Mbit/s", "positive number"]),
        ("10 Mbit/s, ", "0 Mbit/s, ", 6, ["'0 Mbit/s'", "positive"]),
        ("10 Mbit/s, ", "-1 Mbit/s, ", 6, ["'-1 Mbit/s'", "positive"]),
        ("10 Mbit/s, ", "1 bit/s, ", 6, ["cannot be shaped", "64 kbit/s"]),
        ("10 Mbit/s, ", "100 Mbit/s, ", 6, ["duplicate level", "'100 Mbit/s'"]),
        ("10 Mbit/s, ", "0.1 Gbit/s, ", 6, ["duplicate level"]),
        ("[1 s, 2 s]", "[]", 7, ["trigger", "no levels"]),
        ("[1 s, 2 s]", "1 s", 7, ["'1 s'", "a list"]),
        ("[1 s, 2 s]", "[[1 s]]", 7, ["['1 s']", "duration"]),
        ("  model: mlp", "  model: mpl", 9, ["did you mean 'mlp'", "FILE.py:Class"]),
        ("  model: mlp", "  model: no.py:Net", 9, ["no file at", "no.py"]),
        ("  model: mlp", "  partitions: two", 9, ["'two'", "whole number from 1"]),
        ("  model: mlp", "  partitions: true", 9, ["True", "whole number"]),
        ("  model: mlp", "  compression: gzip", 9, ["'gzip'", "none, lz4, zstd"]),
        ("  model: mlp", "  trigger: 1 s", 9, ["under `factors` too"]),
        ("  model: mlp", "  images: /nowhere", 9, ["/nowhere", "mnist"]),
        ("  model: mlp", "  model: mlp\n  model: lenet5", 10, ["'model'", "twice", "line 9"]),
        ("bed: duo", "bed: dou", 3, ["'dou'", "inventory/duo"]),
        ("pipeline: streaming", "pipeline: steam", 4, ["'steam'", "streaming"]),
        ("repeats: 5", "repeats: 0", 17, ["0", "at least 1"]),
        ("repeats: 5", "repeats: 2.5", 17, ["2.5", "at least 1"]),
        ("repeats: 5", "warm_up: {triggers: 3, drian: 1 s}", 17, ["drian", "drain"]),
        ("repeats: 5", "gates: {goodput_tolerance: 3}", 17, ["3", "'2 %'"]),
        ("[100 Mbit/s]", "[50 Mbit/s]", 13, ["'50 Mbit/s'", "not in the matrix", "100 Mbit/s"]),
        ("      bandwidth: [100", "      partitions: [100", 13, ["partitions", "this matrix"]),
        ("    repeats: 2", "    repeets: 2", 16, ["repeets", "repeats"]),
        ("name: trial", "name: ../x", 1, ["'../x'", "lower-case"]),
        ("name: trial\n", "", 1, ["'name'", "missing"]),
    ],
)
def test_a_mistake_names_file_line_value_and_what_is_allowed(
    tmp_path: Path, old: str, new: str, line: int, words: list[str]
) -> None:
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new, 1))
    told = [text for text in refusal(path).splitlines() if text.startswith(f"{path}:{line}: ")]
    assert any(all(word in text for word in words) for text in told), refusal(path)


def test_every_mistake_is_told_at_once_in_the_order_of_the_lines(tmp_path: Path) -> None:
    text = GOOD.replace("study: A", "stuty: A").replace("2 s]", "zwei]").replace("mlp", "nlp")
    told = refusal(write(tmp_path, text)).splitlines()
    assert told[0] == "3 mistakes:"
    assert [re.findall(r":(\d+):", entry)[0] for entry in told[1:]] == ["2", "7", "9"]


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "a mapping"), ("- 1\n", "a mapping"), ("a: [1\n", "not YAML"), ("a: b: c\n", "not YAML")],
)
def test_what_is_no_experiment_is_refused(tmp_path: Path, text: str, words: str) -> None:
    assert words in refusal(write(tmp_path, text))


def test_an_unknown_experiment_lists_those_there_are() -> None:
    assert "did you mean 'small'" in refusal(Path("smal"))


def test_set_replaces_levels_and_fixes_values(tmp_path: Path) -> None:
    options = Overrides(set=("bandwidth=20 Mbit/s", "compression=none,zstd", "partitions=4"))
    experiment = load(write(tmp_path, GOOD), options)
    found = {(c.streaming.bandwidth_mbit_per_s, c.streaming.compression) for c in cells(experiment)}
    assert found == {(20.0, "none"), (20.0, "zstd")}
    assert {c.streaming.partitions for c in cells(experiment)} == {4}
    assert len(cells(experiment)) == 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Overrides(set=("bandwidth=10",)), ["--set bandwidth=10", "Mbit/s"]),
        (Overrides(set=("bandwith=10 Mbit/s",)), ["did you mean 'bandwidth'"]),
        (Overrides(set=("trigger=1 s,1 s",)), ["duplicate level"]),
        (Overrides(set=("trigger=1 s,",)), ["trigger", "duration"]),
        (Overrides(set=("trigger",)), ["FACTOR=LEVEL"]),
        (Overrides(set=("trigger=1 s", "trigger=2 s")), ["set twice"]),
        (Overrides(subset="morning"), ["--subset morning", "evening"]),
        (Overrides(images=0), ["--images 0", "at least 1"]),
        (Overrides(duration="long"), ["--duration long", "'long'"]),
        (Overrides(images=5, duration="1 s"), ["--images", "--duration"]),
        (Overrides(repeats=0), ["--repeats 0", "at least 1"]),
        (Overrides(bed="dou"), ["--inventory dou", "inventory/duo"]),
        (Overrides(set=("bandwidth=unshaped",)), ["unshaped", "image_count"]),
        (Overrides(set=("model=/dev/null.py:Net",)), ["no file at /dev/null.py"]),
    ],
)
def test_a_mistaken_option_is_named(tmp_path: Path, options: Overrides, words: list[str]) -> None:
    told = refusal(write(tmp_path, GOOD), options)
    assert all(word in told for word in words), told


def test_a_subset_cuts_the_matrix_and_brings_its_own_length(tmp_path: Path) -> None:
    experiment = load(write(tmp_path, GOOD), Overrides(subset="evening"))
    assert [cell.label for cell in cells(experiment)] == ["100 Mbit/s, 1 s", "100 Mbit/s, 2 s"]
    assert {cell.images for cell in cells(experiment)} == {5000}
    assert experiment.repeats == 2


def test_options_win_over_the_subset(tmp_path: Path) -> None:
    options = Overrides(subset="evening", repeats=1, images=70)
    experiment = load(write(tmp_path, GOOD), options)
    assert (experiment.repeats, {cell.images for cell in cells(experiment)}) == (1, {70})


def test_auto_undoes_a_fixed_length(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD.replace("model: mlp", "image_count: 9").replace("5000", "auto"))
    assert {cell.images for cell in cells(load(path))} == {9}
    evening = cells(load(path, Overrides(subset="evening")))
    assert all(cell.images is not None and cell.images > 100_000 for cell in evening)


def test_a_model_of_the_users_own_needs_weights(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("class Net: ...\n")
    path = write(tmp_path, GOOD.replace("model: mlp", "model: net.py:Net"))
    assert "needs `weights`" in refusal(path)
    (tmp_path / "net.npz").write_bytes(b"weights")
    text = path.read_text().replace("net.py:Net", "net.py:Net\n  weights: net.npz")
    cell = cells(load(write(tmp_path, text)))[0]
    assert cell.streaming.model == f"{tmp_path}/net.py:Net"


def test_a_bed_per_level(tmp_path: Path) -> None:
    other = tmp_path / "wide"
    other.mkdir()
    hosts = (paths.ROOT / "inventory/duo/hosts.yml").read_text()
    (other / "hosts.yml").write_text(hosts)
    (other / "group_vars").symlink_to(paths.ROOT / "inventory/group_vars")
    beds = f"bed: {{factor: trigger, levels: {{1 s: duo, 2 s: {other}}}}}"
    experiment = load(write(tmp_path, GOOD.replace("bed: duo", beds)))
    assert [cell.bed for cell in cells(experiment)] == ["duo", str(other)] * 2
    missing = GOOD.replace("bed: duo", "bed: {factor: trigger, levels: {1 s: duo}}")
    assert "no bed for trigger = 2 s" in refusal(write(tmp_path, missing))


def test_published_values_are_checked_like_levels(tmp_path: Path) -> None:
    entry = """\
reference:
  - {measure: image_rate_per_s, at: {bandwidth: 20 Mbit/s}, value: 2300, source: Fig 3}
"""
    point = load(write(tmp_path, GOOD + entry)).references[0]
    assert (point.at, point.value) == ({"bandwidth_mbit_per_s": 20.0}, 2300.0)
    assert "did you mean 'image_rate_per_s'" in refusal(
        write(tmp_path, GOOD + entry.replace("image_rate_per_s", "image_rate"))
    )
