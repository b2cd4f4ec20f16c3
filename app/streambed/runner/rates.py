"""How fast a cell's images can come, and how long they take: arithmetic on what was measured."""

from dataclasses import dataclass

from streambed import link
from streambed.experiment.estimate import UNSHAPED_IMAGES_PER_S
from streambed.experiment.factors import StreamingConfiguration
from streambed.experiment.length import COMPRESSION_RATIO, MTU_BYTES, RECORD_BYTES
from streambed.gates.goodput import Goodput


@dataclass(frozen=True)
class Ceiling:
    """The highest rate that can be offered, images/s, and what sets it: `link` or `producer`."""

    rate_per_s: float
    set_by: str


def ceiling(
    config: StreamingConfiguration,
    payload_bytes: int,
    goodput: Goodput | None,
    unshaped_rate_per_s: float,
) -> Ceiling:
    """The highest rate that a cell can offer.

    Args:
        config: of the cell; a codec lets more images through the link.
        payload_bytes: size of one image.
        goodput: of the link as measured; None when it is not shaped.
        unshaped_rate_per_s: what the producer manages when nothing is in its way.
    """
    producer = Ceiling(unshaped_rate_per_s, "producer")
    if goodput is None:
        return producer
    by_link = Ceiling(link_rate_per_s(config, payload_bytes, goodput), "link")
    return min(by_link, producer, key=lambda limit: limit.rate_per_s)


def link_rate_per_s(config: StreamingConfiguration, payload_bytes: int, goodput: Goodput) -> float:
    """Images per second that the link as measured takes, compressed ones by the codec's bound."""
    ratio = COMPRESSION_RATIO[config.compression]
    return ratio * goodput.up_mbit_per_s * 1e6 / 8 / (payload_bytes + RECORD_BYTES)


def closed_mode_rate_per_s(
    config: StreamingConfiguration, payload_bytes: int, goodput: Goodput | None
) -> float | None:
    """Images per second of a producer in closed mode; None: the link itself holds it back.

    A producer beside its broker meets no link: images come as fast as the link could take them, or
    the broker would hold all of them before Spark has fetched its first batch.
    """
    if config.broker_on == "cloud" or goodput is None:
        return None
    return link_rate_per_s(config, payload_bytes, goodput)


def sending_s(
    config: StreamingConfiguration, payload_bytes: int, images: int, rate_per_s: float | None
) -> float:
    """How long the link, the offered rate or the classifier needs for so many images, seconds."""
    times = [images / UNSHAPED_IMAGES_PER_S]
    bandwidth = config.bandwidth_mbit_per_s
    if bandwidth is not None:
        expected = link.expected_goodput_bit_per_s(bandwidth * 1e6, MTU_BYTES)
        times.append(images * payload_bytes * 8 / expected)
    if rate_per_s is not None:
        times.append(images / rate_per_s)
    return max(times)
