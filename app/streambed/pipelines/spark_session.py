"""The Spark session of a driver, and Spark's errors in one line."""

import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streambed.pipelines import spark_conf
from streambed.pipelines.errors import ServiceError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_TELL_TIMEOUT_S = 10.0


def start(
    placement: spark_conf.Placement, more: Mapping[str, Any], *, python: str | None = None
) -> "SparkSession":
    """A session with `spark_conf.settings`, and `more` on top of them.

    Executors start the interpreter `python`, the driver's own where none is given.

    Raises ServiceError when the driver does not start.
    """
    # Read by the JVM that only works out spark-submit's command line.
    os.environ.setdefault("SPARK_LAUNCHER_OPTS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
    os.environ["SPARK_LOCAL_IP"] = placement.driver_address
    os.environ["SPARK_CONF_DIR"] = spark_conf.NO_CONFIGURATION
    # What is set below goes by arguments, which anybody on the node can read; a secret may not.
    os.environ["PYSPARK_SUBMIT_ARGS"] = f"--properties-file {spark_conf.SECURITY} pyspark-shell"
    os.environ["PYSPARK_PYTHON"] = python or sys.executable
    os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    from pyspark import SparkConf
    from pyspark.sql import SparkSession

    python_path = str(Path(__file__).resolve().parents[2])
    conf = SparkConf(loadDefaults=False)
    for name, value in spark_conf.settings(placement, python_path).items():
        conf.set(name, value)
    for name, value in more.items():
        conf.set(name, str(value))
    session = calling(
        lambda: SparkSession.builder.config(conf=conf).getOrCreate(), "the driver did not start"
    )
    session.sparkContext.setLogLevel("WARN")
    return session


def executors(session: "SparkSession") -> dict[str, dict[str, Any]]:
    """Id → `host` and `cores` of every executor; one that took another's place has a new id.

    Raises ServiceError when Spark does not tell of an executor that it has.
    """
    context = session.sparkContext._jsc.sc()  # noqa: SLF001 (pyspark has no public way)
    deadline = time.monotonic() + _TELL_TIMEOUT_S
    while True:
        ids = context.getExecutorIds()
        wanted = {str(ids.apply(index)) for index in range(ids.size())}
        # It learns of them by events, a moment later.
        told = context.statusStore().executorList(True)
        found = [told.apply(index) for index in range(told.size())]
        seen = {str(e.id()): {"host": _host(e), "cores": int(e.totalCores())} for e in found}
        if wanted <= seen.keys():
            return {name: seen[name] for name in sorted(wanted)}
        if time.monotonic() > deadline:
            missing = ", ".join(sorted(wanted - seen.keys()))
            raise ServiceError(f"Spark does not tell where executors {missing} are")
        time.sleep(0.05)


def _host(executor: Any) -> str:
    return str(executor.hostPort()).rpartition(":")[0] or str(executor.hostPort())


def executor_hosts(session: "SparkSession") -> dict[str, str]:
    """Id → host of every executor; raises as `executors` does."""
    return {name: str(told["host"]) for name, told in executors(session).items()}


def change(session: "SparkSession", settings: Mapping[str, str]) -> None:
    """Change settings of an application that runs; of use where Spark reads them each time."""
    # The configuration of the JVM's own context; what `getConf` gives is a copy.
    conf = session.sparkContext._conf  # noqa: SLF001 (as above)
    for name, value in settings.items():
        conf.set(name, value)


def in_force(session: "SparkSession", names: Iterable[str]) -> dict[str, str | None]:
    """Name → value, as the application has it now; None where it was never set."""
    conf = session.sparkContext._conf  # noqa: SLF001 (as above)
    return {name: conf.get(name) for name in names}


def versions(session: "SparkSession") -> dict[str, str]:
    """Of Spark, Java and Python as they run."""
    system = session.sparkContext._jvm.java.lang.System  # noqa: SLF001
    return {
        "spark": session.version,
        "java": str(system.getProperty("java.version")),
        "python": sys.version.split()[0],
    }


def calling(call: Callable[[], Any], what: str) -> Any:
    """`call()`, with Spark's and Java's errors as a ServiceError of one line."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException, PySparkRuntimeError

    try:
        return call()
    except (Py4JError, PySparkException, PySparkRuntimeError) as error:
        raise ServiceError(f"{what}: {reason(str(error))}") from None


def reason(text: str) -> str:
    """The lines of a Java error, or of a Python one inside it, that say something.

    Of a Python traceback that is its last line: neither its head, nor frames and their code.
    """
    lines = text.partition("Driver stacktrace")[0].splitlines()
    noise = ("at ", "JVM stack", "File ", "^", "~", "...")
    head = "Traceback (most recent call last):"
    telling, in_frame = [], False
    for line in lines:
        said = line.strip()
        code = in_frame and line[:1].isspace()
        in_frame = said.startswith("File ")
        if said and not code and not said.startswith(noise) and not said.endswith(head):
            telling.append(said)
    return " | ".join(telling[:12])[:1500]
