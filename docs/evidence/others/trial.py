"""Tries what became of source E's list: each system on this stack's own Spark, a case for each.

It makes environments in DIR, runs the cases one after the other and says of each whether it went as
expected. README.md says more.
"""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
# A trial writes nothing but to DIR.
sys.dont_write_bytecode = True

from trials import Ending, TrialError, ask, install, report, run, spark  # noqa: E402

# Before anything else: the sdists are built without isolation, and TensorFlowOnSpark and Sparkling
# Water import pkg_resources, which newer ones have not.
TOOLS = ("setuptools==69.5.1", "wheel==0.45.1")
DEPENDENCY_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1"


@dataclass(frozen=True)
class Case:
    """A system on trial, and what is expected of it: its end, and a line (`says`) in its output."""

    name: str
    expected: str
    succeeds: bool
    says: str
    venv: str
    """Of requirements-VENV.txt."""
    packages: tuple[str, ...] = ()
    """The system itself, on PyPI. Installed without what it asks for: that is in the venv."""
    jars: bool = False
    """Whether it needs what NAME-pom.xml names."""
    env: tuple[tuple[str, str], ...] = ()

    def as_expected(self, ending: Ending) -> bool:
        """Whether it ended as it should, and said why."""
        ended = ending.status is not None and (ending.status == 0) == self.succeeds
        return ended and ending.says(self.says)


CASES = (
    Case("dl4j", "trains", True, "trained: ", "jvm", jars=True),
    Case("caffeonspark", "is in neither registry", True, "nowhere: caffeonspark,", "jvm"),
    Case(
        "tensorspark",
        "fails",
        False,
        "No module named 'session_worker'",
        "tensorflow",
        packages=("tensorspark==1.0.6",),
    ),
    Case(
        "dist-keras",
        "fails",
        False,
        "'tensorflow' has no attribute 'ConfigProto'",
        "tensorflow",
        packages=("dist-keras==0.2.1",),
    ),
    Case(
        "sparkling-water",
        "fails",
        False,
        r"PySparkling for Spark 3\.5, but your PySpark is of version 4\.0",
        "jvm",
        packages=("h2o_pysparkling_3.5==3.46.0.6.post1",),
    ),
    Case("elephas", "trains", True, "trained: ", "tensorflow", packages=("elephas==7.3.0",)),
    Case(
        "tensorflowonspark",
        "trains",
        True,
        "trained: ",
        "tensorflow",
        packages=("tensorflowonspark==2.2.5", "tf_keras==2.19.0"),
        env=(("TF_USE_LEGACY_KERAS", "1"),),
    ),
)


def plain(requirement: str) -> str:
    """A requirement as it can be compared: `-`, `_` and `.` are the same in a name."""
    return re.sub(r"[-_.]+", "-", requirement).lower()


def find_python(given: str | None) -> str:
    """The first of the known places whose Python is 3.11 indeed: a shim of pyenv may be none."""
    known = [shutil.which("python3.11"), "/usr/bin/python3.11"]
    places: list[str | None] = [given] if given else known
    for place in filter(None, places):
        if ask(place, "-c", "import sys; print(sys.version_info[:2])") == ["(3, 11)"]:
            return place
    raise TrialError(f"no Python 3.11 is {given or 'on PATH'}: name one with --python")


def find_java(given: Path | None) -> Path:
    """The home of a Java 17."""
    places = [given] if given else sorted(Path("/usr/lib/jvm").glob("java-17-*"))
    for place in places:
        if " 17." in "".join(ask(str(place / "bin/java"), "--version")[:1]):
            return place
    raise TrialError(f"no Java 17 is in {given or '/usr/lib/jvm/java-17-*'}: name one with --java")


def environment(case: Case, given: str | None, into: Path) -> str:
    """DIR/venv-VENV with what the case needs, unless it is there; the path of its Python."""
    venv = into / f"venv-{case.venv}"
    python, wanted = venv / "bin/python", HERE / f"requirements-{case.venv}.txt"
    pip = [str(python), "-m", "pip", "install", "--no-input"]
    unaided = [*pip, "--no-build-isolation"]
    mark, text = venv / "installed.txt", wanted.read_text()
    if not mark.is_file() or mark.read_text() != text:
        install([find_python(given), "-m", "venv", str(venv)], into / f"{venv.name}.txt")
        install([*pip, *TOOLS], into / f"{venv.name}-tools.txt")
        install([*unaided, "-r", str(wanted)], into / f"{venv.name}-pip.txt")
        mark.write_text(text)
    there = {plain(line) for line in ask(str(python), "-m", "pip", "freeze")}
    if missing := [name for name in case.packages if plain(name) not in there]:
        install([*unaided, "--no-deps", *missing], into / f"{case.name}-pip.txt")
    return str(python)


def maven(into: Path) -> list[str]:
    """How Maven is called: with a repository of the trial's own."""
    if not (found := shutil.which("mvn")):
        raise TrialError("no mvn is on PATH: it is Debian's package maven")
    return [found, "--batch-mode", "--no-transfer-progress", f"-Dmaven.repo.local={into / 'maven'}"]


def fetch_jars(case: Case, into: Path) -> Path:
    """DIR/jars/NAME with what NAME-pom.xml names, unless it is there."""
    pom, jars = HERE / f"{case.name}-pom.xml", into / "jars" / case.name
    mark = jars / "fetched.xml"
    if not mark.is_file() or mark.read_text() != pom.read_text():
        shutil.rmtree(jars, ignore_errors=True)
        # Native libraries for this kind of machine alone.
        command = [*maven(into), "-Djavacpp.platform=linux-x86_64", f"--file={pom}"]
        command += [f"{DEPENDENCY_PLUGIN}:copy-dependencies", "-DincludeScope=runtime"]
        install([*command, f"-DoutputDirectory={jars}"], into / f"{case.name}-maven.txt")
        mark.write_text(pom.read_text())
    return jars


def settings(case: Case, python: str, java: Path, into: Path) -> dict[str, str]:
    """What a case runs with."""
    find = "import pyspark; print(pyspark.__path__[0])"
    if len(found := ask(python, "-c", find)) != 1:
        raise TrialError(f"{python} finds no pyspark: remove {into / f'venv-{case.venv}'}")
    scratch = into / "scratch"
    env = spark(found[0], str(java), python, "2.13", into)
    cache = f'-Dorg.bytedeco.javacpp.cachedir="{scratch}"'
    return env | {
        "JAVA_TOOL_OPTIONS": f"{env['JAVA_TOOL_OPTIONS']} {cache}",
        "KERAS_HOME": str(scratch / "keras"),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        **dict(case.env),
    }


def attempt(case: Case, given: str | None, java: Path, into: Path) -> bool:
    """Prepares and runs a case, reports it; whether it went as expected."""
    python = environment(case, given, into)
    command = [python, str(HERE / "cases.py"), case.name, "--scratch", str(into / "scratch")]
    if case.jars:
        command += ["--jars", str(fetch_jars(case, into))]
    if case.name == "caffeonspark":
        command += ["--maven", *maven(into), f"{DEPENDENCY_PLUGIN}:get"]
    versions = ask(python, "-m", "pip", "freeze") + ask(str(java / "bin/java"), "--version")
    (into / f"excerpts/versions-{case.venv}.txt").write_text("\n".join(versions) + "\n")
    log = into / "outputs" / f"{case.name}.txt"
    ending = run(command, log, settings(case, python, java, into))
    good = case.as_expected(ending)
    rows = (
        f"{case.name}: {'as expected' if good else f'OTHERWISE, see {log}'}",
        f"expected: {case.expected}, and says {case.says!r}",
        f"ended: {ending}",
        *ending.lines(f"^(on trial|found|imported|nowhere|trained): |{case.says}"),
        # Where it went otherwise, the error itself is what is wanted.
        *([] if good else ending.lines(r"^\S*(Error|Exception)\b|^Caused by: ")),
    )
    report(into, case.name, rows)
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, required=True, metavar="DIR")
    parser.add_argument("--python", metavar="PATH", help="a Python 3.11")
    parser.add_argument("--java", type=Path, metavar="HOME", help="a Java 17")
    names = [case.name for case in CASES]
    parser.add_argument("--only", action="append", choices=names, help="this case; may be repeated")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    into: Path = options.into.resolve()
    for name in ("conf", "scratch", "outputs", "excerpts"):
        (into / name).mkdir(parents=True, exist_ok=True)
    wanted = [case for case in CASES if case.name in (options.only or names)]
    try:
        java = find_java(options.java)
        good = [attempt(case, options.python, java, into) for case in wanted]
    except TrialError as error:
        parser.exit(2, f"trial: {error}\n")
    print(f"{sum(good)} of {len(good)} cases as expected")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
