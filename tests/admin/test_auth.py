"""
Tests of :mod:`itsjustintv.admin.auth`, :mod:`itsjustintv.admin.site` and :mod:`itsjustintv.admin.auth`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from treq.testing import StubTreq
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Request

from itsjustintv.admin.assets import ASSETS
from itsjustintv.admin.auth import COOKIE, SESSION, Access, LoginResource, LogoutResource
from itsjustintv.admin.responses import send_response
from itsjustintv.admin.site import AdminResource

TOKEN = "0123456789abcdef"
HOME = "http://localhost:8081"


class Room(Resource):
    """
    What is behind the door.
    """

    isLeaf = True

    def render(self, request: Request) -> int:
        return send_response(request, b"the room", b"text/plain")


class DoorCase(SynchronousTestCase):
    """
    A test at the door of the admin site.
    """

    token = TOKEN

    def setUp(self) -> None:
        self.clock = Clock()
        self.clients = ["here"]
        self.access = Access(lambda: self.token, self.clock, b"a secret of the process", lambda _: self.clients[-1])
        room = Room()
        self.treq = StubTreq(
            AdminResource(
                self.access,
                {**ASSETS, b"/login": LoginResource(self.access)},
                {b"/": room, b"/metrics": room, b"/logout": LogoutResource()},
                {b"/api/v1/": room},
            )
        )

    def ask(self, path: str, method: str = "GET", home: str = HOME, **more: Any) -> Any:
        """
        Send a request; answers with the response.
        """
        # In the header only: treq refuses to look for some hosts that a browser would.
        headers = {"Host": home.partition("://")[2], **more.pop("headers", {})}
        asked = self.treq.request(method, f"{HOME}{path}", allow_redirects=False, headers=headers, **more)
        self.treq.flush()
        return self.successResultOf(asked)

    def status(self, path: str, method: str = "GET", home: str = HOME, **headers: str) -> int:
        """
        Send a request with some headers, underscores for hyphens; answers with the status.
        """
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return int(self.ask(path, method, home, headers=given).code)

    def log_in(self, token: str = TOKEN) -> Mapping[str, str]:
        """
        Send the form; answers with the header that a browser sends from then on.
        """
        answer = self.ask("/login", "POST", data={"token": token})
        self.assertEqual(answer.code, 303)
        [cookie] = answer.headers.getRawHeaders("Set-Cookie")
        for part in ("httponly", "samesite=strict", "path=/"):
            self.assertIn(part, cookie.lower())
        return {"Cookie": cookie.partition(";")[0]}


class TokenTests(DoorCase):
    """
    With a token.
    """

    def test_a_stranger_sees_nothing(self) -> None:
        """
        Without the token a program gets 401, a person the form, and neither learns which paths there are.
        """
        for path in ("/metrics", "/api/v1/status", "/nothing", "//", "/static/nothing.css", "/logout"):
            self.assertEqual(self.status(path), 401, path)
            self.assertEqual(self.status(path, "POST"), 401, path)
        answer = self.ask("/")
        self.assertEqual((answer.code, answer.headers.getRawHeaders("Location")), (303, ["/login"]))

    def test_the_token_opens(self) -> None:
        """
        The token as a bearer token opens everything, under any name of the host; nothing like it does.
        """
        for path in ("/", "/metrics", "/api/v1/status"):
            self.assertEqual(self.status(path, Authorization=f"Bearer {TOKEN}"), 200)
            self.assertEqual(
                self.status(path, "POST", "http://admin.example.org", authorization=f"bearer {TOKEN}"), 200
            )
        for wrong in (f"Basic {TOKEN}", f"Bearer {TOKEN}0", f"Bearer {TOKEN[:-1]}", "Bearer ", "Bearer", TOKEN):
            self.assertEqual(self.status("/metrics", Authorization=wrong), 401, wrong)
        self.assertEqual(self.status("/nothing", Authorization=f"Bearer {TOKEN}"), 404)

    def test_a_browser_is_let_in_for_a_while(self) -> None:
        """
        The cookie that the form gives opens for twelve hours, and not longer whatever a browser makes of it.
        """
        cookie = self.log_in()
        self.assertEqual(self.status("/", **cookie), 200)
        self.clock.advance(SESSION - 1)
        self.assertEqual(self.status("/", **cookie), 200)
        self.clock.advance(1)
        self.assertEqual(self.status("/", **cookie), 303)

    def test_a_cookie_cannot_be_made_up(self) -> None:
        """
        A cookie whose end was moved, or that is nothing of ours, opens nothing.
        """
        name, _, value = self.log_in()["Cookie"].partition("=")
        ends_at, _, signature = value.partition(".")
        for forged in (f"{int(ends_at) + 1}.{signature}", f"{ends_at}.", f".{signature}", "", ".", "x.y", f"1.{TOKEN}"):
            self.assertEqual(self.status("/metrics", Cookie=f"{name}={forged}"), 401, forged)

    def test_another_token_ends_every_session(self) -> None:
        """
        When the token is replaced, cookies that were given for the one before open nothing.
        """
        cookie = self.log_in()
        self.token = "another token of an operator"
        self.assertEqual(self.status("/", **cookie), 303)

    def test_a_wrong_token_is_told(self) -> None:
        """
        The form says that a token is wrong, gives no cookie for it, and the log says where it came from.
        """
        for wrong in ("", "wrong", "\u00e9" * 20, TOKEN.upper()):
            with capturedLogs() as logs:
                answer = self.ask("/login", "POST", data={"token": wrong})
            self.assertEqual((answer.code, answer.headers.getRawHeaders("Set-Cookie")), (403, None))
            self.assertIn("1 wrong token for the admin page", formatEvent(logs[0]))
            self.assertNotIn("token", logs[0].keys())
            self.clock.advance(10)

    def test_a_flood_of_wrong_tokens_is_few_lines(self) -> None:
        """
        Wrong tokens are logged once in ten seconds, and counted in between.
        """
        with capturedLogs() as logs:
            for seconds in (0, 1, 1, 1, 8, 0):
                self.clock.advance(seconds)
                self.ask("/login", "POST", data={"token": "wrong"})
        self.assertEqual([each["count"] for each in logs], [1, 4])

    def test_wrong_tokens_are_slowed_down(self) -> None:
        """
        After some wrong tokens, in the form or as a bearer token, a client is told how long to wait, and meanwhile not
        even the right one counts; a session does, and so does every token from elsewhere.
        """
        cookie = {"Cookie": f"{COOKIE.decode()}={self.access.make_session().decode()}"}
        with capturedLogs() as logs:
            for number in range(20):
                if number % 2:
                    self.assertEqual(self.ask("/login", "POST", data={"token": "wrong"}).code, 403)
                else:
                    self.assertEqual(self.status("/metrics", Authorization="Bearer wrong"), 401)
        self.assertEqual([each["count"] for each in logs], [1])
        for answer in (
            self.ask("/login", "POST", data={"token": TOKEN}),
            self.ask("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}),
            self.ask("/metrics", "POST", headers={"Authorization": "Bearer wrong"}),
        ):
            self.assertEqual((answer.code, answer.headers.getRawHeaders("Retry-After")), (429, ["1"]))
        self.assertEqual(self.status("/metrics", **cookie), 200)
        self.assertEqual(self.status("/metrics", **cookie, Authorization="Bearer wrong"), 200)
        self.assertEqual((self.status("/login"), self.status("/metrics")), (200, 401))
        self.clients.append("elsewhere")
        self.assertEqual(self.status("/metrics", Authorization=f"Bearer {TOKEN}"), 200)
        self.clients.pop()
        self.clock.advance(1)
        self.assertEqual(self.status("/metrics", Authorization=f"Bearer {TOKEN}"), 200)
        self.assertEqual(self.status("/metrics", Authorization="Bearer wrong"), 401)
        self.assertEqual(self.status("/metrics", Authorization=f"Bearer {TOKEN}"), 429)

    def test_a_session_can_be_ended(self) -> None:
        """
        The button at the end of the page takes the cookie away; a link to it does not.
        """
        cookie = self.log_in()
        self.assertEqual(self.status("/logout", **cookie), 405)
        answer = self.ask("/logout", "POST", headers=cookie)
        self.assertEqual(answer.code, 303)
        self.assertIn("max-age=0", answer.headers.getRawHeaders("Set-Cookie")[0].lower())

    def test_who_is_in_needs_no_form(self) -> None:
        """
        Whoever has a session is sent from the form to the page.
        """
        self.assertEqual(self.status("/login"), 200)
        self.assertEqual(self.status("/login", **self.log_in()), 303)
        self.assertEqual(self.status("/login", "PUT"), 405)

    def test_a_form_that_cannot_be_read(self) -> None:
        """
        What is no form, or one of very many fields, is a wrong token.
        """
        for body in (b"\xff\xfe", b"&".join(b"token=a" for _ in range(30))):
            self.assertEqual(self.ask("/login", "POST", data=body).code, 403)


class ForgeryTests(DoorCase):
    """
    Orders from the pages of others.
    """

    def test_with_a_session(self) -> None:
        """
        A POST with a session counts only when the browser says that our own page sends it.
        """
        cookie = self.log_in()
        for right in (
            {"Sec_Fetch_Site": "same-origin", "Origin": HOME},
            {"Origin": HOME},
            {"Origin": "https://localhost:8081"},
            {},
        ):
            self.assertEqual(self.status("/metrics", "POST", **cookie, **right), 200, right)
        for wrong in (
            {"Sec_Fetch_Site": "cross-site", "Origin": HOME},
            {"Sec_Fetch_Site": "same-site"},
            {"Sec_Fetch_Site": "none"},
            {"Origin": "http://localhost:8082"},
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://[:"},
        ):
            for method in ("POST", "DELETE", "PUT", "PATCH"):
                self.assertEqual(self.status("/metrics", method, **cookie, **wrong), 403, wrong)
            self.assertEqual(self.status("/metrics", "POST", Authorization=f"Bearer {TOKEN}", **wrong), 200)

    def test_reading(self) -> None:
        """
        The page of somebody else may lead a person here, and load nothing from here: no picture, no stream, no answer.
        """
        cookie = self.log_in()
        for site in ("cross-site", "same-site"):
            self.assertEqual(self.status("/metrics", **cookie, Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors"), 403)
            self.assertEqual(self.status("/metrics", **cookie, Sec_Fetch_Site=site), 403)
            self.assertEqual(self.status("/", **cookie, Sec_Fetch_Site=site, Sec_Fetch_Mode="navigate"), 200)
            framed = {"Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "iframe"}
            self.assertEqual(self.status("/", **cookie, Sec_Fetch_Site=site, **framed), 403)
        for site in ("same-origin", "none"):
            self.assertEqual(self.status("/metrics", **cookie, Sec_Fetch_Site=site, Sec_Fetch_Mode="cors"), 200)

    def test_a_form_holds_proof(self) -> None:
        """
        What a form of ours holds is known again, and made with the token.
        """
        proof = self.access.form_proof()
        self.assertTrue(self.access.is_form_proof(proof))
        for wrong in ("", proof[:-1], proof + "0", "\udcff"):
            self.assertFalse(self.access.is_form_proof(wrong))
        self.token = ""
        self.assertFalse(self.access.is_form_proof(proof))


class LoopbackTests(DoorCase):
    """
    Without a token.
    """

    token = ""

    def test_names_of_this_machine(self) -> None:
        """
        Everything is open to whoever calls us by a name of the loopback interface, whatever the port.
        """
        for home in ("http://localhost:8081", "http://127.0.0.1:9000", "http://[::1]:8081", "http://LOCALHOST", HOME):
            self.assertEqual(self.status("/", home=home), 200, home)
            self.assertEqual(self.status("/metrics", "POST", home), 200, home)
            self.assertEqual(self.status("/login", home=home), 303, home)

    def test_a_name_that_was_led_here(self) -> None:
        """
        A page of somebody else's whose name leads here by now learns nothing, not even the form.
        """
        for home in (
            "http://evil.example:8081",
            "http://192.0.2.1:8081",
            "http://localhost.evil.example",
            "http://a_b",
        ):
            for path in ("/", "/metrics", "/login", "/static/admin.css", "/nothing"):
                self.assertEqual(self.status(path, home=home), 403, home)

    def test_pages_of_others(self) -> None:
        """
        A form in somebody else's page does nothing here.
        """
        self.assertEqual(self.status("/metrics", "POST", Origin="https://evil.example"), 403)
        self.assertEqual(self.status("/metrics", "POST", Sec_Fetch_Site="cross-site"), 403)
        self.assertEqual(self.status("/metrics", "POST", Origin=HOME), 200)

    def test_no_token_is_none_that_can_be_given(self) -> None:
        """
        While there is no token, an empty one is not it.
        """
        self.assertFalse(self.access.is_token(b""))


class HeaderTests(DoorCase):
    """
    What every answer says to a browser.
    """

    def test_every_answer_is_hardened(self) -> None:
        """
        Pages, files, refusals and what is not there: nothing foreign is loaded, framed, cached or guessed.
        """
        self.assertEqual(
            [self.ask(path).code for path in ("/login", "/static/admin.js", "/metrics", "/")], [200, 200, 401, 303]
        )
        for path in ("/login", "/static/admin.css", "/metrics", "/"):
            headers = self.ask(path).headers
            [policy] = headers.getRawHeaders("Content-Security-Policy")
            self.assertTrue(policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'"), policy)
            self.assertNotIn("unsafe", policy)
            self.assertEqual(headers.getRawHeaders("X-Content-Type-Options"), ["nosniff"])
            self.assertEqual(headers.getRawHeaders("Referrer-Policy"), ["same-origin"])
            caching = "no-store" if "static" not in path else "private, max-age=31536000, immutable"
            self.assertEqual(headers.getRawHeaders("Cache-Control"), [caching])

    def test_files_are_only_read(self) -> None:
        """
        A file is given with GET and HEAD and with nothing else.
        """
        self.assertEqual(self.status("/static/admin.css", "HEAD"), 200)
        self.assertEqual(self.status("/static/admin.css", "POST"), 405)
