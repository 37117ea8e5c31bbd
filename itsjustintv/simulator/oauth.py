"""
The simulated token server, ``https://id.twitch.tv/oauth2``.
"""

from __future__ import annotations

import string
from random import Random
from typing import Any, ClassVar

from attrs import define, field
from klein import Klein
from twisted.internet.interfaces import IReactorTime
from twisted.web import http
from twisted.web.server import Request

from itsjustintv.simulator.behaviour import Script, act
from itsjustintv.simulator.responses import Query, Rejection, send_json

__all__ = ["OAuth", "Tokens"]


@define(eq=False)
class Tokens:
    """
    The credentials of one application, its app access tokens, and user access tokens.

    :ivar lifetime: seconds until a new token expires; at Twitch about two months (dev.twitch.tv, "Client
        credentials grant flow", has this number).
    """

    _clock: IReactorTime
    _random: Random
    client_id: str
    client_secret: str = field(repr=False)
    lifetime: float = 5011271.0
    _expiry: dict[str, float] = field(factory=dict, init=False, repr=False)
    _users: dict[str, tuple[str, str]] = field(factory=dict, init=False, repr=False)

    def issue(self) -> str:
        token = "".join(self._random.choices(string.ascii_lowercase + string.digits, k=30))
        self._expiry[token] = self._clock.seconds() + self.lifetime
        return token

    def issue_to_user(self, user_id: str, login: str) -> str:
        """
        Issue a user access token without scopes, as if the user had logged in and consented.
        """
        token = self.issue()
        self._users[token] = user_id, login
        return token

    def user(self, token: str) -> tuple[str, str] | None:
        """
        The id and the login of the user of a token; ``None`` for an app access token.
        """
        return self._users.get(token)

    def remaining(self, token: str) -> float:
        """
        Seconds until a token expires; 0 or less if it is not valid.
        """
        return self._expiry.get(token, 0.0) - self._clock.seconds()

    def revoke(self, token: str) -> bool:
        """
        Invalidate a token.

        :return: whether it was valid.
        """
        valid = self.remaining(token) > 0
        self._expiry.pop(token, None)
        return valid

    def forget(self) -> None:
        """
        Invalidate every token, which Twitch may do at any time (dev.twitch.tv, "Validating tokens").
        """
        self._expiry.clear()


@define(eq=False)
class OAuth:
    """
    Issues, validates and revokes tokens. The script names its endpoints ``token``, ``validate`` and ``revoke``. The
    status of an error is documented; the message is the one in the tests of client libraries, where they have one.
    """

    _clock: IReactorTime
    _tokens: Tokens
    _script: Script

    app: ClassVar[Klein] = Klein()

    @app.route("/token", methods=["POST"])
    async def token(self, request: Request) -> bytes:
        """
        Grant client credentials (dev.twitch.tv, "Client credentials grant flow").
        """
        return await self._answer(request, "token", self._token)

    @app.route("/validate", methods=["GET"])
    async def validate(self, request: Request) -> bytes:
        """
        Answer about a token (dev.twitch.tv, "Validating tokens").
        """
        return await self._answer(request, "validate", self._validate)

    @app.route("/revoke", methods=["POST"])
    async def revoke(self, request: Request) -> bytes:
        """
        Invalidate a token (dev.twitch.tv, "Revoking access tokens").
        """
        return await self._answer(request, "revoke", self._revoke)

    async def _answer(self, request: Request, name: str, answer: Any) -> bytes:
        behaviour = self._script.next(name)
        body = await act(behaviour, request, self._clock)
        if not behaviour.well:
            return body
        try:
            result = answer(request)
            return b"" if result is None else send_json(request, http.OK, result)
        except Rejection as rejection:
            return send_json(request, rejection.status, {"status": rejection.status, "message": rejection.message})

    def _token(self, request: Request) -> object:
        form = Query(request.args)
        if not form.one("client_id"):
            raise Rejection(http.BAD_REQUEST, "missing client id")
        if form.one("client_id") != self._tokens.client_id:
            raise Rejection(http.BAD_REQUEST, "invalid client")
        if not form.one("client_secret"):
            raise Rejection(http.BAD_REQUEST, "missing client secret")
        if form.one("client_secret") != self._tokens.client_secret:
            raise Rejection(http.FORBIDDEN, "invalid client secret")
        if form.one("grant_type") != "client_credentials":
            raise Rejection(http.BAD_REQUEST, "invalid grant type")
        token = self._tokens.issue()
        return {"access_token": token, "expires_in": int(self._tokens.remaining(token)), "token_type": "bearer"}

    def _revoke(self, request: Request) -> None:
        form = Query(request.args)
        if form.one("client_id") != self._tokens.client_id:
            raise Rejection(http.NOT_FOUND, "client does not exist")
        if not self._tokens.revoke(form.one("token")):
            raise Rejection(http.BAD_REQUEST, "Invalid token")

    def _validate(self, request: Request) -> object:
        scheme, _, token = (request.getHeader("authorization") or "").partition(" ")
        if scheme.lower() not in ("oauth", "bearer"):
            raise Rejection(http.UNAUTHORIZED, "missing authorization token")
        remaining = self._tokens.remaining(token)
        if remaining <= 0:
            raise Rejection(http.UNAUTHORIZED, "invalid access token")
        user = self._tokens.user(token)
        about = {} if user is None else {"user_id": user[0], "login": user[1]}
        return {"client_id": self._tokens.client_id, "scopes": [], "expires_in": int(remaining), **about}
