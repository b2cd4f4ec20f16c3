"""How the images of a micro-batch reach the model: the factors `conversion` and `calls`."""

from dataclasses import dataclass

ARROW, ROWS = "arrow", "rows"
CHUNKED, ONE_PER_BATCH = "chunked", "one_per_batch"
CHUNK_IMAGES = 2000
BACKLOG, INTERVAL = "backlog", "interval"
LEAN, PLAIN = "lean", "plain"


@dataclass(frozen=True)
class Way:
    """`chunk_images` is the most a chunked call gets at once."""

    conversion: str = ARROW
    calls: str = CHUNKED
    chunk_images: int = CHUNK_IMAGES

    @property
    def one_call(self) -> bool:
        """Whether the model sees the whole part of a micro-batch that a task has, at once."""
        return self.calls == ONE_PER_BATCH


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raises ValueError when `value` is not allowed."""
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; allowed: {', '.join(allowed)}")
