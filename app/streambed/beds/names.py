"""What a bed's things are called on the host: a short hash keeps clones and beds apart."""

import re
from dataclasses import dataclass

from streambed import paths
from streambed.errors import StreambedError

LABEL_CLONE = "streambed.clone"
LABEL_BED = "streambed.bed"
LABEL_ID = "streambed.id"
LABEL_SPEC = "streambed.spec"
LABEL_MAKER = "streambed.maker"
"""Only on containers that another made than the container provider: `vagrant`."""

# Both end up in host names and paths.
_ALLOWED = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")


@dataclass(frozen=True)
class BedNames:
    """Names and labels of one clone's bed."""

    bed: str
    clone: str
    id: str

    @property
    def network(self) -> str:
        return f"streambed-{self.id}"

    @property
    def bridge(self) -> str:
        """The network's interface on the host; Linux allows 15 characters."""
        return f"sb-{self.id}"

    def container(self, node: str) -> str:
        return f"streambed-{self.id}-{node}"

    def disk(self, node: str) -> str:
        """The volume of a node, beginning like its file's name; of all nodes, the beginning."""
        return f"{self.network}-disk-{node}"

    def labels(self) -> dict[str, str]:
        return {LABEL_CLONE: self.clone, LABEL_BED: self.bed, LABEL_ID: self.id}


def names_of(bed: str) -> BedNames:
    """The names of this clone's bed.

    Raises:
        StreambedError: the bed's name cannot be a host name.
    """
    check_name("bed_name", bed)
    return BedNames(bed=bed, clone=str(paths.ROOT), id=paths.clone_hash(bed))


def check_name(what: str, name: str) -> None:
    """Refuse a name that cannot stand in a host name or a path."""
    if not _ALLOWED.fullmatch(name):
        raise StreambedError(f"{what} {name!r}: 1 to 32 of a-z, 0-9 and '-', not '-' at an end")
