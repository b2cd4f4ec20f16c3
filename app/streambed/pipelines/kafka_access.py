"""How a program comes to Kafka: where, as whom, and whom it trusts, in the words of each client.

A bed's brokers take clients by SASL_SSL with SCRAM. Role `access` places a file for each account
that a node's programs use, in the words of Kafka's Java tools (`--command-config FILE`), readable
by user streambed alone; here it becomes the settings of the other clients. A bootstrap address
that begins with `plaintext://` leads to the listener without either, see factor `plaintext`.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streambed.pipelines.errors import ServiceError

ADMIN, CLASSIFIER, PRODUCER = "admin", "classifier", "producer"
"""The accounts; what each may do is role kafka's `kafka_acls`."""

FOLDER = Path("/etc/streambed/kafka")
AUTHORITY = "/etc/streambed/ca.pem"
PLAINTEXT = "plaintext://"

DRIVER_LOGIN = FOLDER / "classifier.jaas"
EXECUTOR_LOGIN = Path("/etc/spark/kafka.jaas")
"""Where the JVMs of Spark find the account, so that no option of a query holds a password."""

_MECHANISM = "SCRAM-SHA-512"
_ACCOUNT = re.compile(r'username="([^"]+)" password="([^"]+)"')


@dataclass(frozen=True)
class Access:
    """An account and the brokers it comes to; without an account nothing is encrypted."""

    servers: str
    """host:port of the brokers, separated by commas."""
    user: str | None = None
    password: str | None = None

    def librdkafka(self) -> dict[str, Any]:
        """Settings of confluent-kafka."""
        settings: dict[str, Any] = {"bootstrap.servers": self.servers}
        if self.user is None:
            return settings
        return settings | {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": _MECHANISM,
            "sasl.username": self.user,
            "sasl.password": self.password,
            "ssl.ca.location": AUTHORITY,
        }

    def kafka_python(self) -> dict[str, Any]:
        """Arguments of kafka-python's clients."""
        arguments: dict[str, Any] = {"bootstrap_servers": self.servers.split(",")}
        if self.user is None:
            return arguments
        return arguments | {
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": _MECHANISM,
            "sasl_plain_username": self.user,
            "sasl_plain_password": self.password,
            "ssl_cafile": AUTHORITY,
        }

    def java_tool(self) -> list[str]:
        """Options of Kafka's own tools, which read the account's file themselves."""
        return [] if self.user is None else ["--command-config", f"{FOLDER / self.user}.properties"]


def of(bootstrap: str, user: str) -> Access:
    """The access of an account on this node.

    Raises:
        ServiceError: this node has not got the account.
    """
    if bootstrap.startswith(PLAINTEXT):
        return Access(bootstrap.removeprefix(PLAINTEXT))
    file = FOLDER / f"{user}.properties"
    try:
        found = _ACCOUNT.search(file.read_text())
    except OSError as error:
        raise ServiceError(
            f"{file}: {error.strerror}; role access gives accounts to nodes by their groups"
        ) from None
    if found is None:
        raise ServiceError(f"{file} holds no account")
    return Access(bootstrap, *found.groups())


def unanswered(bootstrap: str, error: object) -> ServiceError:
    """What to raise where none of these brokers answers."""
    servers = bootstrap.removeprefix(PLAINTEXT)
    return ServiceError(f"Kafka does not answer at {servers}: {error}")


def java(bootstrap: str) -> dict[str, str]:
    """Settings of a client in a JVM of Spark, whose login file has the account."""
    if bootstrap.startswith(PLAINTEXT):
        servers = bootstrap.removeprefix(PLAINTEXT)
        return {"bootstrap.servers": servers, "security.protocol": "PLAINTEXT"}
    return {
        "bootstrap.servers": bootstrap,
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": _MECHANISM,
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": AUTHORITY,
    }
