import gzip
import http.server
import sys
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from streambed.artifacts.command import run_client, telling_lines
from streambed.artifacts.http import download
from streambed.artifacts.maven import Coordinate, render_pom
from streambed.artifacts.mnist import MNIST_FILES, _from_directory
from streambed.artifacts.pins import NODE_WHEELS_FILE
from streambed.artifacts.wheels import node_platforms, split_lock
from streambed.errors import StreambedError

CONTENT = bytes(range(256)) * 400
POM = "{http://maven.apache.org/POM/4.0.0}"


def test_a_pom_lists_the_jars_and_leaves_out_what_comes_with_a_lone_one() -> None:
    project = ET.fromstring(
        render_pom([Coordinate("g", "a", "1"), Coordinate("g", "b", "2", alone=True)])
    )
    first, second = project.iter(f"{POM}dependency")
    assert [child.text for child in first] == ["g", "a", "1"]
    assert first.find(f"{POM}exclusions") is None
    assert second.find(f"{POM}exclusions/{POM}exclusion/{POM}artifactId") is not None


def test_the_node_lock_splits_into_hashed_releases() -> None:
    blocks = split_lock(NODE_WHEELS_FILE.read_text())
    assert {"chainer", "numpy", "setuptools", "confluent-kafka"} <= set(blocks)
    assert all("--hash=sha256:" in block for block in blocks.values())
    assert blocks["chainer"].startswith("chainer==7.8.1 ")
    assert "".join(blocks.values()) == NODE_WHEELS_FILE.read_text()


def test_debian_12_takes_wheels_up_to_its_own_glibc() -> None:
    platforms = node_platforms()
    assert "manylinux_2_36_x86_64" in platforms
    assert "manylinux2014_x86_64" in platforms
    assert "manylinux_2_37_x86_64" not in platforms


def test_the_telling_lines_of_maven_are_its_errors() -> None:
    output = "\x1b[1m[INFO] Total time\x1b[m\n[ERROR] no such jar\n[ERROR] \n[ERROR] [Help 1] url\n"
    assert telling_lines(output) == ["[ERROR] no such jar"]


def test_without_marked_errors_the_last_lines_tell() -> None:
    assert telling_lines("\n".join(f"line {n}" for n in range(9)))[-1] == "line 8"


def test_a_failing_client_is_an_error_with_its_words(tmp_path: Path) -> None:
    words = "import sys; sys.exit('ERROR: nothing like it')"
    with pytest.raises(StreambedError, match="nothing like it") as caught:
        run_client([sys.executable, "-c", words], log=tmp_path / "log", what="fetching")
    assert str(tmp_path / "log") in caught.value.hint


def test_a_client_that_finds_the_disk_full_says_so_by_errno(tmp_path: Path) -> None:
    words = "import sys; sys.exit('[Errno 28] No space left on device')"
    with pytest.raises(OSError, match="No space left"):
        run_client([sys.executable, "-c", words], log=tmp_path / "log", what="fetching")


def test_an_absent_client_is_named(tmp_path: Path) -> None:
    with pytest.raises(StreambedError, match="no-such-client is not installed"):
        run_client(["no-such-client"], log=tmp_path / "log", what="fetching")


class RangeServer(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT at any path but /none, from the asked offset."""

    asked: list[str | None]

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        type(self).asked.append(asked)
        if self.path == "/none":
            self.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start:])

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    RangeServer.asked = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), RangeServer) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


def test_a_download_goes_on_where_it_was_cut(server: str, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT[:1000])
    download(f"{server}/file", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert RangeServer.asked == ["bytes=1000-"]
    assert not (tmp_path / "file.part").exists()


def test_a_refused_download_is_an_error(server: str, tmp_path: Path) -> None:
    with pytest.raises(StreambedError, match="404"):
        download(f"{server}/none", tmp_path / "none")


def test_mnist_is_taken_from_a_directory_plain_or_zipped(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    for number, name in enumerate(MNIST_FILES):
        content = name.encode()
        if number % 2:
            (source / name).write_bytes(content)
        else:
            (source / f"{name}.gz").write_bytes(gzip.compress(content))
    _from_directory(source, target)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {
        name: name.encode() for name in MNIST_FILES
    }


def test_an_incomplete_mnist_directory_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(StreambedError, match="t10k-images-idx3-ubyte"):
        _from_directory(tmp_path, tmp_path)
