"""What ends a cell early."""


class CellFailure(Exception):
    """A cell that cannot count: the reason goes into its row, the run goes on."""


class BedFailure(CellFailure):
    """The bed itself does not answer; the cell is a failed row and the next cell reconnects."""
