"""Spark's settings, as tuned and as it comes."""

from typing import Any

import pytest

from streambed.pipelines import spark_conf
from streambed.pipelines.classify import ClassifySpec
from streambed.pipelines.errors import SpecError
from streambed.pipelines.spec import parse

GIVEN = {
    "bootstrap": "b:9092",
    "topic": "images",
    "result_topic": "results",
    "dead_letter_topic": "dead",
    "master_url": "spark://m:7077",
    "driver_address": "10.0.0.1",
    "model": {"kind": "mlp", "weights": "w.npz"},
    "trigger_s": 1.0,
    "run_dir": "/tmp/run",
}


def spec(**more: Any) -> ClassifySpec:
    return parse(ClassifySpec, {**GIVEN, **more})


def test_plain_settings_tune_nothing_and_keep_to_the_bed() -> None:
    plain = spark_conf.settings(spec(settings="plain"), "/app")
    lean = spark_conf.settings(spec(), "/app")
    assert "spark.sql.adaptive.enabled" not in plain
    assert "spark.locality.wait" not in plain
    assert lean["spark.sql.adaptive.enabled"] == "false"
    for name in ("spark.driver.port", "spark.executor.memory", "spark.executor.extraJavaOptions"):
        assert plain[name] == lean[name]
    options = spark_conf.source_options("plain", "plaintext://b", "t", None)
    assert set(options) == {
        *("kafka.bootstrap.servers", "kafka.security.protocol", "subscribe", "startingOffsets"),
        *("failOnDataLoss", "includeHeaders"),
    }


def test_java_options_that_are_given_win() -> None:
    given = spec(settings="plain", executor_java_options="-Xint")
    options = spark_conf.settings(given, "/app")["spark.executor.extraJavaOptions"]
    login = "-Djava.security.auth.login.config=/etc/spark/kafka.jaas"
    assert options == f"{login} -Xint"


@pytest.mark.parametrize(
    ("bootstrap", "protocol"), [("b:9092", "SASL_SSL"), ("plaintext://b:9095", "PLAINTEXT")]
)
def test_source_and_sink_come_by_the_bootstraps_listener(bootstrap: str, protocol: str) -> None:
    for settings in ("lean", "plain"):
        source = spark_conf.source_options(settings, bootstrap, "t", None)
        sink = spark_conf.sink_options(settings, bootstrap)
        for options in (source, sink):
            assert options["kafka.security.protocol"] == protocol
            assert options["kafka.bootstrap.servers"] == bootstrap.removeprefix("plaintext://")
            assert not any("jaas" in name or "password" in name for name in options)


@pytest.mark.parametrize("factor", ["batching", "conversion", "calls", "settings"])
def test_an_unknown_way_is_refused(factor: str) -> None:
    with pytest.raises(SpecError, match="allowed"):
        spec(**{factor: "x"})


def test_intervals_need_a_length() -> None:
    assert spec(trigger_s=0.0).trigger_s == 0
    with pytest.raises(SpecError, match="trigger_s"):
        spec(batching="interval", trigger_s=0.0)
