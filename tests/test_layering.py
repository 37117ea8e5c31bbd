"""
Who may import whom.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import itsjustintv

PACKAGE = Path(itsjustintv.__file__).parent

GROUND = {"model", "interfaces", "errors", "folders", "overview", "private_files", "reading", "sparing", "support"}

#: What the modules of each part may import of ours, beside those of their own part. The longest name that fits counts.
MAY_IMPORT = {
    "": set[str](),
    "assembly": set[str](),
    "model": {"support"},
    "errors": set[str](),
    "folders": {"support"},
    "private_files": {"folders", "support"},
    "reading": {"support"},
    "sparing": set[str](),
    "support": {"errors"},
    "interfaces": {"model"},
    "overview": {"model", "support"},
    "services": {"errors", "support"},
    "routing": GROUND | {"config"},
    "signature": {"errors", "support"},
    "filters": {"model"},
    "payload": {"model"},
    "dedup": GROUND,
    "event_ids": {"support"},
    "rehearsal": GROUND | {"payload"},
    "pipeline": GROUND | {"dedup", "filters", "payload"},
    "output": GROUND | {"config.sections"},
    "agents": {"delivery.connection", "certs.trust", "support"},
    "first_look": GROUND | {"agents", "config.sections", "delivery.dispatch", "twitch"},
    "renewal": GROUND | {"certs", "config", "https", "inspection", "services", "serving", "watching", "web"},
    "serving": {"agents", "certs", "config.sections", "services"},
    "https": {"serving", "certs", "config", "errors", "web"},
    "checkup": GROUND | {"config.exposure", "config.sections", "inspection", "journal", "twitch"},
    "inspection": GROUND | {"certs", "config"},
    "migration": {"config", "support"},
    "logs": {"model", "interfaces", "config.sections", "support"},
    "telemetry": GROUND,
    "journal": GROUND,
    "config": GROUND | {"signature"},
    "absences": {"errors", "interfaces"},
    "reload": {"config", "errors", "model", "support"},
    "supervisor": {"support"},
    "jumps": {"errors", "support"},
    "watching": {"support"},
    "admin": GROUND,
    "web": GROUND | {"signature", "config.sections", "telemetry"},
    "twitch": GROUND | {"signature", "config.sections", "telemetry"},
    "certs": GROUND | {"signature", "config.sections", "telemetry"},
    "delivery": GROUND | {"signature", "config.sections", "telemetry"},
    "simulator": {"model", "signature", "support"},
    "assembly.ground": {
        "config",
        "event_ids",
        "journal",
        "jumps",
        "reload",
        "routing",
        "services",
        "support",
        "telemetry",
    },
    "assembly.deliveries": {
        "absences",
        "assembly.ground",
        "agents",
        "dedup",
        "delivery",
        "interfaces",
        "model",
        "output",
        "payload",
        "pipeline",
        "telemetry.following",
    },
    "assembly.telemetry": {"assembly", "config", "model", "telemetry"},
    "assembly.twitch": {"assembly.ground", "agents", "interfaces", "telemetry", "twitch"},
    "assembly.subscriptions": {"absences", "assembly.ground", "assembly.twitch", "config", "twitch"},
    "assembly.showing": GROUND | {"admin", "assembly", "journal", "rehearsal"},
    "assembly.admin": {"admin", "assembly", "config", "web"},
    "assembly.probes": {"assembly", "https", "twitch.standing", "web.probes"},
    "assembly.whole": {"absences", "admin.history", "assembly", "config", "services", "supervisor", "watching"},
    "assembly.web": {
        "assembly",
        "config",
        "https",
        "journal.timeline",
        "serving",
        "twitch.resource",
        "watching",
        "web",
    },
    "__main__": {"cli"},
    "cli": {"*"},
    "tap": {"*"},
}


def modules() -> Iterator[tuple[str, ast.Module]]:
    """
    Every module of the package: its name without the package's, and its code.
    """
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").removesuffix(".")
        yield name, ast.parse(path.read_text(encoding="utf-8"))


def imports(tree: ast.Module) -> Iterator[str]:
    """
    The full names of everything a module imports, wherever in it.
    """
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
    "inspection",
    "config.example",
    "journal.migrations",
    "admin.assets",
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
        No module imports a part that its own part must not know.
        """
        wrong = []
        for name, tree in modules():
            part = name if name in MAY_IMPORT else name.split(".")[0]
            allowed = MAY_IMPORT[part]
            for imported in imports(tree):
                ours = imported.removeprefix("itsjustintv.")
                if ours in (imported, "__version__") or "*" in allowed:
                    continue
                if not (within(ours, part) or any(within(ours, below) for below in allowed)):
                    wrong.append(f"{name} imports {ours}")
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
        wrong = []
        for name, tree in modules():
            if name == "tap" or within(name, "cli") or within(name, "simulator"):
                continue
            found = set(imports(tree)) & reaching
            found |= {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)} & reaching
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
