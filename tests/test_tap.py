"""
Tests for :mod:`itsjustintv.tap`.
"""

from __future__ import annotations

import os
import sys
from io import BytesIO
from pathlib import Path
from subprocess import run
from typing import Any, get_type_hints

import attrs
from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.sections import Config, Logging, StreamerEntry, Telemetry
from itsjustintv.logs import WANTED
from itsjustintv.tap import log_observer, secrets


def filled(section: type, above: str = "") -> Any:
    """
    Make a section whose hidden values are all different.
    """
    values: dict[str, Any] = {}
    for attribute in attrs.fields(section):
        kind, name = get_type_hints(section)[attribute.name], f"{above}{attribute.name}-"
        if attrs.has(kind):
            values[attribute.name] = filled(kind, name)
        elif not attribute.repr:
            values[attribute.name] = f"{name}hidden"
    return section(**values)


def hidden(section: Any) -> set[str]:
    """
    Find the hidden values of a section and those below it.
    """
    found: set[str] = set()
    for attribute in attrs.fields(type(section)):
        value = getattr(section, attribute.name)
        if attrs.has(type(value)):
            found |= hidden(value)
        elif not attribute.repr:
            found.add(value)
    return found


class SecretsTests(SynchronousTestCase):
    """
    What must not appear in a log.
    """

    def test_what_is_not_shown_is_not_logged(self) -> None:
        """
        Every value that a configuration hides when it is shown is one that the log hides as well.
        """
        streamer = filled(StreamerEntry, "streamer-")
        config = attrs.evolve(filled(Config), streamers={"a": streamer})
        planted = hidden(config) | hidden(streamer)
        self.assertIn("server-tls-eab_hmac-hidden", planted)
        self.assertEqual(set(), planted - set(secrets(config)))

    def test_what_is_given_to_a_collector_is_not_logged(self) -> None:
        """
        The headers that OpenTelemetry's variables add, and what an endpoint is asked with, are secrets.
        """
        self.patch(os, "environ", {"OTEL_EXPORTER_OTLP_TRACES_HEADERS": "api-key=a-secret, other=another", "PATH": "x"})
        config = Config(telemetry=Telemetry(endpoint="https://otlp.example/v1?key=a-third"))
        self.assertLessEqual({"a-secret", "another", "key=a-third"}, set(secrets(config)))
        self.assertNotIn("x", set(secrets(config)))


class Screen(BytesIO):
    """
    A terminal.
    """

    def isatty(self) -> bool:
        return True


class LogTests(SynchronousTestCase):
    """
    The log of the process.
    """

    def written(self, out: BytesIO, environ: dict[str, str]) -> bytes:
        """
        What is written of a warning, as text.
        """
        self.patch(os, "environ", environ)
        self.addCleanup(WANTED.follow, Logging())
        WANTED.follow(Logging(format="text"))
        Logger(observer=log_observer(out)).warn("careful")
        return out.getvalue()

    def test_colours_are_for_terminals(self) -> None:
        """
        And for those only who want them.
        """
        self.assertIn(b"\x1b[33mwarn", self.written(Screen(), {}))
        for out, environ in ((BytesIO(), {}), (Screen(), {"NO_COLOR": "1"}), (Screen(), {"TERM": "dumb"})):
            self.assertNotIn(b"\x1b", self.written(out, environ))

    def test_what_ends_the_process(self) -> None:
        """
        A defect at the start, before there is a log, is told on standard error, without secrets.
        """
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "config.toml").write_text(
            '[twitch]\nclient_id = "x"\nclient_secret = "a-secret-of-this-test"\nwebhook_secret = "0123456789"\n'
        )
        code = (
            "from itsjustintv.tap import Options\noptions = Options()\noptions.parseOptions([])\n"
            "raise RuntimeError(options.loaded.config.twitch.client_secret)"
        )
        done = run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=folder)
        self.assertEqual(done.stderr.splitlines()[-1], "RuntimeError: [redacted]")
