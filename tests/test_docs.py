"""
What the documents say is so.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import click
from attrs import fields, has
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from itsjustintv import __version__
from itsjustintv.cli.main import main
from itsjustintv.cli.manual import man, markdown
from itsjustintv.config.destination_tables import table_class
from itsjustintv.config.keys import leaves
from itsjustintv.config.load import parse
from itsjustintv.config.sections import Config, StreamerEntry
from itsjustintv.destinations.kinds import KINDS
from itsjustintv.interfaces import IOutcomeSink
from itsjustintv.model import Delivery, Outcome, State
from tests.documents import ROOT, Document, documents

PACKAGE = ROOT / "itsjustintv"
ARCHITECTURE = ROOT / "docs" / "architecture.md"

#: What a logger is called, and its methods for what an operator must be able to look up.
LOGGERS = frozenset({"log", "_log"})
LOUD = {"warn": "warn", "error": "error", "critical": "critical", "failure": "critical"}
LOGGED = frozenset({*LOUD, "info", "debug", "emit"})

#: Exceptions whose text an operator reads.
TOLD = frozenset(
    {
        "Absent",
        "CannotServe",
        "Declined",
        "Forged",
        "JournalInUse",
        "JournalUnavailable",
        "Missing",
        "Stale",
        "SystemExit",
        "Unreadable",
    }
)

#: Texts of such exceptions that are kept in a table.
TABLES = {"_MEANING": PACKAGE / "journal" / "sqlite" / "database.py"}


def sources(folder: Path = PACKAGE) -> Iterator[tuple[Path, ast.Module]]:
    """
    The modules of the daemon and of its command.
    """
    for path in sorted(folder.rglob("*.py")):
        if "simulator" not in path.parts:
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def template(text: str) -> str:
    """
    A sentence on one line, with whatever is put into it left out.
    """
    return " ".join(re.sub(r"\{[^{}]*\}", "{}", text).split())


def texts(node: ast.AST) -> Iterator[str]:
    """
    The sentences of an expression, as templates.
    """
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield template(node.value)
    elif isinstance(node, ast.JoinedStr):
        parts = (str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        yield template("".join(parts))
    else:
        for child in ast.iter_child_nodes(node):
            yield from texts(child)


def names(module: ast.Module) -> Mapping[str, ast.expr]:
    """
    What the names of a module are set to, wherever in it.
    """
    found: dict[str, ast.expr] = {}
    for node in ast.walk(module):
        if isinstance(node, ast.Assign):
            for target in ast.walk(node.targets[0]):
                if isinstance(target, ast.Name):
                    found[target.id] = node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            found[node.target.id] = node.value
    return found


def sentences(node: ast.AST, known: Mapping[str, ast.expr], depth: int = 2) -> Iterator[str]:
    """
    The sentences of an expression and of what its names stand for, a table of sentences say.
    """
    yield from texts(node)
    for each in ast.walk(node):
        if depth and isinstance(each, ast.Name) and each.id in known:
            yield from sentences(known[each.id], known, depth - 1)


def handed_in(module: ast.Module, node: ast.Call, sentence: ast.expr) -> Iterator[ast.expr]:
    """
    What callers hand in, when a line's sentence is an argument of the function that logs it.
    """
    if not isinstance(sentence, ast.Name):
        return
    for function in ast.walk(module):
        if not isinstance(function, ast.FunctionDef) or node not in ast.walk(function):
            continue
        arguments = [each.arg for each in function.args.args if each.arg != "self"]
        if sentence.id in arguments:
            place = arguments.index(sentence.id)
            for call in ast.walk(module):
                if isinstance(call, ast.Call) and ast.unparse(call.func).rpartition(".")[2] == function.name:
                    yield call.args[place]


@cache
def log_lines() -> Sequence[tuple[str, str, str]]:
    """
    Every line that the daemon can log: its method, its sentence as a template, and where.

    A sentence that is looked up in a table of the module stands for the whole table.
    """
    return tuple(_log_lines())


def _log_lines() -> Iterator[tuple[str, str, str]]:
    for path, module in sources():
        known = names(module)
        for node in ast.walk(module):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            method = node.func.attr
            if method not in LOGGED or ast.unparse(node.func.value).rpartition(".")[2] not in LOGGERS:
                continue
            sentence = node.args[1] if method == "emit" else node.args[0]
            where = f"{path.relative_to(ROOT)}:{node.lineno}"
            found = {
                each for given in (sentence, *handed_in(module, node, sentence)) for each in sentences(given, known)
            }
            if not found and method in LOUD:
                raise AssertionError(f"{where}: the sentence of a loud line cannot be found")
            yield from ((method, each, where) for each in sorted(found))


def refusals() -> Iterator[tuple[str, str]]:
    """
    The texts of the exceptions that an operator reads, as templates, and where they are.
    """
    for path, module in sources():
        where = str(path.relative_to(ROOT))
        for node in ast.walk(module):
            told = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in TOLD
            if told and node.args and isinstance(node.args[0], ast.Constant | ast.JoinedStr):
                yield from ((text, where) for text in texts(node.args[0]))
    for name, path in TABLES.items():
        table = names(ast.parse(path.read_text(encoding="utf-8")))[name]
        yield from ((text, str(path.relative_to(ROOT))) for text in texts(table))


def spans(cell: str) -> Sequence[str]:
    """
    The sentences in a cell of a table, as templates.
    """
    return [template(text) for text in re.findall(r"`([^`]+)`", cell)]


class LinkTests(SynchronousTestCase):
    """
    Links lead somewhere.
    """

    maxDiff = None

    def test_what_a_link_names_exists(self) -> None:
        """
        Every relative link leads to a file or a folder, and its anchor to a heading.
        """
        broken = []
        for document in documents():
            for link in document.links:
                if re.match(r"[a-z]+:", link):
                    continue
                name, _, anchor = link.partition("#")
                target = (document.path.parent / name).resolve() if name else document.path
                if not target.exists():
                    broken.append(f"{document}: {link}: there is no such file")
                elif anchor and anchor not in Document(target).anchors:
                    broken.append(f"{document}: {link}: there is no such heading")
        self.assertEqual(broken, [])

    def test_every_document_can_be_found(self) -> None:
        """
        From the README, links lead to every document.
        """
        pages = {document.path: document for document in documents()}
        found, ahead = set(), [ROOT / "README.md"]
        while ahead:
            page = ahead.pop()
            if page in pages and page not in found:
                found.add(page)
                ahead += [(page.parent / link.partition("#")[0]).resolve() for link in pages[page].links]
        self.assertEqual([str(pages[page]) for page in pages.keys() - found], [])

    def test_a_path_in_the_text_exists(self) -> None:
        """
        A path that is set as code, from the top of the checkout or of the package, exists; a star stands for any name.
        """
        top = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")} - {"data"}
        inside = {path.name for path in PACKAGE.iterdir() if path.is_dir()}
        missing = []
        for document in documents():
            for span in document.spans:
                if not re.fullmatch(r"[\w.*-]+(/[\w.*-]+)*/?", span) or "/" not in span:
                    continue
                first = span.partition("/")[0]
                places = [ROOT] * (first in top) + [PACKAGE] * (first in inside)
                names = (span.rstrip("/"), f"{span}.py")
                if places and not any(any(place.glob(name)) for place in places for name in names):
                    missing.append(f"{document}: {span}")
        self.assertEqual(missing, [])


class ArchitectureTests(SynchronousTestCase):
    """
    The tree in docs/architecture.md.
    """

    def test_every_module_is_in_the_tree(self) -> None:
        """
        The row of each folder names all of its modules.
        """
        rows = dict(
            re.findall(r"^\| (?:`([\w/]+)/`|\(root\)) \| .* \| (.*) \|$", ARCHITECTURE.read_text("utf-8"), re.M)
        )
        missing = []
        for path in sorted(PACKAGE.rglob("*.py")):
            folder = path.parent.relative_to(PACKAGE).as_posix().removeprefix(".")
            row = rows.get(folder, rows.get(folder.rpartition("/")[0], ""))
            if not path.stem.startswith("__") and f"`{path.stem}`" not in row:
                missing.append(path.relative_to(PACKAGE).as_posix())
        self.assertEqual(missing, [])


class ManualTests(SynchronousTestCase):
    """
    Pages that are written by a command, and the site.
    """

    def test_the_manual_is_that_of_the_commands(self) -> None:
        """
        What is in the repository is what the commands say of themselves: ``make manual`` writes it.
        """
        pages = {"etc/man/itsjustintv.1": man(main, __version__), "docs/commands.md": markdown(main)}
        stale = [path for path, text in pages.items() if (ROOT / path).read_text(encoding="utf-8") != text]
        self.assertEqual(stale, [], "make manual, and commit what it has written")

    def test_the_site_has_every_page(self) -> None:
        """
        Every page of docs is in the contents of docs/index.md.
        """
        docs = ROOT / "docs"
        listed = {
            path
            for block in Document(docs / "index.md").blocks
            for line in block.lines
            for path in docs.glob(f"{line}.md" if line and not line.startswith(":") else "index.md")
        }
        self.assertEqual([str(path) for path in sorted(docs.rglob("*.md")) if path not in listed], [])

    def test_the_site_leads_nowhere_else(self) -> None:
        """
        A link from a page of docs leads to a page of docs, to a file that is no page, or out into the world: the site
        has no other pages.
        """
        wrong = [
            f"{document}: {link}"
            for document in documents()
            if document.path.is_relative_to(ROOT / "docs")
            for link in document.links
            if re.match(r"(?![a-z]+:).*\.md(#|$)", link)
            and not (document.path.parent / link.partition("#")[0]).resolve().is_relative_to(ROOT / "docs")
        ]
        self.assertEqual(wrong, [])


class CommandTests(SynchronousTestCase):
    """
    Commands can be typed as they are printed.
    """

    maxDiff = None

    def test_targets_of_make(self) -> None:
        """
        Every target that make is asked for is in the Makefile.
        """
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        targets = set(re.findall(r"^([a-z]\w*):", makefile, re.MULTILINE))
        wrong = []
        for document in documents():
            for command in document.commands:
                asked = command[1:] if command[0] == "make" else ()
                wrong += [f"{document}: make {word}" for word in asked if "=" not in word and word not in targets]
        self.assertEqual(wrong, [])

    def test_subcommands_and_options(self) -> None:
        """
        Every subcommand and option of ``itsjustintv`` is one that it has.
        """
        wrong = []
        for document in documents():
            for command in document.commands:
                words = list(command)
                if words[0] != "itsjustintv" and words[1:2] == ["-m"]:
                    words = words[2:]
                if not words or not re.fullmatch(r"(.*/)?itsjustintv", words[0]):
                    continue
                if problem := self._problem(words[1:]):
                    wrong.append(f"{document}: {' '.join(command)}: {problem}")
        self.assertEqual(wrong, [])

    def test_every_command_shows_how_it_is_used(self) -> None:
        """
        The help of every command ends with examples, of itself, that can be typed as they are printed.
        """
        wrong = []
        for path, command in self._all(main, ()):
            lines = re.findall(r"^ +\$ (.*)$", command.epilog or "", re.MULTILINE)
            shown = [shlex.split(line.partition(" > ")[0]) for line in lines]
            if not any(words[1 : len(path) + 1] == list(path) for words in shown):
                wrong.append(f"{' '.join(path)}: there is no example of it")
            wrong += [
                f"{line}: {problem}"
                for line, words in zip(lines, shown, strict=True)
                if (problem := self._problem(words[1:]))
            ]
        self.assertEqual(wrong, [])

    def _all(self, command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
        yield path, command
        if isinstance(command, click.Group):
            for name, below in command.commands.items():
                yield from self._all(below, (*path, name))

    def _problem(self, words: Sequence[str]) -> str:
        command: click.Command = main
        ahead = iter(words)
        for word in ahead:
            if re.match("--?[a-z]", word):
                name = word.partition("=")[0]
                options = {opt: each for each in command.params for opt in (*each.opts, *each.secondary_opts)}
                option = options.get(name)
                if option is None and name not in ("-h", "--help"):
                    return f"there is no option {name}"
                if isinstance(option, click.Option) and not option.is_flag and "=" not in word:
                    next(ahead, None)
            elif isinstance(command, click.Group):
                if not re.fullmatch("[a-z]+", word):
                    return ""  # the name alone, in some other sentence
                if word not in command.commands:
                    return f"there is no subcommand {word}"
                command = command.commands[word]
        return ""


class ConfigurationTests(SynchronousTestCase):
    """
    Keys and variables are those of the schema.
    """

    maxDiff = None

    def test_keys(self) -> None:
        """
        Every key that is named as ``section.key`` exists.
        """
        keys = {".".join(leaf.keys) for leaf in leaves()}
        keys |= {f"streamers.{leaf.keys[-1]}" for leaf in leaves(StreamerEntry)}
        keys |= {
            ".".join(leaf.keys) for kind in KINDS.values() for leaf in leaves(table_class(kind), ("destinations",))
        }
        keys |= {"streamers.at"}
        sections = {attribute.name for attribute in fields(Config) if has(type(attribute.default))}
        sections |= {"streamers", "destinations"}
        pattern = re.compile(rf"(?<![\w./-])(?:{'|'.join(sections)})(?:\.[A-Za-z_]+)+(?![\w/(-])")
        wrong = []
        for document in documents():
            for span in document.spans:
                for key in pattern.findall(span):
                    if key.rpartition(".")[2] in ("json", "md", "py", "toml"):
                        continue
                    general = re.sub(r"^streamers\.(?!(?:login|user_id)$)\w+\.", "streamers.", key)
                    general = re.sub(r"^streamers\.at\.\w+", "streamers.at", general)
                    general = re.sub(r"^destinations\.\w+\.(?:messages\.\w+\.\w+$)?", "destinations.", general)
                    whole = any(known.startswith(f"{general}.") for known in keys)
                    if general not in keys and not whole and not re.fullmatch(r"(?:streamers|destinations)\.\w*", key):
                        wrong.append(f"{document}: {key}")
        self.assertEqual(wrong, [])

    def test_variables(self) -> None:
        """
        Every variable of the environment is one of the configuration, or is read by name in the code.
        """
        known = {leaf.variable for leaf in leaves()}
        for kind in KINDS.values():
            known |= {leaf.variable for leaf in leaves(table_class(kind), ("destinations", "main"))}
        for folder in (PACKAGE, ROOT / "tests"):
            for path in folder.rglob("*.py"):
                known |= set(re.findall(r'"(ITSJUSTINTV_[A-Z_]*[A-Z])"', path.read_text(encoding="utf-8")))
        wrong = []
        for document in documents():
            for text in (*document.prose, *map(str, document.blocks)):
                found = re.findall(r"\bITSJUSTINTV_[A-Z_]*[A-Z]\b", text)
                wrong += [f"{document}: {name}" for name in found if name not in known]
        self.assertEqual(wrong, [])

    def test_the_smallest_configuration(self) -> None:
        """
        The configuration in the README is enough, once its dots are replaced, and nothing about it is doubtful.
        """
        [example] = [block for block in Document(ROOT / "README.md").blocks if block.language == "toml"]
        text = str(example).replace("/webhooks/...", "/webhooks/1/a").replace('"..."', '"something-else"')
        self.assertEqual(parse(text, {}, kinds=KINDS).warnings, ())

    def test_other_configurations(self) -> None:
        """
        What is shown as a part of a configuration can be a part of one.
        """
        for document in documents():
            for block in document.blocks:
                if block.language == "toml":
                    keys = tomllib.loads(str(block)).keys()
                    self.assertEqual(keys - {attribute.name for attribute in fields(Config)}, set(), document)


class ExampleTests(SynchronousTestCase):
    """
    Code that is printed works.
    """

    def test_python(self) -> None:
        """
        What is shown as Python is Python.
        """
        for document in documents():
            for block in document.blocks:
                if block.language == "python":
                    compile(str(block), str(document), "exec")

    def test_the_payload_in_short(self) -> None:
        """
        What the README shows of a payload is a part of the sample in docs/payload.md.
        """
        [part] = [block for block in Document(ROOT / "README.md").blocks if block.language == "json"]
        sample = next(block for block in Document(ROOT / "docs" / "payload.md").blocks if block.language == "json")
        whole, shown = json.loads(str(sample)), json.loads(str(part))
        shown["stream"] = {**whole["stream"], **shown["stream"]}
        self.assertEqual({**whole, **shown}, whole)

    def test_a_sink(self) -> None:
        """
        The sink in docs/development.md keeps the contract, and counts.
        """
        [example] = [
            block for block in Document(ROOT / "docs" / "development.md").blocks if "IOutcomeSink" in str(block)
        ]
        names: dict[str, Any] = {}
        exec(str(example), names)  # noqa: S102 - it is ours
        sink = names["Tally"]()
        verifyObject(IOutcomeSink, sink)
        delivery = Delivery(
            id="e-1", event_id="e", streamer="s", destination="d", accepted_at=0, next_attempt_at=0, state=State.DEAD
        )
        sink.record(Outcome(delivery=delivery, attempt=None, at=0))
        self.assertEqual(sink.counts, {"dead": 1})


class LogTests(SynchronousTestCase):
    """
    docs/operations.md knows what the log says.
    """

    maxDiff = None

    def setUp(self) -> None:
        """
        Read it.
        """
        self.operations = Document(ROOT / "docs" / "operations.md")
        self.lines = [
            (level, text)
            for row in self.operations.tables("level", "line")
            for text in spans(row["line"])
            for level in row["level"].split(", ")
        ]

    def test_every_loud_line_is_explained(self) -> None:
        """
        Every line that the daemon logs as a warning or worse is in a table, with its level.
        """
        explained = set(self.lines)
        wrong = [
            f"{where}: {level}: {text}"
            for method, text, where in log_lines()
            for level in [LOUD.get(method)]
            if level is not None and (level, text) not in explained
        ]
        wrong += [
            f"{where}: {text}"
            for method, text, where in log_lines()
            if method == "emit" and text not in {each for _, each in explained}
        ]
        self.assertEqual(wrong, [])

    def test_every_line_that_is_explained_exists(self) -> None:
        """
        Every line in a table is one that the daemon logs at that level.
        """
        known = {(LOUD.get(method, method), text) for method, text, _ in log_lines()}
        wrong = [
            f"{level}: {text}"
            for level, text in self.lines
            if (level, text) not in known and ("emit", text) not in known
        ]
        self.assertEqual(wrong, [])

    def test_every_reason_is_explained(self) -> None:
        """
        Every reason for which something is refused, at the start, by a command or to Twitch, is in a table.
        """
        explained = self._reasons()
        self.assertEqual([f"{where}: {text}" for text, where in refusals() if text not in explained], [])

    def test_every_reason_that_is_explained_exists(self) -> None:
        """
        Every reason in a table is a sentence of the code.
        """
        known = {text for _, module in sources() for text in texts(module)}
        self.assertEqual(sorted(set(self._reasons()) - known), [])

    def _reasons(self) -> Iterable[str]:
        return [text for row in self.operations.tables("reason") for text in spans(row["reason"])]
