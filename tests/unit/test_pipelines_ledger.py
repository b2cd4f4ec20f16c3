"""Id accounting: lost, doubled, foreign and wrong results all show."""

import numpy as np
import numpy.typing as npt
import pytest

from streambed.pipelines.ledger import IdRange, Ledger

IMAGES = 10
TRUTH = np.arange(IMAGES, dtype=np.int32)


def ids(*values: int) -> npt.NDArray[np.uint64]:
    return np.array(values, np.uint64)


def labels(given: npt.NDArray[np.uint64]) -> npt.NDArray[np.int32]:
    return TRUTH[(given % np.uint64(IMAGES)).astype(np.int64)]


def filled(first: int = 25, count: int = 100) -> Ledger:
    ledger = Ledger(IdRange(first, count))
    everything = np.arange(first, first + count, dtype=np.uint64)
    ledger.add(everything, labels(everything))
    return ledger


def test_all_ids_once_is_complete_and_right() -> None:
    ledger = filled()
    assert ledger.complete
    assert (ledger.unique, ledger.lost, ledger.duplicates, ledger.unknown) == (100, 0, 0, 0)
    assert ledger.correct(TRUTH) == 100
    assert ledger.mismatches(TRUTH, np.ones(IMAGES, np.bool_)) == 0


def test_a_dropped_result_is_lost() -> None:
    ledger = Ledger(IdRange(5, 4))
    assert ledger.add(ids(5, 6, 8), labels(ids(5, 6, 8))) == 3
    assert (ledger.lost, ledger.complete) == (1, False)


def test_doubled_results_are_counted_within_and_across_records() -> None:
    ledger = Ledger(IdRange(0, 4))
    assert ledger.add(ids(0, 1, 1), labels(ids(0, 1, 1))) == 2
    assert ledger.add(ids(1, 2), labels(ids(1, 2))) == 1
    assert (ledger.unique, ledger.duplicates, ledger.conflicts) == (3, 2, 0)


def test_a_double_with_another_label_is_a_conflict_and_the_first_one_stays() -> None:
    ledger = Ledger(IdRange(0, 2))
    ledger.add(ids(0, 1), labels(ids(0, 1)))
    ledger.add(ids(1), np.array([9], np.int32))
    assert (ledger.duplicates, ledger.conflicts, ledger.correct(TRUTH)) == (1, 1, 2)


def test_warm_up_and_unknown_ids_are_kept_apart() -> None:
    ledger = Ledger(IdRange(1000, 3), (IdRange(0, 10), IdRange(20, 10)))
    given = ids(3, 25, 15, 1000, 1003, 999, 2**64 - 1)
    ledger.add(given, labels(given))
    assert (ledger.unique, ledger.warm_up, ledger.unknown) == (1, 2, 4)


def test_a_swapped_label_is_a_mismatch_only_where_the_reference_is_decided() -> None:
    ledger = Ledger(IdRange(25, 2))
    ledger.add(ids(25, 26), np.array([6, 5], np.int32))
    decided = np.ones(IMAGES, np.bool_)
    assert ledger.mismatches(TRUTH, decided) == 2
    decided[6] = False
    assert ledger.mismatches(TRUTH, decided) == 1
    assert ledger.correct(TRUTH) == 0


def test_an_id_range_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="first >= 0"):
        IdRange(-1, 3)
