"""Which study's figures a report draws: a published matrix has figures of its own."""

from streambed.report.data import ReportData

BANDWIDTH, TRIGGER, MODE = "bandwidth_mbit_per_s", "trigger_s", "mode"
WORKERS = "workers"
FAULT, PLAINTEXT = "fault", "plaintext"
SWAP = "swap"


def is_study_a(data: ReportData) -> bool:
    """Whether this is one run of study A's own matrix: bandwidth, trigger and mode, no more."""
    if len(data.runs) != 1:
        return False
    manifest = data.runs[0].manifest
    return manifest.study == "A" and set(manifest.factors) == {BANDWIDTH, TRIGGER, MODE}


def swaps_factors(data: ReportData) -> bool:
    """Whether these are modes with a factor swapped: what makes them differ is the question."""
    return SWAP in data.varied and MODE in data.varied


def varies_workers(data: ReportData) -> bool:
    """Whether these are results with different numbers of workers: what scales is the question."""
    return WORKERS in data.varied


def has_own_figures(data: ReportData) -> bool:
    """Whether the question has figures of its own, beside which the general ones say nothing."""
    asks = (WORKERS, FAULT, PLAINTEXT)
    own = is_study_a(data) or swaps_factors(data)
    return own or any(field in data.varied for field in asks)
