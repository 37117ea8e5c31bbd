"""
Who may import whom.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import itsjustintv

PACKAGE = Path(itsjustintv.__file__).parent

#: What the modules of a folder, or of a module of the root, may import beside their own folder: all that stands in a
#: line below. Those in one line never import each other.
LEVELS = (
    ("__main__",),
    ("tap", "cli"),
    ("app",),
    ("doctor",),
    ("admin", "twitch", "tls", "pipeline", "routing", "destinations", "simulator"),
    ("web", "delivery", "logs"),
    ("journal", "telemetry", "dedup", "filters"),
    ("config",),
    ("interfaces",),
    ("model",),
    ("support",),
    ("errors",),
)


def modules() -> Iterator[tuple[str, ast.Module]]:
    """
    Every module of the package: its name without the package's, and its code.
    """
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").removesuffix(".")
        yield name, ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports() -> Mapping[str, Sequence[str]]:
    """
    The full names of everything that each module imports, wherever in it.
    """
    return {name: tuple(_imported(tree)) for name, tree in modules()}


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, part: str) -> bool:
    """
    Whether a module, or something in it, belongs to a part.
    """
    return name == part or name.startswith(f"{part}.")


#: The modules that open files for reading by themselves.
READERS = {
    "support.clocks",
    "support.regular_files",
    "support.files",
    "config.example",
    "journal.sqlite.migrations",
    "admin.assets",
    "simulator.process",
}


def _reads_a_file(call: ast.Call) -> bool:
    """
    Whether a call opens a file for reading, as far as its text shows.
    """
    if isinstance(call.func, ast.Name):
        return call.func.id == "open"
    if not isinstance(call.func, ast.Attribute):
        return False
    if call.func.attr in ("read_bytes", "read_text", "getContent"):
        return True
    modes = [each.value for each in call.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    return call.func.attr == "open" and any(mode in ("r", "rb", "r+", "rb+") for mode in modes)


class LayeringTests(SynchronousTestCase):
    """
    The arrows between the parts only point down.
    """

    def test_a_part_imports_only_what_lies_below_it(self) -> None:
        """
        No module imports from its own level or from above it, but for its own folder.
        """
        level = {part: number for number, parts in enumerate(LEVELS) for part in parts}
        wrong = []
        for name, found in imports().items():
            part = name.split(".")[0]
            for imported in found:
                theirs = imported.removeprefix("itsjustintv.").split(".")[0]
                if theirs in level and theirs != part and name and level[theirs] <= level[part]:
                    wrong.append(f"{name} imports {imported}")
        self.assertEqual(wrong, [])

    def test_no_modules_import_each_other(self) -> None:
        """
        No module imports itself by way of others, not even inside a function or for its types alone.
        """
        graph: dict[str, set[str]] = {name: set() for name in imports()}
        for name, found in imports().items():
            for imported in found:
                if within(imported, "itsjustintv"):
                    path = imported.removeprefix("itsjustintv").removeprefix(".")
                    while path not in graph:
                        path = path.rpartition(".")[0]
                    graph[name].add(path)
            graph[name].discard(name)
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            self.fail("a circle of imports: " + " <- ".join(error.args[1]))

    def test_only_the_journal_knows_its_database(self) -> None:
        """
        Only ``journal.storage`` imports the folder that uses SQLite: a second database changes nothing elsewhere.
        """
        wrong = [
            f"{name} imports {imported}"
            for name, found in imports().items()
            if not within(name, "journal.sqlite") and name != "journal.storage"
            for imported in found
            if within(imported, "sqlite3") or within(imported, "itsjustintv.journal.sqlite")
        ]
        self.assertEqual(wrong, [])

    def test_time_reactor_and_environment_are_handed_in(self) -> None:
        """
        Only the composition root and the commands reach for the reactor, the clock of the machine or its environment.
        """
        reaching = {
            "twisted.internet.reactor",
            "time.time",
            "os.environ",
            "os.getenv",
        }
        last_words = {each.rpartition(".")[2] for each in reaching}
        wrong = []
        for name, tree in modules():
            if name == "tap" or within(name, "cli") or within(name, "simulator"):
                continue
            attributes = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute))
            found = {ast.unparse(node) for node in attributes if node.attr in last_words}
            found = reaching & (found | set(imports()[name]))
            wrong += [f"{name} reaches for {what}" for what in sorted(found)]
        self.assertEqual(wrong, [])

    def test_files_are_read_in_one_place(self) -> None:
        """
        What is at a path may be a named pipe, a device or without end: files are read by ``support.regular_files``
        alone, but for those that come with the package and what the system tells in /proc.
        """
        wrong = [
            f"{name}, line {node.lineno}: {ast.unparse(node)}"
            for name, tree in modules()
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and name not in READERS and _reads_a_file(node)
        ]
        self.assertEqual(wrong, [])

    def test_no_module_grows_too_long(self) -> None:
        """
        A module of more than 600 lines is two modules.
        """
        long = [
            f"{path.relative_to(PACKAGE)}: {count}"
            for path in PACKAGE.rglob("*.py")
            if (count := len(path.read_text(encoding="utf-8").splitlines())) > 600
        ]
        self.assertEqual(long, [])
