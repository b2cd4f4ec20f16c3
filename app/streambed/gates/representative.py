"""Whether mode `as_published` shows what the published system showed, on these machines.

In study A the processing time of a micro-batch grows to 3 times its interval and stays there from
the bandwidth on at which the producer, and no longer the link, limits what arrives. So the producer
managed about 3 times what was classified; the mode is representative when ours, unshaped, manages
2.5 times. Where the link keeps a producer below its own rate and the classifier keeps up, neither
of the two shows, and the cell is as published whatever the ratio: nothing is judged.

The classifier's rate is the image rate where the cell was saturated, for then it is its capacity.
Elsewhere it is the images over processing time, which small batches make a lower bound: a cell
that fails with it would fail with the capacity, too.
"""

from streambed.experiment.factors import StreamingConfiguration
from streambed.experiment.length import link_images_per_s
from streambed.gates.reading import Reading
from streambed.results.measures import StreamingMeasures
from streambed.results.window import Window

AS_PUBLISHED = "as_published"

LEAST_RATIO = 2.5
"""Producer's unshaped rate over the classifier's (studies.md, A)."""


def judge(
    config: StreamingConfiguration,
    payload_bytes: int,
    measures: StreamingMeasures,
    window: Window,
    unshaped_rate_per_s: float,
) -> list[Reading]:
    """One reading, which flags; none in another mode, and where the link alone is the limit.

    Args:
        config: of the cell.
        payload_bytes: of one image.
        measures: the cell's figures.
        window: where they were measured.
        unshaped_rate_per_s: what the producer manages when nothing shapes the link, images/s.
    """
    if config.mode != AS_PUBLISHED:
        return []
    rate = measures.busy_image_rate_per_s if window.drained else measures.image_rate_per_s
    if rate is None:
        return []
    bandwidth = config.bandwidth_mbit_per_s
    link_limits = (
        bandwidth is not None and link_images_per_s(bandwidth, payload_bytes) < unshaped_rate_per_s
    )
    if window.drained and link_limits:
        return []
    return [
        Reading(
            gate="mode_representative",
            ok=unshaped_rate_per_s >= LEAST_RATIO * rate,
            measured=round(unshaped_rate_per_s),
            expected=f"at least {LEAST_RATIO:g} x {rate:.0f} of the classifier",
            unit="images/s",
            flag="not_representative",
        )
    ]
