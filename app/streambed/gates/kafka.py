"""Gates 2 and 6 for pipelines that end at consumers: ids, partitions, clients, settings, faults."""

from collections.abc import Mapping, Sequence
from typing import Any

from streambed.gates.reading import Reading
from streambed.gates.timeliness import CLOCK_ROUNDING_S

Sizes = Mapping[str, Mapping[str, int]]
"""Broker (host:port) → partition → bytes that it holds."""

ON_TIME_SHARE = 0.5
"""Of a frame's time: a sender that is later than this, 99th percentile, may be what is measured."""


def accounted(
    *, sent: int, lost: int, duplicates: int | None, unknown: int, doubles_allowed: bool
) -> list[Reading]:
    """Every id that was sent is there, once.

    Args:
        sent: images that were acknowledged.
        lost: of those, not in the topic.
        duplicates: records beyond the first of an id; None where none has an id.
        unknown: records of ids that were never sent.
        doubles_allowed: a broker was killed, and the producer may send again what it had already.
    """
    readings = [
        Reading("images_lost", ok=lost == 0, measured=lost, expected=f"0 of {sent}"),
        Reading("images_unknown", ok=unknown == 0, measured=unknown, expected="0"),
    ]
    if duplicates is not None:
        readings.append(
            Reading(
                "images_duplicate",
                ok=duplicates == 0 or doubles_allowed,
                measured=duplicates,
                expected="any: a retry without idempotence may double" if doubles_allowed else "0",
            )
        )
    return readings


def holders_of(addresses: Sequence[str], partitions: int, replication: int) -> set[str]:
    """Which brokers hold something: each partition's first one follows that of the one before."""
    return {
        addresses[(number + step) % len(addresses)]
        for number in range(partitions)
        for step in range(replication)
    }


def brokers_act(expected: set[str], leaders: Sequence[str] | None, stored: Sizes) -> Reading:
    """`brokers`, `broker_on`: these brokers led the topic for the producer, and these hold it.

    Args:
        expected: host:port of the brokers that should.
        leaders: of the topic's partitions, as the producer's client saw them; None: it does not
            tell.
        stored: what each broker holds of the topic.
    """
    holding = {broker for broker, sizes in stored.items() if sum(sizes.values())}
    led = set(leaders or ())
    return Reading(
        gate="brokers_act",
        ok=holding == expected and led <= expected,
        measured=f"held by {_words(holding)}; led by {_words(led) if leaders else 'not told'}",
        expected=f"held by {_words(expected)}",
    )


def replication_acts(asked: int, stored: Sizes) -> Reading:
    """`replication`: how many brokers hold each partition."""
    copies: dict[str, int] = {}
    for sizes in stored.values():
        for partition in sizes:
            copies[partition] = copies.get(partition, 0) + 1
    found = sorted(set(copies.values()))
    return Reading(
        gate="replication_acts",
        ok=found == [asked],
        measured=", ".join(map(str, found)) or "none",
        expected=f"{asked} of each partition",
    )


def partitions_act(asked: int, stored: Sizes, told: Sequence[int | None]) -> Reading:
    """`partitions`: those that brokers hold, and those that each client saw.

    Args:
        asked: of the topic.
        stored: what each broker holds of it; a partition without records is there too.
        told: by the clients; None by one that does not tell.
    """
    held = {partition for sizes in stored.values() for partition in sizes}
    seen = sorted({count for count in told if count is not None})
    return Reading(
        gate="partitions_act",
        ok=len(held) == asked and seen in ([], [asked]),
        measured=f"{len(held)} held, {', '.join(map(str, seen)) or 'none'} seen by clients",
        expected=f"{asked}",
    )


def consumers_act(consumers: Sequence[Mapping[str, Any]], expected: Sequence[int]) -> Reading:
    """`consumers`: each had its partitions, and from each of them all images.

    Args:
        consumers: `done` events of program `read`, in order.
        expected: images in each partition.
    """
    wrong = []
    for number, done in enumerate(consumers, 1):
        mine = {str(p): expected[p] for p in done["assigned"] if expected[p]}
        # Second copies are another gate's.
        got = {p: n for p, n in done["per_partition"].items() if n}
        if set(got) != set(mine) or any(got[p] < mine[p] for p in mine):
            wrong.append(f"consumer {number}: {got} of {mine}")
    counts = [done["unique"] for done in consumers]
    return Reading(
        gate="consumers_act",
        ok=bool(consumers) and not wrong,
        measured="; ".join(wrong) or f"{', '.join(map(str, counts))} images each",
        expected="each consumer all images of its own partitions, and no others",
    )


def client_acts(asked: str, clients: Sequence[str]) -> Reading:
    """`client`: the libraries that sent and read, as they name themselves."""
    found = {client.split(" ", maxsplit=1)[0] for client in clients}
    return Reading(
        gate="client_acts",
        ok=found == {asked},
        measured=_words(set(clients)),
        expected=asked,
    )


def settings_act(
    *,
    acks: str | None,
    idempotence: str | None,
    batch_bytes: int | None,
    seen: Mapping[str, Any],
) -> list[Reading]:
    """What the producer's library tells of the settings that a cell gave.

    Args:
        acks: as the cell asks; None: the library's own.
        idempotence: likewise.
        batch_bytes: likewise.
        seen: the producer's `done` event.
    """
    readings = []
    answered, idempotent = seen.get("answered"), seen.get("idempotent")
    if acks is not None and answered is not None:
        readings.append(
            Reading(
                "acks_act",
                ok=answered == (acks != "none"),
                measured="requests are answered" if answered else "requests are not answered",
                expected="no answer" if acks == "none" else f"an answer ({acks})",
            )
        )
    if idempotence is not None and idempotent is not None:
        readings.append(
            Reading(
                "idempotence_acts",
                ok=idempotent == (idempotence == "on"),
                measured="on" if idempotent else "off",
                expected=idempotence,
            )
        )
    mean_bytes = seen.get("batch_bytes")
    if batch_bytes is not None and mean_bytes is not None:
        readings.append(
            Reading(
                "batch_acts",
                ok=mean_bytes <= batch_bytes,
                measured=round(mean_bytes),
                expected=f"at most {batch_bytes} on average",
                unit="bytes",
            )
        )
    return readings


def fault_acts(before: str, after: str, killed_at: float, sending: tuple[float, float]) -> Reading:
    """`kill_broker`: its process is another one now, and it was killed while images were sent.

    Args:
        before: the service's life, as gates/disturbance.py reads it.
        after: the same at the end.
        killed_at: unix seconds.
        sending: first and last send, unix seconds.
    """
    inside = sending[0] < killed_at < sending[1]
    return Reading(
        gate="fault_acts",
        ok=before != after and inside,
        measured=f"{before}, then {after}; killed "
        + (f"{killed_at - sending[0]:.1f} s after the first send" if inside else "not in mid-run"),
        expected="another process, killed between first and last send",
    )


def replicas_agree(stored: Sizes) -> Reading:
    """After a fault: every replica of a partition is as long as the others."""
    sizes: dict[str, set[int]] = {}
    for held in stored.values():
        for partition, size in held.items():
            sizes.setdefault(partition, set()).add(size)
    unlike = [
        f"{partition}: {sorted(found)}" for partition, found in sizes.items() if len(found) > 1
    ]
    return Reading(
        gate="replicas_agree",
        ok=bool(sizes) and not unlike,
        measured="; ".join(unlike) or f"{len(sizes)} partitions alike",
        expected="replicas of one length",
        unit="bytes" if unlike else "",
    )


def order_kept(reordered: int) -> Reading:
    """Per camera: no frame came after a later one."""
    return Reading("order_kept", ok=reordered == 0, measured=reordered, expected="0")


def clocks_agree(median_s: float, apart_s: float) -> Reading:
    """Half of the frames cannot have come before they were sent, clocks being so far apart."""
    allowed_s = CLOCK_ROUNDING_S + apart_s
    return Reading(
        gate="clocks_agree",
        ok=median_s >= -allowed_s,
        measured=round(median_s, 4),
        expected=f"at least {-allowed_s:g}, the median latency",
        unit="s",
    )


def cameras_on_time(late_p99_s: float, frame_rate_per_s: float) -> Reading:
    """The process that holds the cameras sent frames when they were due."""
    limit_s = ON_TIME_SHARE / frame_rate_per_s
    return Reading(
        gate="cameras_on_time",
        ok=late_p99_s <= limit_s,
        measured=round(late_p99_s, 4),
        expected=f"at most {limit_s:g} late, 99th percentile",
        unit="s",
        flag="driver_bound",
    )


def _words(found: set[str]) -> str:
    return ", ".join(sorted(found)) or "none"
