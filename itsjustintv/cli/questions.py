"""
The dialogue of ``itsjustintv init``: asks questions and checks the answers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from ipaddress import ip_address
from secrets import token_bytes, token_hex
from typing import TypeVar

import click
from attrs import define, evolve, field, frozen

from itsjustintv.cli.console import echo, interruptible
from itsjustintv.config import hosts, urls, values
from itsjustintv.config.chat_services import find_chat_service
from itsjustintv.config.example import Value
from itsjustintv.config.keys import Keys
from itsjustintv.config.pasted_address import PastedAddress, read_pasted
from itsjustintv.config.sections import CONDUIT, Server, Twitch
from itsjustintv.doctor.setup_checks import SetupChecks, make_destination
from itsjustintv.errors import TwitchError
from itsjustintv.model import Destination
from itsjustintv.support.signatures import format_standard_secret, signature_for

__all__ = ["DESTINATION", "INTERRUPTED", "Answers", "InitOptions", "Interview"]

T = TypeVar("T")

INTERRUPTED = "interrupted; nothing was written"

#: What init calls the destination that it configures.
DESTINATION = "main"

_CREDENTIALS = "--client-id, --client-secret"


@frozen(kw_only=True)
class InitOptions:
    """
    The answers given on the command line and in the environment.

    :ivar domain: without one, EventSub messages arrive through a conduit.
    :ivar conduit: ask for no domain.
    :ivar https: serve HTTPS; ``None`` if not given.
    :ivar proxy: the address of the proxy.
    :ivar webhook: the URL of a program of one's own.
    :ivar destination: the same, or the URL or token of a service; ``keys`` are more keys of the destination.
    :ivar webhook_secret: signs the deliveries to a program.
    """

    client_id: str | None
    client_secret: str | None = field(repr=False)
    domain: str | None
    conduit: bool
    https: bool | None
    agree_to_terms: bool
    port: int
    proxy: str
    streamers: Sequence[str]
    webhook: str | None = field(repr=False)
    destination: str | None = field(repr=False)
    keys: Mapping[str, str]
    webhook_secret: str | None = field(repr=False)
    send_test: bool
    api_url: str
    auth_url: str
    websocket_url: str

    def missing(self) -> Sequence[str]:
        """
        List the required options that are not given.
        """
        found = [
            ("--client-id", self.client_id),
            ("--client-secret", self.client_secret),
            ("--domain", self.domain or not self.https),
            ("--streamer", self.streamers),
            ("--destination or --webhook", self.destination or self.webhook),
        ]
        absent = [name for name, value in found if not value]
        return [*absent, "--agree-to-terms"] if self.https and not self.agree_to_terms else absent


@frozen
class Answers:
    """
    What becomes of the answers.

    :ivar values: by key; ``None`` for one that is not needed.
    :ivar streamers: their tables; likewise ``destinations``.
    """

    values: Mapping[Keys, Value | None]
    streamers: Mapping[str, Mapping[str, Value]]
    destinations: Mapping[str, Mapping[str, Value]]


@define(eq=False)
class Interview:
    """
    Gets an answer to each question, from the options or from the user.

    :ivar checks: of the answers; ``None`` to skip them.
    :ivar asking: whether there is a user to ask.
    :ivar problems: wrong answers, when there is no user to correct them.
    """

    _given: InitOptions
    _checks: SetupChecks | None
    _asking: bool
    problems: list[str] = field(factory=list, init=False)

    async def run(self) -> Answers:
        """
        Ask for everything that was not given as an option, one question after the other.
        """
        target = await self._target()
        credentials = await self._credentials()
        domain = await self._domain()
        server = self._server(domain) if domain else self._by_conduit()
        streamers = await self._streamers(self._twitch(credentials))
        client_id, client_secret = credentials
        found: dict[Keys, Value | None] = {
            **server,
            ("twitch", "client_id"): client_id,
            ("twitch", "client_secret"): client_secret,
            ("twitch", "webhook_secret"): token_hex(32) if domain else None,
        }
        if not isinstance(target, PastedAddress):
            found |= {
                ("global_webhook", "enabled"): True,
                ("global_webhook", "url"): target.url,
                ("global_webhook", "target_webhook_secret"): target.secret,
                ("global_webhook", "target_webhook_signature"): target.signature,
            }
        given, default = self._given, Twitch()
        elsewhere: dict[Keys, tuple[str, str]] = {
            ("twitch", "api_url"): (given.api_url, default.api_url),
            ("twitch", "auth_url"): (given.auth_url, default.auth_url),
            ("twitch", "conduit", "websocket_url"): (given.websocket_url, default.conduit.websocket_url),
        }
        found |= {keys: url for keys, (url, usual) in elsewhere.items() if url != usual}
        return Answers(found, streamers, _tables(target))

    async def _credentials(self) -> tuple[str, str]:
        given = self._given

        def ask() -> tuple[str, str]:
            echo("Register an application at https://dev.twitch.tv/console/apps; any Twitch account can do this.")
            return _prompt("Client id", values.visible), _prompt("Client secret", values.visible, hide=True)

        async def check(pair: tuple[str, str]) -> str:
            return "" if self._checks is None else await self._checks.credentials(self._twitch(pair))

        whole = (given.client_id, given.client_secret) if given.client_id and given.client_secret else None
        return await self._settle(_CREDENTIALS, whole, ask, check)

    async def _domain(self) -> str:
        def ask() -> str:
            if self._given.https:
                echo("The public host name at which Twitch reaches this machine, by HTTPS on port 443.")
                return _prompt("Domain", hosts.authority)
            echo(
                "Press Enter, and the daemon connects to Twitch: no domain and no open port are needed. Only if Twitch"
            )
            echo("is to call this machine, by HTTPS on port 443: its public host name, such as hooks.example.org.")
            return _prompt("Domain (Enter for none)", values.optional(hosts.authority), default="")

        async def check(domain: str) -> str:
            if self._checks is None:
                return ""
            return await (self._checks.name(domain) if domain else self._checks.connection(given.websocket_url))

        given = self._given
        answer = given.domain or (None if self._asking and not given.conduit else "")
        return await self._settle("--domain" if answer else "--conduit", answer, ask, check)

    def _by_conduit(self) -> Mapping[Keys, Value]:
        port: dict[Keys, Value] = {} if self._given.port == Server().port else {("server", "port"): self._given.port}
        return {("twitch", "transport"): CONDUIT, **port}

    def _server(self, domain: str) -> Mapping[Keys, Value]:
        given, https = self._given, self._given.https
        if https is None:
            https = self._asking and not _confirm("Does a proxy in front of this machine serve HTTPS?", default=True)
        if not https:
            here = ip_address(given.proxy).is_loopback
            return {
                ("server", "external_domain"): domain,
                ("server", "trusted_proxies"): (given.proxy,),
                **({("server", "listen_addr"): given.proxy} if here else {}),
                **({} if given.port == Server().port else {("server", "port"): given.port}),
            }
        if not given.agree_to_terms and not _confirm("Do you agree to the terms of service of Let's Encrypt?"):
            raise click.ClickException(
                "certificates of Let's Encrypt require its terms: agree to them, let a proxy serve HTTPS, or use your"
                " own certificates: see docs/tls.md"
            )
        return {
            ("server", "port"): 443,
            ("server", "tls", "enabled"): True,
            ("server", "tls", "domains"): (domain,),
            ("server", "tls", "agree_to_terms"): True,
        }

    async def _streamers(self, twitch: Twitch) -> Mapping[str, Mapping[str, Value]]:
        ids: dict[str, str | None] = {}

        def ask() -> Sequence[str]:
            return _logins(_prompt("Streamers (logins, separated by spaces)", _no_logins))

        async def check(logins: Sequence[str]) -> str:
            if self._checks is None or any(each.startswith(_CREDENTIALS) for each in self.problems):
                return ""
            try:
                ids.update(await self._checks.users(twitch, logins))
            except TwitchError as error:
                return f"cannot look them up: {error}"
            unknown = [login for login in logins if ids[login] is None]
            return f"no such user at Twitch: {', '.join(unknown)}" if unknown else ""

        logins = await self._settle("--streamer", self._given.streamers or None, ask, check)
        return {
            login: {"login": login, **({"user_id": user_id} if (user_id := ids.get(login)) else {})} for login in logins
        }

    async def _target(self) -> PastedAddress | Destination:
        """
        Find out where announcements go: a destination of a service, or a program of one's own.
        """
        text = self._given.destination or self._given.webhook
        if text is None:
            echo(
                "Where announcements go: paste the URL of a webhook of Discord, Slack or Teams, the token of a Telegram"
            )
            echo("bot, or the URL of a program of your own. docs/destinations.md has more services.")
            text = _prompt("Address", _address)
        is_webhook = text == self._given.webhook and self._given.destination is None and not self._asking
        pasted = None if is_webhook else read_pasted(text)
        return await self._webhook(text) if pasted is None else await self._service(pasted)

    async def _service(self, pasted: PastedAddress) -> PastedAddress:
        """
        Complete the keys of a destination of a service, and test it.
        """
        given = self._given

        def complete(address: PastedAddress) -> PastedAddress:
            found = {**address.values, **given.keys}
            for key, what in address.missing.items():
                if key not in found and self._asking:
                    found[key] = _prompt(f"{key.capitalize()} ({what})", values.visible)
            return evolve(address, values=found)

        def ask() -> PastedAddress:
            again = read_pasted(_prompt("Address", _address))
            if again is None:
                raise click.ClickException("a program of your own: run this again with --webhook URL")
            return complete(again)

        sending: bool | None = True if given.send_test else None if self._asking else False

        async def check(address: PastedAddress) -> str:
            nonlocal sending
            destination, problem = make_destination(address.kind, address.values)
            if destination is None or self._checks is None:
                return problem
            if sending is None:
                sending = _confirm("Send a test message there now?", default=True)
            return await self._checks.receiver(destination) if sending else ""

        return await self._settle("--destination", complete(pasted), ask, check)

    async def _webhook(self, first: str) -> Destination:
        given = self._given
        secret = given.webhook_secret or format_standard_secret(token_bytes(32))
        signature = signature_for(secret)
        sending, asks = given.send_test, self._asking and self._checks is not None and not given.send_test

        def destination(url: str) -> Destination:
            return Destination(name="the webhook", url=url, secret=secret, signature=signature)

        def ask() -> str:
            return _prompt("Webhook (URL that receives the notifications)", urls.receiver_url)

        async def check(url: str) -> str:
            nonlocal sending
            if problem := next(urls.receiver_url(url), ""):
                return f"it {problem}"
            if self._asking and (service := find_chat_service(url)):
                return f"it {service.advice()}"
            if asks and not sending:
                sending = _confirm("Send a test notification to it now?")
            return await self._checks.receiver(destination(url)) if self._checks is not None and sending else ""

        return destination(await self._settle("--webhook", first, ask, check))

    def _twitch(self, credentials: tuple[str, str]) -> Twitch:
        client_id, client_secret = credentials
        given = self._given
        return Twitch(client_id=client_id, client_secret=client_secret, api_url=given.api_url, auth_url=given.auth_url)

    async def _settle(
        self, option: str, given: T | None, ask: Callable[[], T], check: Callable[[T], Awaitable[str]]
    ) -> T:
        """
        Get an answer that passes the check or that the user insists on; without a user, note the problem.
        """
        answer = given
        while True:
            if answer is None:
                answer = ask()
            problem = await check(answer)
            if not problem:
                return answer
            if not self._asking:
                self.problems.append(f"{option}: {problem}")
                return answer
            echo(problem, "bad")
            if _confirm("Use it anyway?"):
                return answer
            answer = None


def _tables(target: PastedAddress | Destination) -> Mapping[str, Mapping[str, Value]]:
    """
    The table of the destination of a service.
    """
    if not isinstance(target, PastedAddress):
        return {}
    return {DESTINATION: {"type": target.kind, **target.values, "default": True}}


def _address(text: str) -> Iterator[str]:
    if read_pasted(text) is None:
        yield from urls.receiver_url(text)


def _prompt(text: str, rule: values.Rule, *, hide: bool = False, default: str | None = None) -> str:
    def convert(value: str) -> str:
        if problems := list(rule(value.strip())):
            raise click.BadParameter("; ".join(problems))
        return value.strip()

    with interruptible(INTERRUPTED):
        answer: str = click.prompt(text, value_proc=convert, hide_input=hide, default=default, show_default=False)
    return answer


def _confirm(text: str, *, default: bool = False) -> bool:
    with interruptible(INTERRUPTED):
        return click.confirm(text, default=default)


def _logins(text: str) -> Sequence[str]:
    return tuple(dict.fromkeys(text.replace(",", " ").lower().split()))


def _no_logins(text: str) -> Iterator[str]:
    logins = _logins(text)
    if not logins:
        yield "enter at least one"
    for login in logins:
        yield from values.login(login)
