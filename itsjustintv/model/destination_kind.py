"""
What a kind of destination is to the configuration and to the parts that send: its keys, its rules, its adapter. Loads
neither, so that a command can read a configuration without them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any

from attrs import frozen

from itsjustintv.model.destinations import Destination

__all__ = ["Card", "DestinationKind"]


@frozen(kw_only=True)
class Card:
    """
    What people see of a message, as words without markup: for the admin page, which loads nothing from elsewhere.

    :ivar text: above the card.
    :ivar author: the line above the title.
    :ivar details: lines below it.
    :ivar facts: names and values.
    :ivar profile: whether the streamer's image is beside it.
    :ivar picture: whether it has a large picture.
    :ivar colour: of its edge, ``0xRRGGBB``; ``None`` where the service has none.
    """

    text: str = ""
    author: str = ""
    title: str = ""
    details: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    footer: str = ""
    profile: bool = False
    picture: bool = False
    colour: int | None = None


@frozen(kw_only=True)
class DestinationKind:
    """
    A kind of destination: a row of :data:`itsjustintv.destinations.kinds.KINDS`.

    :ivar name: its ``type`` in the configuration.
    :ivar open: makes the adapter of a configured destination, an :class:`~itsjustintv.interfaces.IDestination`.
    :ivar settings: attrs class, frozen, of the keys that only this kind has; ``str``, ``bool``, ``int``, ``float`` (a
        duration in seconds) and ``tuple[str, ...]``. A ``str`` with ``repr=False`` is a secret: it can also be given as
        a file (``KEY_file``). An attribute without a default is required.
    :ivar check: finds the mistakes in settings: the key, and what is wrong as a sentence without a subject.
    :ivar address: the URL, of the settings; its host is what a pause for a whole host is about.
    :ivar place: what makes two of them the same, of the settings: address, thread, chat, topic.
    :ivar edits: whether a post can be edited; likewise ``deletes``. Where that depends on the settings, a function of
        them: :meth:`can_edit` and :meth:`can_delete` answer in both cases.
    :ivar keeps_posts: whether one post stands for a broadcast; otherwise every event is sent by itself, at once.
    :ivar previews: whether an edit of a post shows a newer preview of the broadcast; likewise a function of the
        settings, which :meth:`can_refresh` asks.
    :ivar has_key: whether the service knows a message that is sent again by an id of ours.
    :ivar mentions: the words that ``mention`` may hold: ``everyone``, ``here``, ``role``, ``user``.
    :ivar check_mention: finds what is wrong with the id in ``role:ID`` or ``user:ID``: a sentence without a subject,
        empty when nothing is.
    :ivar fields: the fields of ``messages.EVENT`` that are templates.
    :ivar check_messages: finds the mistakes in :attr:`DestinationPolicy.messages`, as ``check`` does, with keys that
        begin with ``messages``.
    :ivar card: reads of a body that is sent what people see of it; ``None`` for what has no card.
    :ivar concurrency: simultaneous attempts; ``None`` for ``retry.concurrency``.
    :ivar probe: asks whether the address and its token are good, a :class:`~itsjustintv.interfaces.Probe`; ``None``
        where that cannot be asked without posting.
    :ivar make_sender: makes what sends to all destinations of the kind, an :class:`~itsjustintv.interfaces.ISender`, of
        :class:`~itsjustintv.interfaces.SenderTools`; ``None`` where one HTTP request does.
    :ivar asks: whether that is an :class:`~itsjustintv.interfaces.IAskingSender`, which stands for ``probe``.
    :ivar follows: whether that is an :class:`~itsjustintv.interfaces.IFollowingSender`.
    """

    name: str
    open: Callable[[Destination], Any]
    settings: type | None
    check: Callable[[Any], Iterator[tuple[str, str]]] = lambda _: iter(())
    address: Callable[[Any], str] = attrgetter("url")
    place: Callable[[Any], Sequence[str]] = lambda _: ()
    edits: bool | Callable[[Any], bool] = False
    deletes: bool | Callable[[Any], bool] = False
    keeps_posts: bool = True
    previews: bool | Callable[[Any], bool] = False
    has_key: bool = False
    mentions: frozenset[str] = frozenset()
    check_mention: Callable[[str], str] = lambda _: ""
    fields: tuple[str, ...] = ()
    check_messages: Callable[[Mapping[str, Mapping[str, str]]], Iterator[tuple[str, str]]] = lambda _: iter(())
    card: Callable[[Any], Card | None] = lambda _: None
    concurrency: int | None = 1
    probe: Any = None
    make_sender: Callable[[Any], Any] | None = None
    asks: bool = False
    follows: bool = False

    def can_edit(self, settings: Any) -> bool:
        """
        Whether a post of a destination with these settings can be edited.
        """
        return self.edits(settings) if callable(self.edits) else self.edits

    def can_delete(self, settings: Any) -> bool:
        """
        Whether a post of a destination with these settings can be deleted.
        """
        return self.deletes(settings) if callable(self.deletes) else self.deletes

    def can_refresh(self, settings: Any) -> bool:
        """
        Whether an edit of a post of a destination with these settings shows a newer preview of the broadcast.
        """
        return self.can_edit(settings) and (self.previews(settings) if callable(self.previews) else self.previews)
