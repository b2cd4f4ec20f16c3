"""`perf`: Kafka's own tools in Java, the outside reference; their lines become events.

ProducerPerformance sends images as text of the same size (it reads its payloads as text), without
keys, to the partitions that its library chooses. ConsumerPerformance is one member of a group, and
says nothing of its last interval, which is not a whole one.
"""

import re
import resource
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streambed.pipelines import datasets, kafka_access
from streambed.pipelines.errors import ServiceError, SpecError
from streambed.pipelines.protocol import Commands, emit, say
from streambed.pipelines.spec import parse

LIBS = Path("/opt/kafka/libs")
TOOLS = {
    "produce": "org.apache.kafka.tools.ProducerPerformance",
    "consume": "org.apache.kafka.tools.ConsumerPerformance",
}
ACCOUNTS = {"produce": kafka_access.PRODUCER, "consume": kafka_access.CLASSIFIER}
EVERY_MS = 250
NEWLINE = 10

_INTERVAL = re.compile(r"(\d+) records sent, [0-9.]+ records/sec .* ms max latency\.$")
_TOTAL = re.compile(r"(\d+) records sent, ([0-9.]+) records/sec .* ms 99\.9th\.$")
_STEADY = re.compile(r"(\d+) steady state records sent, ([0-9.]+) records/sec .* ms 99\.9th\.$")
_METRIC = re.compile(r"(?:producer|consumer)-\S*metrics:([a-z-]+):\{[^}]*\}\s*: ([0-9.NaN]+)$")


@dataclass(frozen=True)
class PerfSpec:
    """`tool` is produce or consume; `properties` are of the Java client, by its own names.

    `warm_up` records are left out of what ProducerPerformance calls its steady state.
    """

    tool: str
    bootstrap: str
    topic: str
    count: int
    warm_up: int = 0
    dataset: str = datasets.MNIST
    heap: str = "256m"
    deadline_s: float = 600.0
    properties: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.tool not in TOOLS:
            raise ValueError(f"tool {self.tool!r}; allowed: {', '.join(TOOLS)}")
        if self.count < 1 or not 0 <= self.warm_up < self.count:
            raise ValueError("count must be >= 1, warm_up from 0 to less than that")


@dataclass
class Said:
    """What the tool's lines came to."""

    images: int = 0
    tool_rate_per_s: float | None = None
    """By its own summary; of the producer's steady state, where it tells one."""
    metrics: dict[str, float] = field(default_factory=dict)
    gave_up: bool = False
    """The consumer: nothing came for half a minute."""

    def line(self, tool: str, line: str) -> int:
        """Take in a line; images that it adds to those told before."""
        metric = _METRIC.match(line)
        if metric is not None and metric[2] != "NaN":
            self.metrics[metric[1]] = float(metric[2])
        return self._produced(line) if tool == "produce" else self._consumed(line)

    def _produced(self, line: str) -> int:
        steady, total = _STEADY.match(line), _TOTAL.match(line)
        if steady is not None:
            self.tool_rate_per_s = float(steady[2])
        elif total is not None:
            if self.tool_rate_per_s is None:
                self.tool_rate_per_s = float(total[2])
            return self._upto(int(total[1]))
        elif interval := _INTERVAL.match(line):
            return self._upto(self.images + int(interval[1]))
        return 0

    def _consumed(self, line: str) -> int:
        """time, thread, MB, MB/s, records so far, records/s, and four fields of the rebalance."""
        self.gave_up = self.gave_up or line.startswith("WARNING: Exiting before")
        fields = [text.strip() for text in line.split(",")]
        if len(fields) != 10 or not fields[4].isdigit():
            return 0
        return self._upto(int(fields[4]))

    def _upto(self, images: int) -> int:
        more = max(0, images - self.images)
        self.images += more
        return more


def payload_file(dataset: datasets.Dataset, path: Path) -> None:
    """Each image as one line of as many bytes: pixels of seven bits, none of them a line's end."""
    import numpy as np

    pixels = dataset.images.reshape(len(dataset.images), -1) >> 1
    pixels[pixels == NEWLINE] = NEWLINE + 1
    line_ends = np.full((len(pixels), 1), NEWLINE, np.uint8)
    path.write_bytes(np.concatenate([pixels, line_ends], axis=1).tobytes())


def command(spec: PerfSpec, payloads: Path | None) -> list[str]:
    """The tool's command line."""
    java = ["java", f"-Xms{spec.heap}", f"-Xmx{spec.heap}", "-XX:+UseSerialGC"]
    java += ["-cp", f"{LIBS}/*", TOOLS[spec.tool]]
    properties = [f"{name}={value}" for name, value in spec.properties.items()]
    access = kafka_access.of(spec.bootstrap, ACCOUNTS[spec.tool])
    common = ["--bootstrap-server", access.servers, "--topic", spec.topic]
    common += access.java_tool()
    common += ["--num-records", str(spec.count), "--print-metrics"]
    common += ["--reporting-interval", str(EVERY_MS)]
    if spec.tool == "produce":
        more = ["--throughput", "-1", "--payload-file", str(payloads)]
        more += ["--warmup-records", str(spec.warm_up)] if spec.warm_up else []
        # One option with all of them.
        more += ["--command-property", *properties] if properties else []
        return [*java, *common, *more]
    more = ["--show-detailed-stats", "--hide-header", "--timeout", "30000"]
    for each in properties:
        more += ["--command-property", each]
    return [*java, *common, *more]


def program(raw: dict[str, Any], commands: Commands) -> None:
    """Run `perf`: events ready, sample ..., done."""
    del commands
    spec = parse(PerfSpec, raw)
    jars = sorted(LIBS.glob("kafka-clients-*.jar"))
    if not jars:
        raise SpecError(f"{LIBS}: no Kafka on this node; its tools come with role kafka")
    version = jars[0].stem.removeprefix("kafka-clients-")
    with tempfile.TemporaryDirectory(prefix="perf-") as directory:
        payloads = None
        if spec.tool == "produce":
            payloads = Path(directory) / "payloads"
            payload_file(datasets.load(spec.dataset), payloads)
        emit("ready", at=time.time(), client=f"java {version}")
        said = _run(spec, command(spec, payloads))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    emit(
        "done",
        at=time.time(),
        client=f"java {version}",
        images=said.images,
        tool_rate_per_s=said.tool_rate_per_s,
        records_per_request=said.metrics.get("records-per-request-avg"),
        batch_bytes=said.metrics.get("batch-size-avg"),
        cpu_s=used.ru_utime + used.ru_stime,
    )


def _run(spec: PerfSpec, argv: list[str]) -> Said:
    said, last = Said(), ""
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            last = line.strip() or last
            images = said.line(spec.tool, line.strip())
            if images:
                emit("sample", at=time.time(), images=images)
    if spec.tool == "consume" and not said.gave_up:
        said.images = spec.count  # or it would not have ended
    if process.returncode != 0 or said.images < spec.count:
        say(last)
        raise ServiceError(
            f"{TOOLS[spec.tool].rpartition('.')[2]} ended with status {process.returncode} after "
            f"{said.images} of {spec.count} images: {last}"
        )
    return said
