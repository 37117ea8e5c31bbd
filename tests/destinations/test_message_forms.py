"""
Tests of itsjustintv.destinations.message_forms.
"""

from __future__ import annotations

from attrs import evolve
from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.destinations.formats import DISCORD, DISCORD_PLAIN
from itsjustintv.destinations.message_forms import MessageField, MessageForms
from itsjustintv.destinations.message_samples import SAMPLE_DESTINATION, SAMPLES
from itsjustintv.destinations.message_values import message_values
from itsjustintv.model import Destination, DestinationPolicy

CONTENT = "{% if mentions %}{{ mentions }} {% endif %}**{{ name }}** is live"
FORMS = MessageForms(
    {
        "content": MessageField(format=DISCORD, limit=2000, pings=True, required=True),
        "footer": MessageField(format=DISCORD_PLAIN, limit=40),
    },
    {
        "online": {"content": CONTENT, "footer": "{{ category }}"},
        "offline": {"content": "**{{ name }}** was live{% if duration %} for {{ duration }}{% endif %}"},
        "update": {"content": CONTENT},
    },
)
VALUES = message_values(SAMPLES[0].notice, SAMPLE_DESTINATION, "<@&1>")


def configured(**messages: dict[str, str]) -> Destination:
    """
    A destination with templates of an operator's.
    """
    return evolve(SAMPLE_DESTINATION, policy=DestinationPolicy(messages=messages))


class MessageFormTests(SynchronousTestCase):
    """
    The operator's text, or the built-in one.
    """

    def setUp(self) -> None:
        """
        Collect what is logged.
        """
        self.logged: list[str] = []

        def collect(event: dict[str, object]) -> None:
            if event.get("log_level") is LogLevel.warn:
                self.logged.append(str(event["log_format"]).format(**event))

        globalLogPublisher.addObserver(collect)
        self.addCleanup(globalLogPublisher.removeObserver, collect)

    def test_built_in(self) -> None:
        """
        Without templates of an operator's the built-in ones are used; a field without one is empty.
        """
        self.assertEqual(FORMS.text(configured(), "online", "content", VALUES), "<@&1> **Tanuki** is live")
        self.assertEqual(FORMS.text(configured(), "online", "footer", VALUES), "Art")
        self.assertEqual(FORMS.text(configured(), "update", "footer", VALUES), "")

    def test_the_operators_text_wins(self) -> None:
        """
        It stands instead of the built-in one, for its event and field alone; it can be empty where that is allowed.
        """
        destination = configured(online={"content": "{{ name }}!", "footer": ""})
        self.assertEqual(FORMS.text(destination, "online", "content", VALUES), "Tanuki!")
        self.assertEqual(FORMS.text(destination, "online", "footer", VALUES), "")
        self.assertEqual(FORMS.text(destination, "update", "content", VALUES), "<@&1> **Tanuki** is live")
        self.assertEqual(FORMS.builtin_text("online", "content", VALUES), "<@&1> **Tanuki** is live")
        self.assertEqual(self.logged, [])

    def test_a_failure_is_never_silence(self) -> None:
        """
        A template that cannot be read, fails, is too long or is empty gives way to the built-in text, with one warning.
        """
        for number, source in enumerate(("{{ nme }}", "{% if ended > 1 %}x{% endif %}", "x" * 2001, "{{ vod }}")):
            with self.subTest(source[:40]):
                self.logged.clear()
                destination = evolve(configured(online={"content": source}), name=f"failing-{number}")
                for _ in range(3):
                    text = FORMS.text(destination, "online", "content", VALUES)
                    self.assertEqual(text, "<@&1> **Tanuki** is live")
                self.assertEqual(len(self.logged), 1)
                self.assertIn(f"cannot use messages.online.content of failing-{number}: ", self.logged[0])

    def test_another_limit(self) -> None:
        """
        A limit that the service says is used instead of that of the field.
        """
        destination = configured(online={"footer": "{{ title }}"})
        self.assertEqual(FORMS.text(destination, "online", "footer", VALUES, limit=8), "Drawing…")


class MessageCheckTests(SynchronousTestCase):
    """
    What is wrong with templates is said when the configuration is read.
    """

    def check(self, **messages: dict[str, str]) -> list[tuple[str, str]]:
        """
        The mistakes in templates.
        """
        return list(FORMS.check(messages))

    def test_the_built_in_texts_are_right(self) -> None:
        """
        They pass the same check.
        """
        self.assertEqual(list(FORMS.check(FORMS.builtin)), [])

    def test_unknown_names(self) -> None:
        """
        An event, a field and a name that do not exist are said with similar ones.
        """
        self.assertEqual(self.check(onlin={}), [("messages.onlin", "there is no event onlin; did you mean online?")])
        self.assertEqual(
            self.check(online={"contnt": ""}),
            [("messages.online.contnt", "there is no field contnt; did you mean content?")],
        )
        self.assertEqual(
            self.check(offline={"content": "{{ nme }}"}),
            [("messages.offline.content", "line 1, column 4: there is no nme; did you mean name?")],
        )

    def test_what_would_fail(self) -> None:
        """
        A template that fails for a broadcast of which little is known, or of which too much is said, is a mistake.
        """
        for source, words in (
            ("{% if viewers > 9 %}x{% else %}y{% endif %}", "of which nothing is known: line 1: it compares a value"),
            ("{{ viewers }}", "it is empty for a broadcast of which nothing is known"),
            ("x" * 2001, "as usual: it is longer than 2000 characters"),
            ("{{ title|raw }}", "remove raw"),
        ):
            with self.subTest(source[:40]):
                ((key, sentence),) = self.check(online={"content": source})
                self.assertEqual(key, "messages.online.content")
                self.assertIn(words, sentence)

    def test_no_sample_gets_through_unescaped(self) -> None:
        """
        Nothing that hostile words could do is left in the text of a sample.
        """
        for each in SAMPLES:
            values = message_values(each.notice, SAMPLE_DESTINATION)
            destination = configured(**{each.event: {"content": "{{ name }} {{ title }} {{ tags }} {{ login }}"}})
            text = FORMS.text(destination, each.event, "content", values)
            self.assertNotRegex(text, r"@(?!\u200b)|(?<!\\)<|(?<!\\)\]\(")
            self.assertLessEqual(len(text), 2000)
