"""Which service or role of a node a process belongs to, by its command line."""

from collections.abc import Sequence

OTHER = "other"

_NODE_PROGRAMS = "streambed.pipelines"
_BY_ARGUMENT = {
    "kafka.Kafka": "broker",
    "org.apache.spark.deploy.master.Master": "Spark master",
    "org.apache.spark.deploy.worker.Worker": "Spark worker",
    "org.apache.spark.deploy.history.HistoryServer": "history server",
    "org.apache.spark.deploy.SparkSubmit": "driver JVM",
    "org.apache.spark.executor.CoarseGrainedExecutorBackend": "executor JVM",
    "streambed.pipelines.spark_daemon": "Python workers",
    "pyspark.daemon": "Python workers",
    "org.apache.kafka.tools.ProducerPerformance": "producer",
    "org.apache.kafka.tools.ConsumerPerformance": "consumer",
}
_BY_PROGRAM = {
    "produce": "producer",
    "cameras": "producer",
    "read": "consumer",
    "collect": "collector",
    "classify": "driver program",
    "sample": "sampler",
}


def group_of(command: Sequence[str]) -> str:
    """The group of a process.

    Args:
        command: its arguments, the program first; empty for a kernel thread or a zombie.

    Returns:
        A service of the node, a node program by its own name where it has none better, or `OTHER`.
    """
    for argument in command:
        if argument in _BY_ARGUMENT:
            return _BY_ARGUMENT[argument]
    # Not the wrappers that start it, such as a shell whose one argument is the whole line.
    if _NODE_PROGRAMS in command[:-1]:
        program = command[list(command).index(_NODE_PROGRAMS) + 1]
        return _BY_PROGRAM.get(program, program)
    return OTHER
