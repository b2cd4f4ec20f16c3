"""Which images a consumer has got: every id counted, in whatever order it comes.

Ids are first_id ... first_id + count - 1; a consumer of some partitions expects some of them.
"""

from collections import Counter

import numpy as np
import numpy.typing as npt

from streambed.pipelines.readers import Fetched


class Account:
    """Counts so far.

    Attributes:
        records: of the expected ids, repeated ones included.
        unique: expected ids seen at least once.
        unknown: records of ids outside of the range.
        value_bytes: payload of all records.
        per_partition: partition → records.
    """

    def __init__(self, first_id: int, count: int) -> None:
        self._first = np.uint64(first_id)
        self._seen = np.zeros(count, np.uint16)
        self.records = self.unique = self.unknown = self.value_bytes = 0
        self.per_partition: Counter[int] = Counter()

    @property
    def duplicates(self) -> int:
        """Records beyond the first of an id."""
        return self.records - self.unique

    def add(self, fetched: Fetched) -> "npt.NDArray[np.uint64]":
        """Enter records; returns their ids, uint64[n], in the order in which they came."""
        ids = np.frombuffer(b"".join(fetched.keys), ">u8").astype(np.uint64)
        self.per_partition.update(fetched.partitions)
        self.value_bytes += fetched.value_bytes
        # Below the first id the difference wraps around to something huge.
        index = ids - self._first
        inside = index < np.uint64(len(self._seen))
        self.unknown += int(len(ids) - inside.sum())
        known = index[inside].astype(np.int64)
        self.unique += len(np.unique(known[self._seen[known] == 0]))
        self.records += len(known)
        np.add.at(self._seen, known, 1)
        return ids
