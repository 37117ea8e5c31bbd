"""
Templates of messages: an operator's text with values in it, in the syntax of Jinja.

The operator is trusted, but can be wrong; what a streamer wrote is hostile. So every printed value is escaped for the
format of the field, and a template may contain only what takes time and memory in proportion to its own length: no
loops, calls, attributes or arithmetic. A list of what is allowed decides that, on the syntax tree; Jinja's sandbox is
a second line of defence. Jinja is imported when the first template is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from itsjustintv.destinations.formats import Format
from itsjustintv.destinations.message_names import SHORTENED
from itsjustintv.destinations.template_check import TESTS, TemplateCheck, TemplateMistake, syntax_mistake
from itsjustintv.destinations.template_filters import RenderFailure, make_filters, print_value
from itsjustintv.destinations.text import CHARACTERS, Counter, Shortenable

if TYPE_CHECKING:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

__all__ = ["RenderFailure", "Template", "TemplateMistake"]

# In characters; no field of any service is much longer.
_LONGEST_TEMPLATE = 8192

# How many characters one unit of a counter can stand for, at most, in text that is meant to be read.
_CHARACTERS_PER_UNIT = 16
_SLACK = 1024

# What Jinja calls the file of a template that has none.
_COMPILED = "<template>"


@frozen(eq=False)
class Template:
    """
    A template that has been read and checked, for fields of one format.

    :ivar names: those whose values it uses.
    """

    source: str
    format: Format
    names: frozenset[str]
    _render: Callable[[dict[str, Any]], Iterator[str]] = field(repr=False)
    _line_of: Callable[[int], int] = field(repr=False)

    @staticmethod
    @lru_cache(maxsize=512)
    def parse(source: str, format: Format, *, pings: bool) -> Template:  # noqa: A002
        """
        Read a template.

        :param pings: whether text in this field can notify people or become a tag: then a streamer's words cannot be
            printed raw.
        :raises TemplateMistake: when it cannot be used.
        """
        from jinja2 import TemplateError, TemplateSyntaxError  # noqa: PLC0415

        if len(source) > _LONGEST_TEMPLATE:
            raise TemplateMistake(1, 1, f"it has {len(source)} characters; a template has at most {_LONGEST_TEMPLATE}")
        environment = _environment(format)
        try:
            tree = environment.parse(source)
            names = TemplateCheck(source, pings).check(tree)
            compiled = environment.template_class.from_code(environment, environment.compile(tree), {})
        except TemplateSyntaxError as error:
            raise syntax_mistake(source, error) from None
        except (TemplateError, SyntaxError, RecursionError, MemoryError, ValueError, OverflowError) as error:
            raise TemplateMistake(1, 1, "it is nested too deeply, or contains a number that is too long") from error
        return Template(
            source=source,
            format=format,
            names=names,
            render=lambda values: compiled.root_render_func(compiled.new_context(values)),
            line_of=compiled.get_corresponding_lineno,
        )

    def render(self, values: Mapping[str, object], limit: int, counter: Counter = CHARACTERS) -> str:
        """
        Make a text of at most so many units. When it would be longer, the longest of a streamer's texts are shortened
        first, before they are escaped; then plain text is cut, and markup fails.

        :param values: of :attr:`names` at least, as :func:`itsjustintv.destinations.message_values.message_values` has
            them.
        :raises RenderFailure: when it gives no text.
        """
        if missing := sorted(self.names - values.keys()):
            raise RenderFailure(f"there is no value for {missing[0]}.")
        given = {name: values[name] for name in self.names}
        most = _CHARACTERS_PER_UNIT * limit + _SLACK
        whole, complete = self._attempt(given, most)
        if complete and counter.fits(whole, limit):
            return whole
        fitting = self._fit(given, most, limit, counter)
        if fitting is not None:
            return fitting
        if self.format.is_markup:
            raise RenderFailure(f"it is longer than {limit} {counter.unit}, even without what the streamer wrote.")
        return counter.cut(whole, limit)

    def _fit(self, values: Mapping[str, object], most: int, limit: int, counter: Counter) -> str | None:
        """
        Find the greatest length of a streamer's texts with which all of it fits; ``None`` when even none is too much.
        """
        low, high = -1, max((_length(values[name]) for name in self.names & SHORTENED), default=0)
        values = {name: _shortenable(value) if name in SHORTENED else value for name, value in values.items()}
        best = None
        while high - low > 1 or best is None:
            middle = 0 if best is None else (low + high) // 2
            text, complete = self._attempt(_shortened(values, middle), most)
            if complete and counter.fits(text, limit):
                low, best = middle, text
            elif best is None:
                return None
            else:
                high = middle
        return best

    def _attempt(self, values: Mapping[str, object], most: int) -> tuple[str, bool]:
        """
        Render once.

        :return: the text, and whether it is all there: it ends early when it is longer than so many characters.
        """
        pieces, length = [], 0
        try:
            for piece in self._render(dict(values)):
                pieces.append(piece)
                length += len(piece)
                if length > most:
                    return "".join(pieces)[:most].strip(), False
        except Exception as error:
            raise RenderFailure(f"{self._place(error)}{_reason(error)}") from error
        return "".join(pieces).strip(), True

    def _place(self, error: Exception) -> str:
        """
        The line that was rendered when this was raised, as the beginning of a sentence.
        """
        trace, line = error.__traceback__, 0
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == _COMPILED:
                line = self._line_of(trace.tb_lineno)
            trace = trace.tb_next
        return f"line {line}: " if line else ""


def _reason(error: Exception) -> str:
    if isinstance(error, RenderFailure):
        return str(error)
    if isinstance(error, TypeError):
        return (
            "it compares a value that is unknown, or of another type; ask first whether it is known,"
            " as in {% if viewers and viewers > 100 %}."
        )
    return f"it ended with {type(error).__name__}."


def _length(value: object) -> int:
    if isinstance(value, tuple):
        return sum(map(_length, value))
    return len(value) if isinstance(value, str) else 0


def _shortenable(value: object) -> object:
    return Shortenable(value) if isinstance(value, str) else value


def _shortened(values: Mapping[str, object], longest: int) -> dict[str, object]:
    """
    Shorten a streamer's texts to so many characters; of a list the last entries are left out.
    """
    return {name: _cut(value, longest) if name in SHORTENED else value for name, value in values.items()}


def _cut(value: object, longest: int) -> object:
    if isinstance(value, Shortenable):
        return value.cut(longest)
    if not isinstance(value, tuple):
        return value
    kept, left = [], longest
    for each in value:
        left -= _length(each)
        if left < 0:
            break
        kept.append(each)
    return tuple(kept)


@lru_cache(maxsize=64)
def _environment(format: Format) -> ImmutableSandboxedEnvironment:  # noqa: A002
    """
    Make the environment of a format: everything that is printed passes through ``finalize``.
    """
    from jinja2 import StrictUndefined  # noqa: PLC0415
    from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415

    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        finalize=lambda value: print_value(value, format),
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
        cache_size=0,
    )
    environment.globals.clear()
    environment.filters.clear()
    environment.filters.update(make_filters(format))
    for name in environment.tests.keys() - TESTS:
        del environment.tests[name]
    return environment
