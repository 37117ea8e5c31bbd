"""
The questions of ``itsjustintv init``, and how an answer is come to.
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from secrets import token_bytes, token_hex
from typing import TypeVar

import click
from attrs import define, field, frozen

from itsjustintv.cli.console import Interrupted, tell
from itsjustintv.config import hosts, urls, values
from itsjustintv.config.chat_services import chat_service
from itsjustintv.config.example import Value
from itsjustintv.config.parse_state import Keys
from itsjustintv.config.sections import Server, Twitch
from itsjustintv.doctor.setup_checks import SetupChecks
from itsjustintv.errors import TwitchError
from itsjustintv.model import Destination
from itsjustintv.support.signatures import signature_for, standard_secret

__all__ = ["INTERRUPTED", "Given", "Interview"]

T = TypeVar("T")

INTERRUPTED = "interrupted: nothing was written"

_CREDENTIALS = "--client-id, --client-secret"


@frozen(kw_only=True)
class Given:
    """
    What was said on the command line and in the environment.

    :ivar https: serve HTTPS here; ``None`` if nothing was said of it.
    :ivar proxy: the address from which a proxy calls.
    :ivar webhook_secret: with which deliveries are signed.
    """

    client_id: str | None
    client_secret: str | None = field(repr=False)
    domain: str | None
    https: bool | None
    agree_to_terms: bool
    port: int
    proxy: str
    streamers: Sequence[str]
    webhook: str | None = field(repr=False)
    webhook_secret: str | None = field(repr=False)
    send_test: bool
    api_url: str
    auth_url: str

    def missing(self) -> Sequence[str]:
        """
        The options without which there is no configuration.
        """
        found = [
            ("--client-id", self.client_id),
            ("--client-secret", self.client_secret),
            ("--domain", self.domain),
            ("--streamer", self.streamers),
            ("--webhook", self.webhook),
        ]
        absent = [name for name, value in found if not value]
        return [*absent, "--agree-to-terms"] if self.https and not self.agree_to_terms else absent


@define(eq=False)
class Interview:
    """
    Comes to an answer for each question.

    :ivar look: checks answers; ``None`` to believe them.
    :ivar asking: there is somebody to ask.
    :ivar problems: what nobody was asked to correct.
    """

    _given: Given
    _look: SetupChecks | None
    _asking: bool
    problems: list[str] = field(factory=list, init=False)

    async def hold(self) -> tuple[Mapping[Keys, Value], Mapping[str, Mapping[str, Value]]]:
        """
        Go through all of it.

        :return: values by key, and the tables of the streamers.
        """
        credentials = await self._credentials()
        domain = await self._domain()
        server = self._server(domain)
        streamers = await self._streamers(self._twitch(credentials))
        webhook = await self._webhook()
        client_id, client_secret = credentials
        found: dict[Keys, Value] = {
            **server,
            ("twitch", "client_id"): client_id,
            ("twitch", "client_secret"): client_secret,
            ("twitch", "webhook_secret"): token_hex(32),
            ("global_webhook", "enabled"): True,
            ("global_webhook", "url"): webhook.url,
            ("global_webhook", "target_webhook_secret"): webhook.secret,
            ("global_webhook", "target_webhook_signature"): webhook.signature,
        }
        for key, default in (("api_url", Twitch().api_url), ("auth_url", Twitch().auth_url)):
            if (url := getattr(self._given, key)) != default:
                found["twitch", key] = url
        return found, streamers

    async def _credentials(self) -> tuple[str, str]:
        given = self._given

        def ask() -> tuple[str, str]:
            tell("The application at https://dev.twitch.tv/console/apps, which anybody with an account can register.")
            return _prompt("Client id", values.visible), _prompt("Client secret", values.visible, hide=True)

        async def check(pair: tuple[str, str]) -> str:
            return "" if self._look is None else await self._look.credentials(self._twitch(pair))

        whole = (given.client_id, given.client_secret) if given.client_id and given.client_secret else None
        return await self._settle(_CREDENTIALS, whole, ask, check)

    async def _domain(self) -> str:
        def ask() -> str:
            tell("The public name at which Twitch reaches this machine, by https on port 443: hooks.example.org, say.")
            return _prompt("Domain", hosts.authority)

        async def check(domain: str) -> str:
            return "" if self._look is None else await self._look.name(domain)

        return await self._settle("--domain", self._given.domain, ask, check)

    def _server(self, domain: str) -> Mapping[Keys, Value]:
        given, https = self._given, self._given.https
        if https is None:
            https = self._asking and not _confirm("Does a proxy in front of this machine serve https?", default=True)
        if not https:
            here = ip_address(given.proxy).is_loopback
            return {
                ("server", "external_domain"): domain,
                ("server", "trusted_proxies"): (given.proxy,),
                **({("server", "listen_addr"): given.proxy} if here else {}),
                **({} if given.port == Server().port else {("server", "port"): given.port}),
            }
        if not given.agree_to_terms and not _confirm("Do you agree to the terms of service of Let's Encrypt?"):
            raise click.ClickException("then let a proxy serve https, or use certificates of your own: see docs/tls.md")
        return {
            ("server", "port"): 443,
            ("server", "tls", "enabled"): True,
            ("server", "tls", "domains"): (domain,),
            ("server", "tls", "agree_to_terms"): True,
        }

    async def _streamers(self, twitch: Twitch) -> Mapping[str, Mapping[str, Value]]:
        ids: dict[str, str | None] = {}

        def ask() -> Sequence[str]:
            return _logins(_prompt("Streamers (logins, with spaces between them)", _no_logins))

        async def check(logins: Sequence[str]) -> str:
            if self._look is None or any(each.startswith(_CREDENTIALS) for each in self.problems):
                return ""
            try:
                ids.update(await self._look.users(twitch, logins))
            except TwitchError as error:
                return f"they cannot be looked up: {error}"
            unknown = [login for login in logins if ids[login] is None]
            return f"no such user at Twitch: {', '.join(unknown)}" if unknown else ""

        logins = await self._settle("--streamer", self._given.streamers or None, ask, check)
        return {
            login: {"login": login, **({"user_id": user_id} if (user_id := ids.get(login)) else {})} for login in logins
        }

    async def _webhook(self) -> Destination:
        given = self._given
        secret = given.webhook_secret or standard_secret(token_bytes(32))
        signature = signature_for(secret)
        sending = given.send_test

        def destination(url: str) -> Destination:
            return Destination(name="the webhook", url=url, secret=secret, signature=signature)

        def ask() -> str:
            nonlocal sending
            url = _prompt("Webhook (the URL that is called when a streamer goes live)", urls.receiver_url)
            sending = self._look is not None and _confirm("Send it a test now?")
            return url

        async def check(url: str) -> str:
            if self._asking and (service := chat_service(url)):
                return f"it {service.advice}"
            return await self._look.receiver(destination(url)) if self._look is not None and sending else ""

        return destination(await self._settle("--webhook", given.webhook, ask, check))

    def _twitch(self, credentials: tuple[str, str]) -> Twitch:
        client_id, client_secret = credentials
        given = self._given
        return Twitch(client_id=client_id, client_secret=client_secret, api_url=given.api_url, auth_url=given.auth_url)

    async def _settle(
        self, option: str, given: T | None, ask: Callable[[], T], check: Callable[[T], Awaitable[str]]
    ) -> T:
        """
        Come to an answer that is right, or that somebody insists on, or that is noted as a problem.
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
            tell(problem, "bad")
            if _confirm("Use it all the same?"):
                return answer
            answer = None


@contextmanager
def _interruptible() -> Iterator[None]:
    """
    Let Ctrl-C end a question: the reactor would only take note of it.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except click.Abort:
        raise Interrupted(INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGINT, before)


def _prompt(text: str, rule: values.Rule, *, hide: bool = False) -> str:
    def convert(value: str) -> str:
        if problems := list(rule(value.strip())):
            raise click.BadParameter("; ".join(problems))
        return value.strip()

    with _interruptible():
        answer: str = click.prompt(text, value_proc=convert, hide_input=hide)
    return answer


def _confirm(text: str, *, default: bool = False) -> bool:
    with _interruptible():
        return click.confirm(text, default=default)


def _logins(text: str) -> Sequence[str]:
    return tuple(dict.fromkeys(text.replace(",", " ").lower().split()))


def _no_logins(text: str) -> Iterator[str]:
    logins = _logins(text)
    if not logins:
        yield "name at least one"
    for login in logins:
        yield from values.login(login)
