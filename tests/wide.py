"""A bed of five workers, for tests that plan on one without needing it."""

from pathlib import Path

_NODES = (
    "client: {ansible_host: 10.9.0.11}",
    "broker: {ansible_host: 10.9.0.12}",
    "master: {ansible_host: 10.9.0.13}",
    *(f"worker{n}: {{ansible_host: 10.9.0.{20 + n}, cpus: 0.25}}" for n in range(1, 6)),
)


def bed(folder: Path) -> str:
    """The directory of its inventory."""
    workers = ", ".join(f"worker{n}: " for n in range(1, 6))
    (folder / "hosts.yml").write_text(
        "all:\n"
        "  vars: {bed_name: wide}\n"
        f"  hosts: {{{', '.join(_NODES)}}}\n"
        "  children:\n"
        "    clients: {hosts: {client: }}\n"
        "    kafka_brokers: {hosts: {broker: }}\n"
        "    kafka_standby: {hosts: {client: }}\n"
        "    spark_master: {hosts: {master: }}\n"
        f"    spark_workers: {{hosts: {{{workers}}}}}\n"
    )
    return str(folder)
