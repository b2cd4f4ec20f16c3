"""One file of an account becomes the settings of every client; nobody else's file is needed."""

from pathlib import Path

import pytest

from streambed.pipelines import kafka_access, kafka_client
from streambed.pipelines.errors import ServiceError

FILE = """\
# comment
security.protocol=SASL_SSL
sasl.jaas.config=org.apache.kafka.ScramLoginModule required username="producer" password="p4ss";
"""


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_access, "FOLDER", tmp_path)
    (tmp_path / "producer.properties").write_text(FILE)


@pytest.mark.usefixtures("account")
def test_both_python_clients_get_the_account_in_their_own_words() -> None:
    access = kafka_access.of("a:9092,b:9092", kafka_access.PRODUCER)
    librdkafka, kafka_python = access.librdkafka(), access.kafka_python()
    assert librdkafka["bootstrap.servers"] == "a:9092,b:9092"
    assert kafka_python["bootstrap_servers"] == ["a:9092", "b:9092"]
    assert (librdkafka["sasl.username"], librdkafka["sasl.password"]) == ("producer", "p4ss")
    assert kafka_python["sasl_plain_username"] == "producer"
    assert kafka_python["sasl_plain_password"] == "p4ss"
    assert librdkafka["security.protocol"] == kafka_python["security_protocol"] == "SASL_SSL"
    assert librdkafka["ssl.ca.location"] == kafka_python["ssl_cafile"] == kafka_access.AUTHORITY


@pytest.mark.usefixtures("account")
def test_a_tool_in_java_reads_the_file_itself(tmp_path: Path) -> None:
    options = kafka_access.of("a:9092", kafka_access.PRODUCER).java_tool()
    assert options == ["--command-config", str(tmp_path / "producer.properties")]
    assert kafka_access.of("plaintext://a:9095", kafka_access.PRODUCER).java_tool() == []


@pytest.mark.usefixtures("account")
def test_settings_are_the_accounts() -> None:
    assert kafka_client.settings("a:9092", kafka_access.PRODUCER)["sasl.username"] == "producer"


def test_plaintext_needs_no_account() -> None:
    access = kafka_access.of("plaintext://a:9095", kafka_access.ADMIN)
    assert access.librdkafka() == {"bootstrap.servers": "a:9095"}
    assert access.kafka_python() == {"bootstrap_servers": ["a:9095"]}


@pytest.mark.usefixtures("account")
def test_an_account_that_a_node_has_not_got_is_told() -> None:
    with pytest.raises(ServiceError, match=r"admin\.properties.*role access"):
        kafka_access.of("a:9092", kafka_access.ADMIN)


def test_a_file_without_an_account_is_told(account: None, tmp_path: Path) -> None:
    (tmp_path / "admin.properties").write_text("nothing\n")
    with pytest.raises(ServiceError, match="no account"):
        kafka_access.of("a:9092", kafka_access.ADMIN)
