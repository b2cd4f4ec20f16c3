"""Spark's settings of a classifier, as plain data: what differs from Spark's defaults.

`lean` is what was measured to shorten a micro-batch on a small quota. `plain` leaves Spark and its
Kafka clients as they come, but for what keeps a node's addresses, ports and memory to what the
bed's plan allows, and for how long JVMs and Python workers take to start and to warm up (see
spark_daemon.py, too), which is no part of a figure.
"""

from collections.abc import Mapping
from typing import Protocol

from streambed.pipelines import kafka_access
from streambed.pipelines.way import LEAN

NO_CONFIGURATION = "/usr/local/lib/streambed/no-configuration"
"""Spark puts its configuration directory on the class path; one with files rules archives out."""

EVENTS = "/var/lib/spark/events"
"""Where the history server looks for event logs, on the master's node."""

LOGGING = "-Dlog4j2.configurationFile=/etc/spark/log4j2.properties"

SECURITY = "/etc/streambed/spark.conf"
"""Spark's secret and how its parts talk to each other; read by the driver's JVM, never passed."""

LOGINS = {"driver": kafka_access.DRIVER_LOGIN, "executor": kafka_access.EXECUTOR_LOGIN}
"""As whom these JVMs come to Kafka."""

CLASSES = "-XX:SharedArchiveFile=/opt/streambed/classes"
"""A baked node has the classes of driver and executor parsed already; elsewhere it says nothing."""

JVM = "-XX:+UseSerialGC -Xss512k"

QUICK = "-XX:TieredStopAtLevel=1"
"""The quick compiler only: a run of minutes never earns back what the optimising one costs, and a
cell of a minute would measure the compiler instead of the design."""

HOT_ONLY = (
    "-XX:Tier4InvocationThreshold=100000 -XX:Tier4MinInvocationThreshold=50000 "
    "-XX:Tier4CompileThreshold=150000 -XX:Tier4BackEdgeThreshold=1000000"
)
"""The optimising one for what an executor does with every record, and for nothing else: 20 times
its own thresholds. An image from Kafka to Python and back took 12.2 us of CPU instead of 14.0."""

YOUNG = "-Xmn384m"
"""Half of an executor's heap: records live for one poll, and copying them took 2.5 us per image."""

EXECUTOR_MEMORY_MIB, DRIVER_MEMORY_MIB = 768, 640
"""Heaps."""

SECRET_WORDS = ("password", "secret", "token", "jaas")


LEAN_ONLY = {
    # Activations of a few MB come and go with every call: keep their pages.
    "spark.executorEnv.MALLOC_MMAP_THRESHOLD_": "268435456",
    "spark.executorEnv.MALLOC_TRIM_THRESHOLD_": "536870912",
    "spark.python.worker.reuse": "true",
    "spark.buffer.size": "1048576",
    "spark.locality.wait": "0",
    # Each of these is work per micro-batch that a map-only query has no use for.
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.shuffle.partitions": "1",
    # What the driver remembers of each of them for an interface that is off: 1,000 by itself, so
    # that it grows for the first 17 minutes of a query with a trigger a second.
    "spark.sql.ui.retainedExecutions": "1",
    "spark.ui.retainedJobs": "10",
    "spark.ui.retainedStages": "10",
    "spark.ui.retainedTasks": "100",
    "spark.sql.ui.explainMode": "simple",
    "spark.sql.maxPlanStringLength": "1000",
    # No checksum files: without Hadoop's native library each file costs a process (chmod).
    "spark.hadoop.fs.AbstractFileSystem.file.impl": "org.apache.hadoop.fs.local.RawLocalFs",
    "spark.sql.streaming.noDataMicroBatches.enabled": "false",
}
"""What `plain` leaves as it comes."""


class Placement(Protocol):
    """What the settings depend on."""

    @property
    def app_name(self) -> str: ...
    @property
    def master_url(self) -> str: ...
    @property
    def driver_address(self) -> str: ...
    @property
    def driver_port(self) -> int: ...
    @property
    def driver_block_port(self) -> int: ...
    @property
    def executor_block_port(self) -> int: ...
    @property
    def executors(self) -> int: ...
    @property
    def cores_per_executor(self) -> int: ...
    @property
    def executor_memory(self) -> str: ...
    @property
    def driver_memory(self) -> str: ...
    @property
    def arrow_batch_images(self) -> int: ...
    @property
    def settings(self) -> str: ...
    @property
    def executor_java_options(self) -> str | None: ...
    @property
    def driver_java_options(self) -> str | None: ...
    @property
    def event_log_dir(self) -> str | None: ...


def settings(placement: Placement, python_path: str) -> dict[str, str]:
    """SparkConf entries for `placement`; `python_path` is the executors' own."""
    lean = placement.settings == LEAN
    conf = {
        "spark.app.name": placement.app_name,
        "spark.master": placement.master_url,
        "spark.driver.host": placement.driver_address,
        "spark.driver.bindAddress": placement.driver_address,
        "spark.driver.port": str(placement.driver_port),
        "spark.driver.blockManager.port": str(placement.driver_block_port),
        "spark.blockManager.port": str(placement.executor_block_port),
        "spark.driver.memory": placement.driver_memory,
        "spark.executor.memory": placement.executor_memory,
        "spark.executor.cores": str(placement.cores_per_executor),
        "spark.cores.max": str(placement.executors * placement.cores_per_executor),
        # A query that starts on half its cores would be measured with them.
        "spark.scheduler.minRegisteredResourcesRatio": "1.0",
        "spark.scheduler.maxRegisteredResourcesWaitingTime": "120s",
        "spark.executorEnv.PYTHONPATH": python_path,
        # One thread per worker process, or they fight over the cores.
        "spark.executorEnv.OMP_NUM_THREADS": "1",
        "spark.executorEnv.OPENBLAS_NUM_THREADS": "1",
        "spark.python.daemon.module": "streambed.pipelines.spark_daemon",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.streaming.numRecentProgressUpdates": "50",
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(placement.arrow_batch_images),
        **(LEAN_ONLY if lean else {}),
    }
    for role, given, own in (
        ("driver", placement.driver_java_options, f"{JVM} {QUICK}"),
        ("executor", placement.executor_java_options, f"{JVM} {HOT_ONLY} {YOUNG}"),
    ):
        login = f"-Djava.security.auth.login.config={LOGINS[role]}"
        options = f"{LOGGING} {CLASSES}/{role}.jsa {own}" if given is None else given
        conf[f"spark.{role}.extraJavaOptions"] = f"{login} {options}"
    # Said either way: a node's spark-defaults.conf may have switched it on.
    conf["spark.eventLog.enabled"] = "false" if placement.event_log_dir is None else "true"
    if placement.event_log_dir is not None:
        conf["spark.eventLog.dir"] = f"file://{placement.event_log_dir}"
    return conf


def source_options(
    spec_settings: str,
    bootstrap: str,
    topic: str,
    max_offsets: int | None,
) -> dict[str, str]:
    """Options of the Kafka source; lean, a micro-batch is fetched in a few large requests."""
    options = {
        **_of_clients(bootstrap),
        "subscribe": topic,
        "startingOffsets": "earliest",
        "failOnDataLoss": "true",
        # Records with headers are none of ours, and set aside.
        "includeHeaders": "true",
    }
    if spec_settings == LEAN:
        options |= {
            "kafka.max.poll.records": "10000",
            "kafka.max.partition.fetch.bytes": "8388608",
            "kafka.fetch.max.bytes": "52428800",
            "kafka.receive.buffer.bytes": "1048576",
        }
    if max_offsets is not None:
        options["maxOffsetsPerTrigger"] = str(max_offsets)
    return options


def _of_clients(bootstrap: str) -> dict[str, str]:
    return {f"kafka.{name}": value for name, value in kafka_access.java(bootstrap).items()}


def sink_options(spec_settings: str, bootstrap: str) -> dict[str, str]:
    """Options of the Kafka sink; each message names its topic."""
    options = _of_clients(bootstrap)
    if spec_settings == LEAN:
        options |= {
            "kafka.linger.ms": "0",
            "kafka.batch.size": "1048576",
            "kafka.max.request.size": "8388608",
        }
    return options


def query_options(checkpoint: str, progress_every_ms: int | None) -> dict[str, str]:
    """What a streaming query keeps; `progress_every_ms` writes its offset log beside the batches.

    Spark does that for a query that ends in the Kafka sink.
    """
    options = {"checkpointLocation": checkpoint}
    if progress_every_ms is not None:
        options["asyncProgressTrackingEnabled"] = "true"
        options["asyncProgressTrackingCheckpointIntervalMs"] = str(progress_every_ms)
    return options


def redacted(conf: Mapping[str, str]) -> dict[str, str]:
    """`conf` without secrets, for the manifest."""
    return {
        name: "(redacted)" if any(word in name.lower() for word in SECRET_WORDS) else value
        for name, value in sorted(conf.items())
    }
