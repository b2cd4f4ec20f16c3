"""Nobody gets useful answers who should not, and no secret is where it must not be.

After the tests of runs, so that there are logs, results and manifests to look through.
"""

import base64
import contextlib
import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from tests.infra.survey import TRIED_PORTS
from tests.system import searching
from tests.system.tools import PODMAN, Bed, line_with, start, until

from streambed import paths
from streambed.beds import podman
from streambed.beds.names import names_of
from streambed.inventory import Node

SSH = 22


def secrets_of(bed: Bed) -> list[str]:
    """Passwords, and of each private key a line that no other file has."""
    folder = paths.state_dir(bed.name)
    found = []
    for path in [*(folder / "secrets").iterdir(), *(folder / "ssh").rglob("*_ed25519")]:
        lines = path.read_text().splitlines()
        if path.name == "ca.pem":
            continue
        if not lines[0].startswith("-----BEGIN"):
            found.append(lines[0])
        elif "OPENSSH" in lines[0]:
            found.append(lines[3])  # those before have the public half
        else:
            found.append(lines[1][-40:])
    assert len(found) >= 8
    assert all(len(secret) >= 32 for secret in found)
    return found


ALLOWED = [
    *("/etc/kafka/node.pem", "/etc/kafka/jaas.conf", "/etc/kafka/client.properties"),
    *("/etc/kafka/first-users", "/etc/spark/secret.env", "/etc/spark/kafka.jaas"),
    *("/etc/streambed/spark.conf", "/etc/streambed/kafka/classifier.jaas"),
    *(f"/etc/streambed/kafka/{user}.properties" for user in ("admin", "classifier", "producer")),
    "/etc/ssh/ssh_host_ed25519_key",
]


PLANTED = "planted-5f2b7c1e9a4d8036"
"""As a control: what is planted is found."""

IN_A_CELL = (
    *("CoarseGrainedExecutorBackend", "deploy.SparkSubmit", "deploy.master.Master", "kafka.Kafka"),
    *("pipelines produce", "pipelines collect", "pipelines classify", "pipelines.spark_daemon"),
)
"""Programs that know a secret."""


@contextlib.contextmanager
def command_lines() -> Iterator[set[str]]:
    """Every command line that this host shows meanwhile, those of its containers among them."""
    seen: set[str] = set()
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.2):
            for entry in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    seen.add(entry.read_bytes().replace(b"\0", b" ").decode(errors="replace"))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


@dataclass(frozen=True)
class Watched:
    """A cell with Spark's pages and event log: its results, and what `ps` showed of it."""

    results: Path
    commands: set[str]


@pytest.fixture(scope="module")
def watched(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """One cell, in which something else has a planted secret on its command line."""
    results = tmp_path_factory.mktemp("watched")
    cell = ("--set", "bandwidth=20 Mbit/s", "--set", "trigger=1 s", "--set", "spark_pages=on")
    experiment = bed.patient("small", contended_above="90 %")
    command = ("run", experiment, "-i", bed.path, "--results", str(results), *cell)
    with command_lines() as seen, start(*command) as running:
        try:
            line_with(running, "classifying\n")
            bed.root("client", f"bash -c 'exec -a {PLANTED} sleep 2'")
            assert running.stderr is not None
            running.stderr.read()
            running.wait(300)
        finally:
            running.kill()
    return Watched(results, seen)


def test_no_command_line_shows_a_secret(bed: Bed, watched: Watched) -> None:
    for program in IN_A_CELL:
        assert any(program in line for line in watched.commands), program
    assert any(line.startswith(PLANTED) for line in watched.commands)
    secrets = secrets_of(bed)
    shown = [line[:60] for line in watched.commands if any(secret in line for secret in secrets)]
    assert shown == []


SEARCHING = Path(searching.__file__).read_text()


def test_no_secret_is_on_a_node_but_in_its_file(bed: Bed, watched: Watched) -> None:
    code = f"{SEARCHING}\nlook({secrets_of(bed)!r}, {ALLOWED!r})\n"
    for node in bed.inventory.nodes:
        assert json.loads(bed.python(node.name, code)) == [], node.name
    assert bed.root("cloud", "find /var/lib/spark/events -type f -name '*.zstd'") != ""


PLANT = """
import base64, pathlib, subprocess
import pyarrow as pa
pathlib.Path("/tmp/planted.txt").write_bytes(base64.b64encode(b"{planted}"))
with pa.output_stream("/tmp/planted.zstd", compression="zstd") as out:
    out.write(b"password={planted}")
subprocess.run(["logger", "{planted}"], check=True)
"""


def test_what_is_planted_on_a_node_is_found(bed: Bed) -> None:
    bed.python("client", PLANT.format(planted=PLANTED))
    found = json.loads(bed.python("client", f"{SEARCHING}\nlook([{PLANTED!r}], [])\n"))
    bed.root("client", "rm /tmp/planted.txt /tmp/planted.zstd")
    assert {"journal", "/tmp/planted.txt", "/tmp/planted.zstd"} <= set(found)


def test_no_secret_is_in_a_log_a_result_or_git(bed: Bed, results: Path, watched: Watched) -> None:
    tracked = subprocess.run(
        ["git", "-C", str(paths.ROOT), "ls-files"], capture_output=True, text=True, check=True
    ).stdout.split()
    files = [paths.ROOT / name for name in tracked]
    logs = (paths.state_dir(bed.name) / "log", paths.cache_dir() / "log")
    for folder in (*logs, results, watched.results):
        files += folder.rglob("*")
    files = [path for path in files if path.is_file()]
    assert any(path.name == "provision.log" for path in files)
    mine = {path.name for path in files if path.is_relative_to(watched.results)}
    assert {"cells.parquet", "resources.parquet", "results.npz", "manifest.json"} <= mine
    assert searching.found_in(files, secrets_of(bed)) == []


def test_no_secret_is_in_what_podman_tells(bed: Bed) -> None:
    names = names_of(bed.name)
    told = ""
    for node in bed.inventory.nodes:
        container = names.container(node.name)
        for words in (("inspect",), ("logs",)):
            done = subprocess.run(
                [*PODMAN, *words, container], capture_output=True, text=True, check=True
            )
            told += done.stdout + done.stderr
    assert all(node.name in told for node in bed.inventory.nodes)
    assert [s for s in secrets_of(bed) if any(f.decode() in told for f in searching.forms(s))] == []


def test_a_secret_is_found_in_every_kind_of_file(tmp_path: Path) -> None:
    line = f"password={PLANTED}"
    (tmp_path / "a.log").write_text(line)
    (tmp_path / "a.json").write_text(base64.b64encode(PLANTED.encode()).decode())
    np.savez_compressed(tmp_path / "a.npz", a=np.frombuffer(line.encode(), np.uint8))
    parquet.write_table(pa.table({"a": [line]}), tmp_path / "a.parquet", compression="zstd")
    with pa.output_stream(str(tmp_path / "a.zstd"), compression="zstd") as out:
        out.write(line.encode())
    (tmp_path / "b.log").write_text("password=another")
    # What a program that was killed may leave: nothing, or what cannot be unpacked.
    for name in ("b.npz", "b.parquet", "b.zstd"):
        (tmp_path / name).touch()
    for name in ("c.npz", "c.parquet"):
        (tmp_path / name).write_text(line)
    found = searching.found_in(sorted(tmp_path.iterdir()), [PLANTED])
    assert [Path(path).suffix for path in found] == [
        *(".json", ".log", ".npz", ".parquet", ".zstd"),
        *(".npz", ".parquet"),
    ]


TRIES = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic
from streambed.pipelines import kafka_access

address = sys.argv[1] + ":9092"
own = kafka_access.of(address, kafka_access.PRODUCER).librdkafka()
without = {k: v for k, v in own.items() if not k.startswith("sasl")}
TRIES = {
    "right": own,
    "no TLS": {"bootstrap.servers": address},
    "no TLS, open port": {"bootstrap.servers": sys.argv[1] + ":9095"},
    "no password": {**without, "security.protocol": "SSL"},
    "wrong password": {**own, "sasl.password": "x"},
    "nobody": {**own, "sasl.username": "nobody"},
    "wrong mechanism": {**own, "sasl.mechanism": "PLAIN"},
    "another authority": {**own, "ssl.ca.location": "/etc/ssl/certs/ca-certificates.crt"},
}

def answers(settings):
    try:
        AdminClient({**settings, "log_level": 0, "error_cb": lambda _: None}).list_topics(timeout=6)
    except KafkaException:
        return False
    return True

with ThreadPoolExecutor(len(TRIES)) as pool:
    found = dict(zip(TRIES, pool.map(answers, TRIES.values())))

def outcome(future):
    try:
        future.result(15)
    except KafkaException as error:
        return error.args[0].name()
    return "done"

admin = AdminClient({**own, "log_level": 0})
(create,) = admin.create_topics([NewTopic("streambed-images-mine", 1, 1)]).values()
found["producer creates a topic"] = outcome(create)
(delete,) = admin.delete_topics([sys.argv[2]]).values()
found["producer deletes a topic"] = outcome(delete)
print(json.dumps(found))
"""


KEEP = """
import sys
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from streambed.pipelines.kafka_access import ADMIN, PRODUCER, of

broker, topic, what = sys.argv[1:]
address = broker + ":9092"
account = of(address, ADMIN).librdkafka()
admin = AdminClient(account)
if what == "put":
    (made,) = admin.create_topics([NewTopic(topic, 1, 1)]).values()
    made.result(30)
    producer = Producer(of(address, PRODUCER).librdkafka())
    for number in range(10):
        producer.produce(topic, str(number))
    assert producer.flush(30) == 0
else:
    consumer = Consumer({**account, "group.id": "streambed-kept"})
    print(consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=30)[1])
    (gone,) = admin.delete_topics([topic]).values()
    gone.result(30)
"""


@pytest.mark.parametrize("node", ["client", "cloud"])
def test_kafka_answers_nobody_without_the_right_password(bed: Bed, node: str) -> None:
    """From another node, and from its own, where other users' programs run too."""
    address = bed.inventory.node("cloud").bed_address
    topic = "streambed-images-of-others"
    bed.python("cloud", KEEP, address, topic, "put")
    found = json.loads(bed.python(node, TRIES, address, topic))
    assert bed.python("cloud", KEEP, address, topic, "get").strip() == "10"
    assert found.pop("right") is True
    for what in ("producer creates a topic", "producer deletes a topic"):
        assert found.pop(what) == "TOPIC_AUTHORIZATION_FAILED"
    assert {what for what, answered in found.items() if answered} == set()


SESSION = """
import socket, subprocess, sys
helper = "/usr/local/sbin/streambed-plaintext"
def answers(connection, stream):
    try:
        # ApiVersions, version 0, of a client without a name.
        connection.sendall(bytes.fromhex("0000000a 0012 0000 00000000 ffff"))
        size = int.from_bytes(stream.read(4), "big")
        return len(stream.read(size)) == size > 0
    except OSError:
        return False
subprocess.run([helper, "open"], check=True, capture_output=True)
try:
    session = socket.create_connection((sys.argv[1], 9095), 5)
    stream = session.makefile("rb")
    before = answers(session, stream)
finally:
    subprocess.run([helper, "close"], check=True, capture_output=True)
print(before, answers(session, stream))
"""


def test_a_session_without_encryption_ends_when_its_way_is_closed(bed: Bed) -> None:
    said = bed.python("cloud", SESSION, bed.inventory.node("cloud").bed_address)
    assert said.split() == ["True", "False"]


RIGHTS = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding, AclOperation, AclPermissionType, AdminClient, NewTopic, ResourcePatternType,
    ResourceType,
)
from streambed.pipelines.kafka_access import ADMIN, CLASSIFIER, PRODUCER, of

address = sys.argv[1] + ":9092"
USERS = (PRODUCER, CLASSIFIER, ADMIN)
KINDS = ("images", "results", "dead")
names = {**{kind: f"streambed-{kind}-rights" for kind in KINDS}, "others": "rights"}
WAIT_S = 10

def settings(user):
    return {**of(address, user).librdkafka(), "log_level": 0, "error_cb": lambda _: None}

def outcome(user, ask):
    # The client must live until its answer is there.
    admin = AdminClient(settings(user))
    (future,) = ask(admin).values()
    try:
        future.result(WAIT_S)
    except KafkaException as error:
        return error.args[0].name()
    return "done"

def create(user, kind):
    return outcome(user, lambda admin: admin.create_topics([NewTopic(names[kind], 1, 1)]))

def delete(user, kind):
    return outcome(user, lambda admin: admin.delete_topics([names[kind]]))

def permit(user, kind):
    rule = AclBinding(
        ResourceType.TOPIC, names[kind], ResourcePatternType.LITERAL, "User:nobody", "*",
        AclOperation.READ, AclPermissionType.ALLOW,
    )
    return outcome(user, lambda admin: admin.create_acls([rule]))

def write(user, kind):
    told = []
    producer = Producer({**settings(user), "message.timeout.ms": 1000 * WAIT_S})
    producer.produce(names[kind], b"x", on_delivery=lambda error, _: told.append(error))
    producer.flush(WAIT_S + 2)
    (error,) = told
    return "done" if error is None else error.name()

def read(user, kind):
    consumer = Consumer({**settings(user), "group.id": "streambed-rights"})
    consumer.assign([TopicPartition(names[kind], 0, 0)])
    message = consumer.poll(WAIT_S)
    consumer.close()
    if message is None:
        return "nothing"
    return "done" if message.error() is None else message.error().name()

def tried(what, users=USERS):
    pairs = [(user, kind) for user in users for kind in names]
    with ThreadPoolExecutor(len(pairs)) as pool:
        done = pool.map(lambda pair: what(*pair), pairs)
        return [[user, what.__name__, kind, each] for (user, kind), each in zip(pairs, done)]

# Others first, while there is nothing; then what there is, by whoever may; it goes at the end.
found = tried(create, (PRODUCER, CLASSIFIER)) + tried(create, (ADMIN,))
found += tried(write) + tried(read) + tried(permit)
found += tried(delete, (PRODUCER, CLASSIFIER)) + tried(delete, (ADMIN,))
print(json.dumps(found))
"""


def test_each_account_may_do_what_it_needs_and_nothing_else(bed: Bed) -> None:
    """On topics of each kind, and on one of others."""
    said = bed.python("cloud", RIGHTS, bed.inventory.node("cloud").bed_address)
    outcomes = {tuple(tried): outcome for *tried, outcome in json.loads(said)}
    assert {tried for tried, outcome in outcomes.items() if outcome == "done"} == {
        ("producer", "write", "images"),
        *(("classifier", "write", kind) for kind in ("results", "dead")),
        ("classifier", "read", "images"),
        *(
            ("admin", what, kind)
            for what in ("create", "read", "delete")
            for kind in ("images", "results", "dead")
        ),
    }, outcomes
    # Refused, not merely without an answer; but nobody can make the other topic to be read.
    unmade = {(user, "read", "others") for user in ("classifier", "admin")}
    assert {outcomes.pop(tried) for tried in unmade} == {"nothing"}
    refused = {f"{what}_AUTHORIZATION_FAILED" for what in ("TOPIC", "GROUP", "CLUSTER")}
    assert set(outcomes.values()) == {"done", *refused}, outcomes


CONTROLLER = """
import json, socket, ssl, subprocess, sys

# ApiVersions, version 0, of a client without a name; its answer is short.
HELLO = bytes.fromhex("0000000a 0012 0000 00000000 ffff")
STRANGER = ("/tmp/stranger.pem", "/tmp/stranger.key")
subprocess.run(
    ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=cloud",
     "-out", STRANGER[0], "-keyout", STRANGER[1]],
    check=True, capture_output=True,
)

def answers(wrap):
    try:
        with socket.create_connection((sys.argv[1], 9093), timeout=5) as plain:
            with wrap(plain) as session:
                session.sendall(HELLO)
                size = session.recv(4)
                return len(size) == 4 and int.from_bytes(size, "big") < 1 << 16
    except OSError:
        return False

def with_certificate(*files):
    context = ssl.create_default_context(cafile="/etc/streambed/ca.pem")
    if files:
        context.load_cert_chain(*files)
    return lambda plain: context.wrap_socket(plain, server_hostname=sys.argv[1])

TRIES = {
    "right": with_certificate("/etc/kafka/node.pem"),
    "no certificate": with_certificate(),
    "another authority": with_certificate(*STRANGER),
    "no TLS": lambda plain: plain,
}
found = {what: answers(wrap) for what, wrap in TRIES.items()}
subprocess.run(["rm", *STRANGER], check=True)
print(json.dumps(found))
"""


def test_a_controller_answers_nobody_without_a_certificate(bed: Bed) -> None:
    """From its own node, where no firewall is in the way."""
    found = json.loads(bed.python("cloud", CONTROLLER, bed.inventory.node("cloud").bed_address))
    assert found.pop("right") is True
    assert {what for what, answered in found.items() if answered} == set()


@pytest.mark.parametrize("user", ["root", "streambed"])
def test_ssh_takes_neither_another_key_nor_a_password(bed: Bed, user: str, tmp_path: Path) -> None:
    """From the controller, whose own key is taken all the time."""
    key = tmp_path / "key"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
    subprocess.run(command, check=True)
    options = (
        *("-F", "none", "-i", str(key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"),
        *("-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={tmp_path / 'hosts'}"),
    )
    for node in bed.inventory.nodes:
        where = f"{user}@{node.address}"
        for ways in ("publickey", "password,keyboard-interactive"):
            asked = ("-o", f"PreferredAuthentications={ways}")
            command = ["ssh", *options, *asked, where, "true"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            # It names every way that the node would take.
            assert (done.returncode, "denied (publickey)." in done.stderr) == (255, True), done


INTRUDER = """
import sys
sys.path.insert(0, "/opt/spark/python")
from pyspark import SparkConf, SparkContext

address, secret = sys.argv[1:]
conf = SparkConf(loadDefaults=False).setMaster(f"spark://{address}:7077").setAppName("intruder")
conf.set("spark.driver.host", address).set("spark.ui.enabled", "false")
conf.set("spark.authenticate", secret).set("spark.network.crypto.enabled", secret)
conf.set("spark.authenticate.secret", "guessed")
# As a control: Java is there, and what comes is no failure of our own.
SparkContext._ensure_initialized(conf=conf)
print("asks the master", flush=True)
print(SparkContext(conf=conf).parallelize([1]).count())
"""

INTRUDE = """
cat > /tmp/intruder.py <<'EOF'
{code}
EOF
export SPARK_HOME=/opt/spark SPARK_LOCAL_IP={address}
export SPARK_CONF_DIR=/usr/local/lib/streambed/no-configuration
for secret in true false; do
    timeout 25 /opt/streambed/venv/bin/python /tmp/intruder.py {address} "$secret" 2>/dev/null &
done
wait
rm /tmp/intruder.py
"""

APPLICATIONS = """
import json, sys, urllib.request
with urllib.request.urlopen(f"http://{sys.argv[1]}:8080/json/", timeout=10) as answer:
    master = json.load(answer)
names = [app["name"] for app in master["activeapps"] + master["completedapps"]]
print(json.dumps([names.count("intruder"), master["status"], len(master["workers"])]))
"""


def test_sparks_master_takes_no_application_without_its_secret(bed: Bed) -> None:
    """Neither one that knows no secret nor one that guesses."""
    address = bed.inventory.node("cloud").bed_address
    said = bed.root("cloud", INTRUDE.format(code=INTRUDER, address=address))
    lines = said.splitlines()
    assert (lines.count("asks the master"), lines.count("1")) == (2, 0)
    found = json.loads(bed.python("cloud", APPLICATIONS, address))
    assert found == [0, "ALIVE", 1]


def reached(nodes: tuple[Node, ...], source: str | None = None) -> list[tuple[str, int]]:
    """Node and port of what answers this host, or an address of it."""
    tried = [(node, port) for node in nodes for port in (SSH, *TRIED_PORTS)]

    def answers(pair: tuple[Node, int]) -> bool:
        own = None if source is None else (source, 0)
        try:
            socket.create_connection((pair[0].bed_address, pair[1]), 2, own).close()
        except OSError:
            return False
        return True

    with ThreadPoolExecutor(len(tried)) as pool:
        open_ = pool.map(answers, tried)
        return [(n.name, port) for (n, port), there in zip(tried, open_, strict=True) if there]


@pytest.fixture
def stranger(bed: Bed) -> Iterator[str]:
    """An address on the bed's own network that no inventory knows."""
    address = bed.inventory.nodes[0].bed_address.rsplit(".", 1)[0] + ".250"
    where = [f"{address}/32", "dev", names_of(bed.name).bridge]
    subprocess.run([*podman.as_root(), "ip", "address", "add", *where], check=True)
    yield address
    subprocess.run([*podman.as_root(), "ip", "address", "del", *where], check=True)


def test_an_address_outside_of_the_inventory_gets_nowhere(bed: Bed, stranger: str) -> None:
    assert reached(bed.inventory.nodes, stranger) == []
    # As a control: the controller's own address has its way in.
    assert reached(bed.inventory.nodes) == [(node.name, SSH) for node in bed.inventory.nodes]


LISTENING = "/run/streambed-listening"
LISTEN = f"""
import pathlib, socket, sys, time
sign = pathlib.Path("{LISTENING}")
held = []
for port in map(int, sys.argv[2:]):
    try:
        held.append(socket.create_server((sys.argv[1], port)))
    except OSError:
        continue  # a service has it
sign.touch()
end = time.monotonic() + 60
while sign.exists() and time.monotonic() < end:
    time.sleep(0.2)
"""

TRY = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def answers(port):
    try:
        socket.create_connection((sys.argv[1], port), 2).close()
    except OSError:
        return False
    return True
ports = [int(port) for port in sys.argv[2:]]
with ThreadPoolExecutor(len(ports)) as pool:
    print(json.dumps([p for p, there in zip(ports, pool.map(answers, ports)) if there]))
"""


@pytest.fixture
def unbound(bed: Bed) -> Iterator[None]:
    """Nodes whose own firewalls let everything out: only who is asked can refuse."""
    for node in bed.inventory.nodes:
        script = "nft flush chain inet streambed output && "
        bed.root(node.name, script + "nft 'chain inet streambed output { policy accept; }'")
    yield
    for node in bed.inventory.nodes:
        bed.root(node.name, "systemctl restart streambed-firewall")


@pytest.mark.usefixtures("unbound")
@pytest.mark.parametrize(("source", "target"), [("client", "cloud"), ("cloud", "client")])
def test_a_node_that_may_send_everything_is_let_in_where_it_should(
    bed: Bed, source: str, target: str
) -> None:
    """On every port that the bed knows something listens: closed is refused, not empty.

    The link is measured both ways, and Kafka is on the cloud or, for some cells, on the client.
    """
    address = bed.inventory.node(target).bed_address
    ports = [str(port) for port in (SSH, *TRIED_PORTS, 7002, 7100)]
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(bed.python, target, LISTEN, address, *ports)
        try:
            there = f"test -e {LISTENING} && echo yes"
            until(lambda: bed.root(target, there, check=False).strip(), "listeners", 30)
            own = json.loads(bed.python(target, TRY, address, *ports))
            answered = json.loads(bed.python(source, TRY, address, *ports))
        finally:
            bed.root(target, f"rm -f {LISTENING}")
        held.result()
    assert {str(port) for port in own} == set(ports) - {"9095"}
    assert answered == [5201, 9092]


def test_tables_of_others_survive(bed: Bed) -> None:
    bed.root("client", "nft add table inet foreign && systemctl restart streambed-firewall")
    tables = bed.root("client", "nft list tables").splitlines()
    assert {"table inet foreign", "table inet streambed"} <= set(tables)
    bed.root("client", "nft delete table inet foreign")


def test_certificates_are_renewed_without_losing_data(bed: Bed) -> None:
    address = bed.inventory.node("cloud").bed_address
    topic = "streambed-images-kept"
    bed.python("cloud", KEEP, address, topic, "put")
    shown = f"echo | openssl s_client -connect {address}:9092 2>/dev/null | openssl x509 -noout"
    before = bed.root("cloud", f"{shown} -serial")
    bed.playbook(name="renew")
    assert bed.root("cloud", f"{shown} -serial") != before
    assert bed.python("cloud", KEEP, address, topic, "get").strip() == "10"
