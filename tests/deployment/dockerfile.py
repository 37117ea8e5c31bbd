"""
As much of a container engine as our Dockerfile needs: what its instructions say, and a shell script that does it.

It stands in where there is no engine. Each stage is a root file system of its own, an overlay over this machine's with
its Python in ``/usr/local`` as the official images have it. All of it is gone with the mount namespace it is done in.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path

from attrs import define, field, frozen

__all__ = ["BASE", "PASSED_ON", "Image", "context", "image", "instructions"]

#: What is not the Dockerfile's business: how packages are reached from here.
PASSED_ON = ("PIP_CERT", "PIP_DEFAULT_TIMEOUT", "PIP_INDEX_URL", "SSL_CERT_FILE")

#: A root file system in memory, as a function of a shell. Its arguments are what is seen in it, and the folder to make
#: it in; there is nothing in its ``/opt``.
BASE = """
lower=$1
mkdir -p "$2/upper" "$2/work" "$2/root"
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$2/upper,workdir=$2/work" "$2/root"
mkdir "$2/local" "$2/local.work"
mount -t overlay overlay -o "lowerdir={python},upperdir=$2/local,workdir=$2/local.work" "$2/root/usr/local"
mount --bind /dev "$2/root/dev"
mount -t tmpfs tmpfs "$2/root/tmp"
rm -rf "$2/root/opt" && mkdir "$2/root/opt"
chroot "$2/root" ldconfig
"""


@frozen
class Instruction:
    """
    One of them, on one line.
    """

    word: str
    rest: str


@define(eq=False)
class Image:
    """
    What the last stage says of the container.

    :ivar script: builds it; its argument is an empty folder in a file system in memory. Must be run by root in a
        mount namespace of its own, and leaves the container's root file system in folder ``root`` of the last stage.
    :ivar stage: the name of that stage.
    """

    script: str = ""
    stage: str = ""
    environment: dict[str, str] = field(factory=dict)
    user: str = "0:0"
    folder: str = "/"
    volumes: list[str] = field(factory=list)
    labels: dict[str, str] = field(factory=dict)
    entrypoint: list[str] = field(factory=list)
    command: list[str] = field(factory=list)
    health: list[str] = field(factory=list)
    stop_signal: str = "SIGTERM"


def instructions(text: str) -> Iterator[Instruction]:
    """
    Read a Dockerfile.
    """
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield Instruction(word.upper(), " ".join(rest.split()))


def context(folder: Path) -> Iterator[Path]:
    """
    Find what ``.dockerignore`` leaves of a folder; paths are relative to it.
    """
    rules = [
        (not line.startswith("!"), line.removeprefix("!"))
        for line in (folder / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    yield from _left(folder, Path(), rules)


def _left(folder: Path, below: Path, rules: Sequence[tuple[bool, str]]) -> Iterator[Path]:
    for path in sorted((folder / below).iterdir()):
        about = path.relative_to(folder)
        left_out = False
        for leaves_out, rule in rules:
            pattern = rule.removeprefix("**/")
            names = about.parts if rule.startswith("**/") else (str(about), about.parts[0])
            if any(fnmatch(name, pattern) for name in names if name.count("/") == pattern.count("/")):
                left_out = leaves_out
        if not left_out:
            yield from _left(folder, about, rules) if path.is_dir() else [about]


def image(text: str, files: Path, python: str, environ: Mapping[str, str]) -> Image:
    """
    Make the script that builds, and tell what it builds.

    :param files: a folder with the context and nothing else.
    :param python: the prefix of the Python that stands for that of the base image.
    """
    built = Image()
    arguments: dict[str, str] = {}
    passed = [f"{name}={environ[name]}" for name in PASSED_ON if environ.get(name)]
    lines = ["set -eu", "place=$1", f"base() {{ {BASE.format(python=shlex.quote(python))} }}"]
    for number, each in enumerate(instructions(text)):
        rest = _filled(each.rest, {**arguments, **built.environment})
        root = f'"$place/{built.stage}/root"'
        if each.word == "FROM":
            built = Image(stage=rest.partition(" AS ")[2] or f"stage{number}")
            lines.append(f'base / "$place/{built.stage}"')
        elif each.word == "ARG":
            name, _, value = rest.partition("=")
            arguments[name] = value
        elif each.word == "RUN":
            variables = {"PATH": "/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin", **built.environment}
            settings = [*passed, *(f"{name}={value}" for name, value in variables.items())]
            # Variables of the shell are its own.
            command = f"cd {shlex.quote(built.folder)} && {each.rest}"
            lines.append(
                shlex.join(["chroot", "ROOT", "env", "-i", *settings, "sh", "-c", command]).replace("ROOT", root)
            )
        elif each.word == "COPY":
            lines.append(_copy(rest, built.folder, root, files))
        elif each.word == "WORKDIR":
            built.folder = rest
            lines.append(f"mkdir -p {root}{shlex.quote(rest)}")
        else:
            _set(built, each.word, rest)
    built.script = "\n".join(lines) + "\n"
    return built


def _filled(text: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\$\{(\w+)\}", lambda match: values.get(match[1], ""), text)


def _copy(rest: str, folder: str, root: str, files: Path) -> str:
    words = shlex.split(rest)
    source = shlex.quote(str(files))
    if words[0].startswith("--from="):
        source = f'"$place/{words.pop(0).removeprefix("--from=")}/root"'
    *sources, target = words
    into = target if target.startswith("/") else f"{folder}/{target}"
    lines = [
        f"mkdir -p {root}{shlex.quote(into if len(sources) > 1 or target.endswith('/') else str(Path(into).parent))}"
    ]
    for each in sources:
        one, there = f"{source}/{shlex.quote(each.lstrip('/'))}", f"{root}{shlex.quote(into)}"
        lines.append(f"if [ -d {one} ]; then mkdir -p {there}; cp -a {one}/. {there}; else cp -a {one} {there}; fi")
    return "\n".join(lines)


def _set(built: Image, word: str, rest: str) -> None:
    """
    Take note of what is not done but said.
    """
    if word == "ENV":
        built.environment.update(_pairs(rest))
    elif word == "LABEL":
        built.labels.update(_pairs(rest))
    elif word == "USER":
        built.user = rest
    elif word == "VOLUME":
        built.volumes.append(rest)
    elif word == "ENTRYPOINT":
        built.entrypoint = json.loads(rest)
    elif word == "CMD":
        built.command = json.loads(rest)
    elif word == "HEALTHCHECK":
        built.health = json.loads(rest[rest.index("CMD ") + 4 :])
    elif word == "STOPSIGNAL":
        built.stop_signal = rest
    elif word != "EXPOSE":
        raise ValueError(f"{word} is not known here")


def _pairs(rest: str) -> Sequence[tuple[str, str]]:
    return [(name, value) for name, _, value in (each.partition("=") for each in shlex.split(rest))]
