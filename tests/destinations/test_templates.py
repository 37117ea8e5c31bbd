"""
Tests of itsjustintv.destinations.templates, and of the formats of what they print.
"""

from __future__ import annotations

import re
from datetime import UTC
from html.parser import HTMLParser
from time import process_time
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.destinations.formats import (
    BLUESKY,
    DISCORD,
    DISCORD_PLAIN,
    EMAIL,
    EMAIL_HTML,
    GOTIFY,
    MASTODON,
    MATRIX,
    MATRIX_PLAIN,
    NTFY,
    PLAIN,
    PUSHOVER,
    SLACK,
    TEAMS,
    TELEGRAM,
    TELEGRAM_PLAIN,
    Format,
)
from itsjustintv.destinations.message_names import NAMES, Moment, Trusted, make_link
from itsjustintv.destinations.template_filters import FILTERS
from itsjustintv.destinations.templates import RenderFailure, Template, TemplateMistake
from itsjustintv.destinations.text import CHARACTERS, GRAPHEMES, UTF8, UTF16, Counter, clean
from itsjustintv.support.durations import Seconds
from tests.destinations.test_text import HARD
from tests.documents import ROOT, Document

FORMATS = (
    BLUESKY, DISCORD, DISCORD_PLAIN, EMAIL, EMAIL_HTML, GOTIFY, MASTODON, MATRIX, MATRIX_PLAIN, NTFY, PLAIN, PUSHOVER,
    SLACK, TEAMS, TELEGRAM, TELEGRAM_PLAIN,
)  # fmt: skip
HTML = (EMAIL_HTML, MATRIX, PUSHOVER, TELEGRAM)

#: Words as a hostile streamer would put them together.
HOSTILE = st.lists(
    st.one_of(
        st.sampled_from(
            [
                *[
                    "@everyone",
                    "@here",
                    "<@&1>",
                    "<@1>",
                    "<#1>",
                    "<!here>",
                    "<!channel>",
                    "<@U1>",
                    "](http://x)",
                    "</b>",
                    "<b>",
                    "&lt;",
                    "&",
                    '"',
                    "'",
                    "\\",
                    "`",
                    "```",
                ],
                *["**", "__", "~~", "||", "{{7*7}}", "#tag", "http://a.b", "\uff20x", "@", "<", "\n", "\u202e"],
                *("<a href=x>", "{% if %}"),
            ]
        ),
        HARD,
    ),
    max_size=12,
).map("".join)


def parse(source: str, format: Format = PLAIN, *, pings: bool = True) -> Template:  # noqa: A002
    """
    Read a template.
    """
    return Template.parse(source, format, pings=pings)


def render(source: str, format: Format = PLAIN, limit: int = 10_000, **values: object) -> str:  # noqa: A002
    """
    Read and render a template in one step.
    """
    return parse(source, format).render(values, limit)


class _Text(HTMLParser):
    """
    The text and the tags of a piece of HTML.
    """

    def __init__(self, piece: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.tags: list[str] = []
        self.feed(piece)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


class EscapeTests(SynchronousTestCase):
    """
    A streamer's words are shown in every format, and do nothing else.
    """

    @given(HOSTILE)
    def test_discord(self, words: str) -> None:
        """
        After a backslash and its character are taken away, nothing is left that Markdown gives a meaning, and each @ is
        followed by a zero-width space; without both, the words are back.
        """
        words = clean(words)
        found = render("{{ title }}", DISCORD, title=words)
        bare = re.sub(r"\\[^0-9A-Za-z\s]", "", found)
        self.assertNotRegex(bare, r"[\\*_~`|>#\-\[\]()<]")
        self.assertNotRegex(found, "[@\uff20](?!\u200b)")
        self.assertEqual(re.sub(r"\\(.)", r"\1", found).replace("\u200b", ""), words)

    @given(HOSTILE)
    def test_slack(self, words: str) -> None:
        """
        No angle bracket is left, and every ampersand begins an entity.
        """
        words = clean(words)
        found = render("{{ title }}", SLACK, title=words)
        self.assertNotRegex(found, "[<>]|&(?!amp;|lt;|gt;)")
        back = found.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        self.assertEqual(back, words)

    @given(HOSTILE, st.sampled_from(HTML))
    def test_html(self, words: str, format: Format) -> None:  # noqa: A002
        """
        A reader of HTML finds the words as text, between our tags or as the value of our attribute.
        """
        words = clean(words)
        found = _Text(render("<b>{{ title }}</b>", format, title=words))
        self.assertEqual(found.tags, ["b", "b"])
        self.assertEqual(found.text.replace("\u200b", ""), words)
        self.assertNotIn('"', render("{{ title }}", format, title=words))

    @given(HOSTILE)
    def test_no_name_follows_an_at(self, words: str) -> None:
        """
        Where @ before a name notifies the one that has it, a zero-width space stands between; so it does after # where
        that makes a tag.
        """
        for each in (MASTODON, TELEGRAM, TELEGRAM_PLAIN, MATRIX, MATRIX_PLAIN, DISCORD):
            found = render("{{ title }}", each, title=clean(words))
            self.assertNotRegex(found, "[@\uff20](?!\u200b)")
            if each is MASTODON:
                self.assertNotRegex(found, "[#\uff03](?!\u200b)")

    @given(HOSTILE)
    def test_common_mark(self, words: str) -> None:
        """
        Every character with a meaning has a backslash before it.
        """
        words = clean(words)
        found = render("{{ title }}", GOTIFY, title=words)
        self.assertNotRegex(re.sub(r"\\[!-/:-@\[-`{-~]", "", found), r"[\\`*_{}\[\]()<>#+\-.!|~&=]")
        self.assertEqual(re.sub(r"\\(.)", r"\1", found), words)

    @given(HOSTILE, st.sampled_from((PLAIN, DISCORD_PLAIN, NTFY, TEAMS, BLUESKY, EMAIL)))
    def test_plain(self, words: str, format: Format) -> None:  # noqa: A002
        """
        Plain text is what it is.
        """
        words = clean(words)
        self.assertEqual(render("{{ title }}", format, title=words), words)

    @given(HOSTILE, st.sampled_from(FORMATS), st.sampled_from(["upper", "lower", "title", "trim", "truncate(9)"]))
    def test_a_filter_leaves_no_way_out(self, words: str, format: Format, name: str) -> None:  # noqa: A002
        """
        What a filter gives, is joined or is chosen is escaped too.
        """
        words = clean(words)
        for source in (f"{{{{ title|{name} }}}}", "{{ tags|join('@') }}", "{{ '' ~ title }}", "{{ title if title }}"):
            found = render(source, format, title=words, tags=(words, words))
            if format is DISCORD:
                self.assertNotRegex(re.sub(r"\\[^0-9A-Za-z\s]", "", found), r"[*_~`|>#\-\[\]()<]")
                self.assertNotRegex(found, "[@\uff20](?!\u200b)")
            if format in HTML:
                self.assertEqual(_Text(found).tags, [])
            if format is SLACK:
                self.assertNotRegex(found, "[<>]")

    def test_an_address_stays_whole(self) -> None:
        """
        A link is not escaped as words are, and has no character that could end it.
        """
        link = make_link("https://x.y/_a_(b)?c=d&e='<@1>\"")
        self.assertEqual(
            render("[x]({{ url }})", DISCORD, url=link), "[x](https://x.y/_a_%28b%29?c=d&e=%27%3C%401%3E%22)"
        )
        self.assertIn("d&amp;e", render('<a href="{{ url }}">', TELEGRAM, url=link))
        self.assertIsNone(make_link("javascript:alert(1)"))
        self.assertIsNone(make_link("https://" + "x" * 3000))

    def test_raw_is_the_operators_way_out(self) -> None:
        """
        A value from the configuration, or a streamer's in a field that notifies no one, can be printed raw.
        """
        self.assertEqual(render("{{ streamer|raw }}", DISCORD, streamer="a_b"), "a_b")
        self.assertEqual(parse("{{ title|raw }}", DISCORD, pings=False).render({"title": "a_b"}, 9), "a_b")

    def test_mentions_are_printed_as_they_are(self) -> None:
        """
        They come from the configuration, in the form of the service; the same words of a streamer are escaped.
        """
        source = "{% if mentions %}{{ mentions }} {% endif %}{{ title }}"
        found = render(source, DISCORD, mentions=Trusted("<@&1>"), title="<@&1>")
        self.assertEqual(found, "<@&1> \\<@\u200b&1\\>")


#: Templates that must not be: with what their mistake says.
REFUSED = {
    "{{ 'x' * 100000000 }}": "nothing can be calculated",
    "{% for a in tags %}{% for b in tags %}x{% endfor %}{% endfor %}": "there are no loops",
    "{{ name.format }}": "a name has no parts",
    "{{ name.__class__.__mro__ }}": "a name has no parts",
    "{{ name['__class__'] }}": "a value has no entries",
    "{{ name[1:2] }}": "a value has no entries",
    "{{ lipsum() }}": "nothing can be called",
    "{{ '%999999999s'|format(name) }}": "there is no filter format",
    "{{ name|center(100000000) }}": "there is no filter center",
    "{{ name|attr('format') }}": "there is no filter attr",
    "{{ name|replace('', name) }}": "there is no filter replace",
    "{% set a = name %}": "nothing can be set",
    "{% macro a() %}{% endmacro %}": "macro is not possible",
    "{% include '/etc/passwd' %}": "include is not possible",
    "{% extends 'x' %}": "extends is not possible",
    "{% autoescape true %}{{ name }}{% endautoescape %}": "is not possible",
    "{{ self }}": "there is no self",
    "{{ range }}": "there is no range",
    "{{ 9 ** 9 ** 9 }}": "nothing can be calculated",
    "{{ {'a': 1} }}": "dict is not possible",
    "{{ tags|join(*tags) }}": "arguments are written one by one",
    "{{ title is divisibleby 3 }}": "there is no test divisibleby",
    "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}": "nested too deeply",
    "{{ " + "9" * 5000 + " }}": "a number that is too long",
    "{% if title %}" * 250 + "{% endif %}" * 250: "nested too deeply",
    "{{ title }}" * 300: "it is too long",
    "{{ ''" + "~''" * 2100 + " }}": "it is too long",
    "x" * 9000: "at most 8192",
    "{{ mentions ~ name }}": "mentions can only be printed by itself",
    "@{{ name }}": "must not follow @",
    "<!{% if name %}{{ title }}{% endif %}": "must not follow @ or <",
    "<{{ title }}|x>": "must not follow @ or <",
    "{{ '@'|raw }}{{ name }}": "must not follow @ or <",
    "[x]({{ title }})": "would be escaped within an address",
    '<a href="{{ title }}">': "would be escaped within an address",
    "https://twitch.tv/{{ login }}": "write {{ url }}",
    "{{ title|truncate(9)|raw }}": "remove raw",
    "{{ ('' ~ title)|raw }}": "remove raw",
    "{{ name": "not a valid template",
    "{% if name %}": "not a valid template",
}


class MistakeTests(SynchronousTestCase):
    """
    Templates that cannot be used.
    """

    def test_what_could_stop_the_daemon_or_reach_into_it_is_refused(self) -> None:
        """
        Each hostile template is refused when it is read, for its reason, within a moment.
        """
        for source, words in REFUSED.items():
            with self.subTest(source[:60]):
                begin = process_time()
                error = self.assertRaises(TemplateMistake, parse, source)
                self.assertIn(words, error.sentence)
                self.assertNotIn("\n", error.sentence)
                self.assertLess(process_time() - begin, 2)

    def test_what_looks_like_them_is_not(self) -> None:
        """
        Addresses can be written where they belong, and words after a sign that is complete.
        """
        for source in (
            "[{{ name }}]({{ url }})",
            '<a href="{{ url }}">{{ title }}</a>',
            "<{{ url }}>",
            "<b>{{ name }}</b>",
        ):
            self.assertIsInstance(parse(source, DISCORD), Template)
        for source in ("a@b.c {{ name }}", "see https://x.y {{ title }}", "({{ title }})", "#{{ category }}"):
            self.assertIsInstance(parse(source, DISCORD), Template)

    def test_where_it_is(self) -> None:
        """
        A mistake has its line and column, and similar names.
        """
        error = self.assertRaises(TemplateMistake, parse, "x\n a {{ tiitle }}")
        self.assertEqual(str(error), "line 2, column 7: there is no tiitle; did you mean title?")
        error = self.assertRaises(TemplateMistake, parse, "{{ title|uper }}")
        self.assertEqual(str(error), "line 1, column 10: there is no filter uper; did you mean upper?")

    @given(st.text(st.sampled_from("{}% ()|~'\"@<title ifendraw.*[]name\n-"), max_size=40))
    def test_any_text_is_a_template_or_a_mistake(self, source: str) -> None:
        """
        Nothing else is raised, whatever the text.
        """
        try:
            template = parse(source, DISCORD)
            template.render(dict.fromkeys(NAMES, "x"), 50)
        except (TemplateMistake, RenderFailure):
            pass


class RenderTests(SynchronousTestCase):
    """
    From a template and values to a text.
    """

    @given(
        st.tuples(HOSTILE, HOSTILE, st.lists(HARD, max_size=4)),
        st.integers(20, 90),
        st.sampled_from(FORMATS),
        st.sampled_from((CHARACTERS, UTF16, UTF8, GRAPHEMES)),
    )
    def test_never_over_the_limit(
        self,
        words: tuple[str, str, list[str]],
        limit: int,
        format: Format,  # noqa: A002
        counter: Counter,
    ) -> None:
        """
        Whatever the words, a text fits as the service counts; and it is never cut within what the template says.
        """
        values = {"name": clean(words[0]), "title": clean(words[1]), "tags": tuple(map(clean, words[2]))}
        template = parse("A {{ name }}: {{ title|upper }} {{ tags|join }} Z", format)
        found = template.render(values, limit, counter)
        self.assertLessEqual(counter.count(found), limit)
        self.assertTrue(found.startswith("A "), found)
        self.assertTrue(found.endswith(" Z"), found)

    def test_the_longest_is_shortened_first(self) -> None:
        """
        A short name stays whole beside a long title.
        """
        found = render("{{ name }} plays {{ title }}", DISCORD, 40, name="Tanuki", title="*" * 500)
        self.assertEqual(found, "Tanuki plays " + "\\*" * 13 + "…")

    def test_addresses_and_mentions_are_never_shortened(self) -> None:
        """
        Only what a streamer wrote gives way.
        """
        url = make_link("https://twitch.tv/tanuki")
        found = render(
            "{{ mentions }} {{ title }} {{ url }}", MASTODON, 40, mentions=Trusted("@x"), title="y" * 99, url=url
        )
        self.assertEqual(found, "@x yyyyyyyyyyy… https://twitch.tv/tanuki")
        found = render("{{ vods|join(' ') }} {{ title }}", PLAIN, 60, vods=(url, url), title="y" * 99)
        self.assertEqual(found, f"{url} {url} yyyyyyyyy…")

    def test_markup_is_never_cut(self) -> None:
        """
        A template that is too long by itself fails as markup, and is cut as plain text.
        """
        error = self.assertRaises(RenderFailure, render, "<b>long</b>{{ title }}", TELEGRAM, 9, title="x")
        self.assertIn("longer than 9 characters", str(error))
        self.assertEqual(render("12345678901{{ title }}", PLAIN, 9, title="x"), "12345678…")

    def test_time_and_length_are_in_proportion(self) -> None:
        """
        The longest values, at as many places as can be, take less than a second.
        """
        template = parse("{{ title|upper|lower }}" * 190, DISCORD)
        begin = process_time()
        self.assertLessEqual(len(template.render({"title": "@*" * 2048}, 2000)), 2000)
        self.assertLess(process_time() - begin, 2)

    def test_only_failures(self) -> None:
        """
        A value of a type that a template did not expect is a failure that holds no value.
        """
        secret = "hush"
        for source in (
            "{% if viewers > 100 %}x{% endif %}",
            "{{ title|time }}",
            "{{ title|duration }}",
            "{{ title|truncate(title) }}",
            "{{ started|time(title) }}",
            "{{ 'a' in viewers }}",
            "{{ title|upper(1, 2) }}",
        ):
            with self.subTest(source):
                error = self.assertRaises(
                    RenderFailure, render, source, viewers=None, title=secret, started=Moment(0, UTC)
                )
                self.assertNotIn(secret, str(error))
        self.assertIn("no value for name", str(self.assertRaises(RenderFailure, render, "{{ name }}")))

    def test_the_line_of_a_failure(self) -> None:
        """
        A failure while rendering says in which line of the template it is.
        """
        for source, words in (
            ("{{ title }}\n\n{{ title|time }}", "line 3: time takes a time"),
            ("a\n{% if viewers > 5 %}b{% endif %}", "line 2: it compares"),
            ("{{ title|truncate(title) }}", "line 1: truncate takes"),
        ):
            error = self.assertRaises(RenderFailure, render, source, title="x", viewers=None)
            self.assertTrue(str(error).startswith(words), error)

    def test_what_is_unknown_is_empty(self) -> None:
        """
        It prints as nothing, is false, and has a default.
        """
        self.assertEqual(render("{{ viewers }}|{{ viewers|default('?') }}|{{ 'a' if viewers }}|", viewers=None), "|?||")
        self.assertEqual(render("{{ viewers|default('?') }}", viewers=0), "0")

    def test_times(self) -> None:
        """
        Discord writes them for each reader, others in the zone of the destination.
        """
        at = Moment(1_700_000_000.9, ZoneInfo("Europe/Berlin"))
        self.assertEqual(
            render("{{ started|time('R') }} {{ started }}", DISCORD, started=at), "<t:1700000000:R> <t:1700000000:f>"
        )
        found = render("{{ started|time('R') }} - {{ started|time('t') }} - {{ started|time('d') }}", SLACK, started=at)
        self.assertEqual(found, "14 November 2023, 23:13 CET - 23:13 CET - 2023-11-14")
        self.assertEqual(render("{{ ended|time('R') }}", DISCORD, ended=None), "")

    def test_durations(self) -> None:
        """
        In words, or as a clock.
        """
        lasted = Seconds(11313)
        self.assertEqual(
            render("{{ duration }}, {{ duration|duration('clock') }}", duration=lasted), "3 h 9 min, 3:08:33"
        )
        self.assertEqual(render("{{ duration|duration }}|", duration=None), "|")

    def test_lists_and_choices(self) -> None:
        """
        A list is printed with commas; what an update changed can be asked for.
        """
        self.assertEqual(render("{{ tags }} {{ tags|length }}", tags=("a", "b")), "a, b 2")
        source = "{% if 'title' in changes and category in ('Art', 'Music') %}yes{% else %}no{% endif %}"
        self.assertEqual(render(source, changes=("title",), category="Art"), "yes")

    def test_lines(self) -> None:
        """
        A tag that stands on a line of its own leaves no line.
        """
        self.assertEqual(render("a\n{% if title %}\nb\n{% endif %}\nc\n", title="x"), "a\nb\nc")

    def test_every_filter_exists(self) -> None:
        """
        What the table of filters names, a template can use.
        """
        for name in FILTERS:
            render(f"{{{{ started|{name} }}}}", started=None)

    def test_the_page_names_them_all(self) -> None:
        """
        docs/templates.md has every name and every filter, with its meaning.
        """
        page = Document(ROOT / "docs" / "templates.md")
        for column, meaning, known in (("name", "what it is", NAMES), ("filter", "what it gives", FILTERS)):
            rows = {row[column].strip("`"): row[meaning] for row in page.tables(column, meaning)}
            self.assertEqual(rows, dict(known))

    def test_jinja_is_imported_late(self) -> None:
        """
        Importing the module does not import Jinja, which takes a fifth of a second.
        """
        import subprocess  # noqa: PLC0415
        import sys  # noqa: PLC0415

        code = "import sys, itsjustintv.destinations.templates; sys.exit('jinja2' in sys.modules)"
        self.assertEqual(subprocess.run([sys.executable, "-c", code], check=False).returncode, 0)
