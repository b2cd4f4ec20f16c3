"""Progress of a run in numbers."""

import pytest

from streambed.runner.display import Display


def test_a_cell_that_is_repeated_is_no_other_cell(capsys: pytest.CaptureFixture[str]) -> None:
    with Display(cells=2, estimated_s=100) as display:
        display.cell("first")
        display.outcome("ok (contended)", 50, again=True)
        assert display.remaining_s() >= 0
        display.cell("first")
        display.outcome("ok", 50)
        display.cell("second")
        display.outcome("ok", 50)
        assert display.remaining_s() == pytest.approx(0)
    said = capsys.readouterr().err
    assert said.count("cell 1/2") == 2
    assert said.count("cell 2/2") == 1
