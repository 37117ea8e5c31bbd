"""
The texts of a kind's messages: built-in ones, and those that an operator wrote instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from attrs import field, frozen
from twisted.logger import Logger

from itsjustintv.destinations.formats import Format
from itsjustintv.destinations.message_samples import SAMPLE_DESTINATION, SAMPLES
from itsjustintv.destinations.message_values import EVENTS, message_values
from itsjustintv.destinations.templates import RenderFailure, Template, TemplateMistake
from itsjustintv.destinations.text import CHARACTERS, Counter
from itsjustintv.model import Destination
from itsjustintv.support.nearest import did_you_mean

__all__ = ["MessageField", "MessageForms", "make_note_texts"]


@frozen(eq=False, kw_only=True)
class MessageField:
    """
    A field of a message that is made by a template.

    :ivar limit: the most units of its counter that the service takes.
    :ivar pings: whether text in it can notify people, or become a tag.
    :ivar required: whether the service refuses a message without it: then an empty text of the operator's gives way to
        the built-in one.
    """

    format: Format
    limit: int
    counter: Counter = CHARACTERS
    pings: bool = False
    required: bool = False


@frozen(eq=False)
class MessageForms:
    """
    The templates of a kind of destination.

    :ivar fields: by name, as in ``[destinations.NAME.messages.EVENT]``.
    :ivar builtin: templates by event and field. A field that has none is empty.
    """

    fields: Mapping[str, MessageField]
    builtin: Mapping[str, Mapping[str, str]] = field(repr=False)

    def text(
        self,
        destination: Destination,
        event: str,
        name: str,
        values: Mapping[str, object],
        *,
        limit: int | None = None,
    ) -> str:
        """
        Make the text of a field by the operator's template, or by the built-in one where there is none or it fails. A
        failure is logged once while the template stays the same.

        :param event: ``online``, ``offline`` or ``update``.
        :param values: as :func:`~itsjustintv.destinations.message_values.message_values` has them.
        :param limit: instead of that of the field.
        """
        own = destination.policy.messages.get(event, {}).get(name)
        if own is not None:
            try:
                text = self._render(own, name, values, limit)
            except (TemplateMistake, RenderFailure) as error:
                _warn(destination.name, event, name, own, str(error).rstrip("."))
            else:
                if text or not self.fields[name].required:
                    return text
                _warn(destination.name, event, name, own, "it is empty for this broadcast")
        return self.builtin_text(event, name, values, limit=limit)

    def builtin_text(self, event: str, name: str, values: Mapping[str, object], *, limit: int | None = None) -> str:
        """
        Make the text of a field by its built-in template, whatever the operator wrote.
        """
        return self._render(self.builtin.get(event, {}).get(name, ""), name, values, limit)

    def check(self, messages: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """
        Find the mistakes in an operator's templates, and what would fail for the sample notices.

        :return: for each the key below the destination, such as ``messages.online.content``, and a sentence.
        """
        events = tuple(EVENTS.values())
        for event, templates in messages.items():
            if event not in events:
                yield f"messages.{event}", f"there is no event {event}{did_you_mean(event, events)}"
                continue
            if not isinstance(templates, Mapping):
                yield f"messages.{event}", "it must be a table of texts"
                continue
            for name, source in templates.items():
                key = f"messages.{event}.{name}"
                if not isinstance(source, str):
                    yield key, "it must be a text"
                elif name not in self.fields:
                    yield key, f"there is no field {name}{did_you_mean(name, self.fields)}"
                elif reason := self._check_template(event, name, source):
                    yield key, reason

    def _check_template(self, event: str, name: str, source: str) -> str:
        """
        What is wrong with a template; empty when nothing is.
        """
        try:
            for sample in SAMPLES:
                if sample.event == event:
                    values = message_values(sample.notice, SAMPLE_DESTINATION)
                    if not self._render(source, name, values) and self.fields[name].required:
                        return (
                            f"it is empty for a broadcast {sample.description}, and the service takes no empty {name}"
                        )
        except TemplateMistake as error:
            return str(error)
        except RenderFailure as error:
            return f"for a broadcast {sample.description}: {str(error).rstrip('.')}"
        return ""

    def _render(self, source: str, name: str, values: Mapping[str, object], limit: int | None = None) -> str:
        wanted = self.fields[name]
        template = Template.parse(source, wanted.format, pings=wanted.pings)
        return template.render(values, wanted.limit if limit is None else limit, wanted.counter)


def make_note_texts(title: str) -> Mapping[str, Mapping[str, str]]:
    """
    Make the built-in templates of services whose messages are notes on a phone, with a title, a message and a button.

    :param title: the template of a broadcast's title in the format of the message.
    """
    about = f"{{% if title %}}{title}\n{{% endif %}}{{% if category %}}{{{{ category }}}}\n{{% endif %}}"
    live = {
        "title": "{{ name }} is live",
        "message": about + "{% if not title and not category %}{{ name }} is live on Twitch.{% endif %}",
        "button": "Watch",
    }
    over = {
        "title": "{{ name }} was live",
        "message": about + "{% if duration %}Live for {{ duration }}{% else %}The broadcast has ended{% endif %}",
        "button": "{% if vod %}Watch the recording{% endif %}",
    }
    return {"online": live, "update": live, "offline": over}


_log = Logger()


@lru_cache(maxsize=1024)
def _warn(destination: str, event: str, name: str, source: str, reason: str) -> None:  # noqa: ARG001
    """
    Log that a template failed; the cache keeps it from being said again.
    """
    _log.warn(
        "cannot use {key} of {destination}: {reason}; the built-in text is sent instead",
        key=f"messages.{event}.{name}",
        destination=destination,
        reason=reason,
    )
