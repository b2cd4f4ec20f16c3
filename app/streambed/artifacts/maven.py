"""Jars, through the ordinary Maven client and the user's own settings."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from streambed.artifacts.command import run_client
from streambed.artifacts.flock import locked

_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin"

_POM = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>streambed</groupId>
  <artifactId>fetch</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
{dependencies}
  </dependencies>
</project>
"""
_DEPENDENCY = """\
    <dependency>
      <groupId>{group}</groupId>
      <artifactId>{artifact}</artifactId>
      <version>{version}</version>{exclusions}
    </dependency>"""
_EXCLUDE_ALL = """
      <exclusions>
        <exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion>
      </exclusions>"""


@dataclass(frozen=True)
class Coordinate:
    """A jar by its Maven name."""

    group: str
    artifact: str
    version: str
    alone: bool = False
    """Leave out what its POM depends on."""


def render_pom(coordinates: Sequence[Coordinate]) -> str:
    """A project whose only content is its dependencies."""
    return _POM.format(
        dependencies="\n".join(
            _DEPENDENCY.format(
                group=one.group,
                artifact=one.artifact,
                version=one.version,
                exclusions=_EXCLUDE_ALL if one.alone else "",
            )
            for one in coordinates
        )
    )


def fetch_jars(
    coordinates: Sequence[Coordinate],
    *,
    plugin_version: str,
    repository: Path,
    scratch: Path,
    target: Path,
    lock: int,
) -> None:
    """Resolve `coordinates` for run time and copy the jars into `target`.

    Args:
        plugin_version: of Maven's dependency plugin.
        repository: Maven's local repository; kept, so that a run cut short goes on where it was.
        scratch: directory for the generated project and the log.
        lock: descriptor of the component's lock, inherited by Maven.

    Raises:
        StreambedError: Maven fails.
    """
    pom = scratch / "pom.xml"
    pom.write_text(render_pom(coordinates), encoding="utf-8")
    # One Maven at a time: two would write the same files of the shared repository.
    with locked(repository.with_suffix(".lock"), what="Maven downloads") as repository_lock:
        run_client(
            [
                "mvn",
                "--batch-mode",
                "--no-transfer-progress",
                f"-Dmaven.repo.local={repository}",
                f"--file={pom}",
                f"{_PLUGIN}:{plugin_version}:copy-dependencies",
                "-DincludeScope=runtime",
                f"-DoutputDirectory={target}",
            ],
            log=scratch / "mvn.log",
            keep_open=(lock, repository_lock),
            what="fetching jars with Maven",
        )
