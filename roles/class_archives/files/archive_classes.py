#!/usr/bin/python3
"""archive-classes OUT: start everything that is a JVM once, so that later starts need not parse.

A broker, Spark's three daemons, a driver and an executor run on the loopback interface, and pass
three micro-batches from Kafka to Kafka, encrypted and with passwords as on a bed (these protect
nothing, and end with this program). Each lists the classes it loads; of each list an archive
OUT/NAME.jsa is made (class-data sharing, JDK 17). A JVM whose class path or build differs from
its archive's ignores it.

Exit: 0 every archive is there, else something did not start or left no list.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SPARK = "/opt/spark"
NO_CONFIGURATION = "/usr/local/lib/streambed/no-configuration"
PYTHON = "/opt/streambed/venv/bin/python"
JVM = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.net.preferIPv4Stack=true")
BROKER_PORT, CONTROLLER_PORT, MASTER_PORT = 19092, 19093, 17077
TIMEOUT_S = 60

SECRET = "archive"

BROKER = f"""
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{CONTROLLER_PORT}
listeners=CLIENT://127.0.0.1:{BROKER_PORT},CONTROLLER://127.0.0.1:{CONTROLLER_PORT}
inter.broker.listener.name=CLIENT
controller.listener.names=CONTROLLER
listener.security.protocol.map=CLIENT:SASL_SSL,CONTROLLER:SSL
listener.name.controller.ssl.client.auth=required
ssl.keystore.type=PEM
ssl.truststore.type=PEM
ssl.enabled.protocols=TLSv1.3
sasl.enabled.mechanisms=SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
ssl.principal.mapping.rules=RULE:^CN=.*$/broker/
super.users=User:broker
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
"""
LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule required"
JAAS = "\n".join(
    f'{who} {{ {LOGIN} username="broker" password="{SECRET}"; }};'
    for who in ("KafkaServer", "KafkaClient")
)
SPARK_SECURITY = {
    "spark.authenticate": "true",
    "spark.network.crypto.enabled": "true",
    "spark.network.crypto.authEngineVersion": "2",
    "spark.network.crypto.saslFallback": "false",
}
DAEMONS = {
    "spark-master": (
        "org.apache.spark.deploy.master.Master",
        *("--host", "127.0.0.1", "--port", str(MASTER_PORT), "--webui-port", "18080"),
    ),
    "spark-worker": (
        "org.apache.spark.deploy.worker.Worker",
        *("--host", "127.0.0.1", "--webui-port", "18081", "--cores", "1", "--memory", "1g"),
        f"spark://127.0.0.1:{MASTER_PORT}",
    ),
    "spark-history": ("org.apache.spark.deploy.history.HistoryServer",),
}


def listing(work: Path, name: str) -> str:
    """The JVM's option to list the classes it loads."""
    return f"-XX:DumpLoadedClassList={work / name}.classes"


def java_modules() -> list[str]:
    """What Spark's launcher adds for Java 17, from the unit that the role spark placed."""
    unit = Path("/etc/systemd/system/spark-master.service").read_text()
    return [
        word
        for word in unit.split()
        if word.startswith(("--add-opens", "-Djdk.reflect.useDirectMethodHandle"))
    ]


@contextlib.contextmanager
def running(command: list[str], environment: dict[str, str], log: Path) -> Iterator[None]:
    """`command` in the background, ended when the context is left."""
    with log.open("w") as words:
        process = subprocess.Popen(
            command, env=os.environ | environment, stdout=words, stderr=words, cwd=log.parent
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(TIMEOUT_S)


def login(work: Path) -> str:
    """The JVM's option that says as whom it comes to Kafka."""
    return f"-Djava.security.auth.login.config={work / 'jaas.conf'}"


def certify(work: Path) -> None:
    """A key, and a certificate that vouches for itself; `node.pem` has both."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(work / "key.pem"), "-out", str(work / "ca.pem")),
        ],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    both = (work / "key.pem").read_text() + (work / "ca.pem").read_text()
    (work / "node.pem").write_text(both)
    (work / "jaas.conf").write_text(JAAS)


def kafka(work: Path) -> list[str]:
    """Format a data directory; the command of a broker that uses it."""
    config = work / "server.properties"
    stores = f"ssl.keystore.location={work}/node.pem\nssl.truststore.location={work}/ca.pem\n"
    config.write_text(f"{BROKER}{stores}log.dirs={work / 'data'}\n")
    java = ["java", *JVM, login(work), "-cp", "/opt/kafka/libs/*"]
    tool = ["kafka.tools.StorageTool", "format", "--standalone", "--config", str(config)]
    tool += ["--add-scram", f"SCRAM-SHA-512=[name=broker,password={SECRET}]"]
    subprocess.run(
        [*java, *tool, "--cluster-id", "AAAAAAAAAAAAAAAAAAAAAA"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return [java[0], listing(work, "kafka"), *java[1:], "kafka.Kafka", str(config)]


def load(work: Path) -> dict[str, str]:
    """Run everything; returns the class path of each JVM that has listed its classes."""
    environment = {
        "SPARK_HOME": SPARK,
        "SPARK_CONF_DIR": NO_CONFIGURATION,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_SCALA_VERSION": "2.13",
        "_SPARK_AUTH_SECRET": SECRET,
    }
    security = [f"-D{name}={value}" for name, value in SPARK_SECURITY.items()]
    certify(work)
    with contextlib.ExitStack() as stack:
        events = work / "events"
        events.mkdir()
        options = f"-Dspark.history.fs.logDirectory=file://{events}"
        for name, (main_class, *arguments) in DAEMONS.items():
            command = ["java", listing(work, name), *JVM, *security, options, *java_modules()]
            command += ["-cp", f"{SPARK}/jars/*", main_class, *arguments]
            stack.enter_context(running(command, environment, work / f"{name}.log"))
        stack.enter_context(running(kafka(work), {}, work / "kafka.log"))
        job = [PYTHON, str(Path(__file__).with_name("load-classes"))]
        job += [f"127.0.0.1:{BROKER_PORT}", f"spark://127.0.0.1:{MASTER_PORT}"]
        own = (*JVM[1:], login(work))
        job += [" ".join((*own, listing(work, name))) for name in ("driver", "executor")]
        with subprocess.Popen(
            [*job, str(work), json.dumps(SPARK_SECURITY | {"spark.authenticate.secret": SECRET})],
            env=os.environ | environment | {"PYSPARK_PYTHON": PYTHON},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as loading:
            assert loading.stdin is not None
            assert loading.stdout is not None
            # It says a line when everything is loaded, and ends when its input does.
            if not loading.stdout.readline():
                raise SystemExit("archive-classes: the query did not run")
            paths = class_paths(work)
            loading.stdin.close()
    return paths


def class_paths(work: Path) -> dict[str, str]:
    """The class path of every JVM that lists its classes in `work`, by its name."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended since
            arguments = entry.read_bytes().decode(errors="replace").split("\0")
            if Path(arguments[0]).name != "java":
                continue
            for name in ("kafka", *DAEMONS, "driver", "executor"):
                if listing(work, name) in arguments:
                    found[name] = arguments[arguments.index("-cp") + 1]
    return found


def dump(classes: Path, class_path: str, archive: Path) -> None:
    """Make one archive of one list."""
    subprocess.run(
        [
            *("java", "-Xshare:dump", "-Xlog:disable", "-XX:+UseSerialGC", "-Xmx512m"),
            *(f"-XX:SharedClassListFile={classes}", f"-XX:SharedArchiveFile={archive}"),
            *("-cp", class_path),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    archive.chmod(0o644)


def main(out: Path) -> None:
    """Make every archive in `out`; a JVM that did not run fails it."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="classes-") as directory:
        work = Path(directory)
        paths = load(work)
        missing = {"kafka", *DAEMONS, "driver", "executor"} - set(paths)
        if missing:
            raise SystemExit(f"archive-classes: no JVM of {', '.join(sorted(missing))} was seen")
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            jobs = [
                threads.submit(dump, work / f"{name}.classes", paths[name], out / f"{name}.jsa")
                for name in paths
            ]
            for job in jobs:
                job.result()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
