"""
Tests for :mod:`itsjustintv.config.tls`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from itsjustintv.config.load import load, parse
from itsjustintv.config.secrets import secret_files
from itsjustintv.config.sections import TLS
from itsjustintv.config.tls import host_and_port, http_address, needs_http
from itsjustintv.errors import ConfigError

from .test_load import REQUIRED, document

#: What is enough for certificates to be ordered.
_ENOUGH: Mapping[str, object] = {"enabled": True, "domains": ["a.example.org"], "agree_to_terms": True}
_FILES: Mapping[str, object] = {
    "enabled": True,
    "mode": "files",
    "domains": ["a.example.org"],
    "cert_file": "chain.pem",
    "key_file": "key.pem",
}
_EVERYWHERE = "0.0.0.0"  # noqa: S104
_AGREE = (
    "server.tls.agree_to_terms: must be true: if you agree to the terms of service of the authority, add this line"
    " to [server.tls]: agree_to_terms = true (or set ITSJUSTINTV_SERVER_TLS_AGREE_TO_TERMS=true)"
)


def _text(tls: Mapping[str, object], server: Mapping[str, object] | None = None) -> str:
    return document({"server": {"port": 443, **(server or {}), "tls": dict(tls)}}) + REQUIRED


def _told(tls: Mapping[str, object], server: Mapping[str, object] | None = None) -> list[str]:
    try:
        parse(_text(tls, server), {})
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return []


class CheckTests(SynchronousTestCase):
    """
    What is told before anything starts.
    """

    def only(
        self, path: str, words: str, tls: Mapping[str, object], server: Mapping[str, object] | None = None
    ) -> None:
        """
        Assert that there is one problem, at a key, with these words.
        """
        told = _told(tls, server)
        self.assertEqual(1, len(told), (told, tls, server))
        self.assertTrue(told[0].startswith(f"server.{path}: "), told)
        self.assertIn(words, told[0])

    def test_what_is_right(self) -> None:
        """
        Each way to have certificates is taken with what it needs, and limits belong to what is allowed.
        """
        for more in (
            {},
            {"directory": "staging", "email": "ops+tls@example.org", "key_type": "rsa3072", "challenge": "both"},
            {"directory": "https://ca.example.org:9000/acme/dir?x=1", "ca_bundle": "ca.pem"},
            *({"directory": f"http://{host}/dir"} for host in ("localhost:14000", "127.0.0.9", "[::1]:14000")),
            {"challenge": "tls-alpn-01", "http_listen": ""},
            {"profile": "shortlived", "domains": ["192.0.2.1", "2001:db8::1", "a.example.org"]},
            {"eab_kid": "kid-1", "eab_hmac": "c2VjcmV0LXNlY3JldC0_"},
            {"eab_kid": "kid-1", "eab_hmac": "c2VjcmV0LXM="},
            *({"renew_fraction": share} for share in (0, 0.05, 0.5, 0.9)),
            {"domains": ["a.example.org", "B.example.org."], "default_name": "b.EXAMPLE.org"},
            *({"http_listen": place} for place in ("[::1]:80", "localhost:8080", "127.0.0.1:65535")),
        ):
            self.assertEqual([], _told({**_ENOUGH, **more}), more)
        self.assertEqual([], _told(_FILES))
        self.assertEqual([], _told({**_FILES, "domains": ["192.0.2.1"], "http_listen": "", "eab_kid": "kid"}))

    def test_the_original_agreed_for_its_users(self) -> None:
        """
        A configuration of the original, which agreed to the terms unasked, is told the line to add, and that is enough.
        """
        original = f'{REQUIRED}\n[server.tls]\nenabled = true\ndomains = ["hooks.example.org"]\n'
        with self.assertRaises(ConfigError) as caught:
            parse(original, {})
        self.assertEqual([_AGREE], [str(problem) for problem in caught.exception.problems])
        line, variable = _AGREE.removesuffix(")").rpartition(": ")[2].split(" (or set ")
        self.assertTrue(parse(f"{original}{line}\n", {}).config.server.tls.agree_to_terms)
        self.assertTrue(parse(original, dict([variable.split("=")])).config.server.tls.enabled)

    def test_nothing_is_asked_while_it_is_off(self) -> None:
        """
        Without TLS nobody must agree or name anything, while a value that can never be right is told all the same.
        """
        self.assertEqual([], _told({}))
        self.assertEqual([], _told({"domains": ["192.0.2.1"], "mode": "files", "eab_kid": "kid", "default_name": "a"}))
        self.only("tls.domains", "wildcard", {"domains": ["*.example.org"]})

    def test_what_one_key_asks_of_another(self) -> None:
        """
        Each thing that is missing or in the way is told once, at its key, with what to do.
        """
        for path, words, tls in (
            ("tls.domains", "at least one domain", {**_ENOUGH, "domains": []}),
            ("tls.domains", "at least one domain", {**_FILES, "domains": []}),
            ("tls.cert_file", 'mode is "files"', {**_FILES, "cert_file": ""}),
            ("tls.key_file", 'mode is "files"', {**_FILES, "key_file": ""}),
            ("tls.agree_to_terms", "agree_to_terms = true", {**_ENOUGH, "agree_to_terms": False}),
            ("tls.domains", "(number 2): those", {**_ENOUGH, "domains": ["a", "192.0.2.1"]}),
            ("tls.domains", 'profile = "shortlived"', {**_ENOUGH, "domains": ["[::1]"], "profile": "classic"}),
            ("tls.eab_hmac", "eab_hmac_file", {**_ENOUGH, "eab_kid": "kid"}),
            ("tls.eab_kid", "key id", {**_ENOUGH, "eab_hmac": "c2VjcmV0"}),
            ("tls.default_name", "server.tls.domains", {**_ENOUGH, "default_name": "b.example.org"}),
            ("tls.default_name", "server.tls.domains", {**_FILES, "default_name": "b.example.org"}),
            ("tls.http_listen", 'challenge = "tls-alpn-01"', {**_ENOUGH, "http_listen": ""}),
            ("tls.http_listen", "remove it", {**_ENOUGH, "challenge": "both", "http_listen": ""}),
        ):
            self.only(path, words, tls)

    def test_nowhere_for_plain_http_is_said_in_the_file(self) -> None:
        """
        A variable that is set to nothing counts as not set, there as anywhere: it neither takes the place away nor
        gives one back.
        """
        empty = {"ITSJUSTINTV_SERVER_TLS_HTTP_LISTEN": ""}
        self.assertEqual(parse(_text(_ENOUGH), empty).config.server.tls.http_listen, "0.0.0.0:80")
        self.assertEqual(parse(_text({**_FILES, "http_listen": ""}), empty).config.server.tls.http_listen, "")

    def test_domains(self) -> None:
        """
        What no certificate can be ordered for is told by its number, with the reason.
        """
        for words, domains in (
            ("(number 2): wildcards", ["a.example.org", "*.example.org"]),
            ("number 1 and number 2", ["*.a.example", "*.b.example"]),
            ("dns-01", ["*"]),
            ("number 2 begins with a scheme", ["a.example.org", "https://a.example.org/"]),
            ("number 1 is empty", [""]),
            ("number 1 has a port", ["a:80", "a"]),
            ("number 2 has an underscore", ["a", "a_b.example.org"]),
            ("number 1 holds U+2603 (snowman) and U+200D (zero width joiner)", ["☃\u200d.example"]),
            ("number 1 is not a name", ["192.0.2.256"]),
            ("number 1 holds : and %", ["fe80::1%eth0"]),
            ("number 1 and number 2 are the same", ["a.example.org", "A.Example.org"]),
            ("number 1 and number 3 are the same", ["a.example.org", "b.example.org", "a.example.org."]),
            ("number 2 and number 3 are the same", ["a", "bücher.example", "xn--bcher-kva.example"]),
        ):
            self.only("tls.domains", words, {**_ENOUGH, "domains": domains})

    def test_addresses_named_twice(self) -> None:
        """
        Two ways to write an address are one address.
        """
        domains = ["2001:db8::1", "[2001:DB8:0::1]"]
        self.only("tls.domains", "are the same", {**_ENOUGH, "domains": domains, "profile": "shortlived"})

    def test_directories(self) -> None:
        """
        A directory is a word, an https URL, or an http one on this machine.
        """
        for words, directory in (
            ("https://, unless", "http://ca.example.org/dir"),
            ("https://, unless", "http://192.168.0.1/dir"),
            ("https://, unless", "http://localhost.example.org/dir"),
            ("https://, unless", "HTTP://127.0.0.1.example.org/"),
            ("user name", "http://127.0.0.1@ca.example.org/"),
            ('"staging"', "stage"),
            ('"staging"', ""),
            ("https:// or http://", "ftp://localhost/"),
            ('"staging"', "acme-v02.api.letsencrypt.org/directory"),
        ):
            self.only("tls.directory", words, {**_ENOUGH, "directory": directory})

    def test_endpoints_of_txacme(self) -> None:
        """
        Where one could look for it, an endpoint of txacme is answered with the keys that say the same here.
        """
        for endpoint in ("le:/var/certs:tcp:443", "lets:/var/certs:tcp:80"):
            for key in ("directory", "cert_dir", "http_listen"):
                self.only(f"tls.{key}", "server.tls.domains", {**_ENOUGH, key: endpoint})
            self.only("listen_addr", "server.tls.enabled", _ENOUGH, {"listen_addr": endpoint})

    def test_single_values(self) -> None:
        """
        Each value that no daemon could use is told at its key.
        """
        for key, values in (
            (
                "http_listen",
                ("80", ":80", "a:", "0.0.0.0:0", "0.0.0.0:65536", "::1:80", "[::]", "[a]:80", "a b:80", "a:8x"),
            ),
            (
                "email",
                ("ops", "@a", "ops@", "mailto:ops@a", "a@b@c", "a b@c", "a@b,c@d", "ops@b\u00fccher.example", "a@b?c"),
            ),
            ("renew_fraction", (0.049, 0.91, -0.5, 1)),
            ("eab_hmac", ("a", "a+b/", "abcd=e", "=", "a b")),
        ):
            for value in values:
                self.only(f"tls.{key}", "must ", {**_ENOUGH, "eab_kid": "kid", "eab_hmac": "c2Vj", key: value})

    def test_one_place_for_two_servers(self) -> None:
        """
        Plain http cannot be where https is served, in whichever way the address is written, nor at port 80 when that is
        where it would be unasked. Whoever can do without it is told of that as well.
        """
        for http_listen, listen_addr in (
            ("0.0.0.0:443", _EVERYWHERE),
            ("127.0.0.1:443", _EVERYWHERE),
            ("0.0.0.0:443", "127.0.0.1"),
            ("0.0.0.0:443", ""),
            ("[::]:443", "127.0.0.1"),
            ("[::1]:443", "0:0::1"),
            ("Localhost:443", "localhost"),
        ):
            told = {**_ENOUGH, "http_listen": http_listen}, {"listen_addr": listen_addr}
            self.only("tls.http_listen", "server.port", *told)
        for http_listen, listen_addr in (
            ("0.0.0.0:80", _EVERYWHERE),
            ("127.0.0.1:443", "127.0.0.2"),
            ("[::1]:443", _EVERYWHERE),
        ):
            self.assertEqual([], _told({**_ENOUGH, "http_listen": http_listen}, {"listen_addr": listen_addr}))
        for more in ({**_ENOUGH, "challenge": "tls-alpn-01"}, _FILES):
            self.only("tls.http_listen", 'or to "" for none', {**more, "http_listen": "0.0.0.0:443"})
            self.only("tls.http_listen", "set server.port", more, {"port": 80})
            self.assertEqual([], _told({**more, "http_listen": ""}, {"port": 80}))
        for challenge in ("http-01", "both"):
            [told] = _told({**_ENOUGH, "challenge": challenge}, {"port": 80})
            self.assertTrue(told.startswith("server.tls.http_listen: ") and '""' not in told, told)

    def test_a_wrong_type_is_not_also_missing(self) -> None:
        """
        A key that could not be read is told as that, and nothing is concluded from its absence.
        """
        for key, value in (
            ("enabled", "yes"),
            ("mode", 1),
            ("domains", "a.example.org"),
            ("agree_to_terms", "true"),
            ("eab_kid", 1),
            ("eab_hmac", 1),
            ("eab_hmac_file", "no/such/file"),
            ("challenge", ["http-01"]),
            ("renew_fraction", "30d"),
        ):
            told = _told({**_ENOUGH, "eab_kid": "kid", "eab_hmac": "c2Vj" * (key != "eab_hmac_file"), key: value})
            self.assertEqual([f"server.tls.{key}"], [problem.split(":")[0] for problem in told])
        self.assertEqual(
            ['server.tls.mode: must be "acme" or "files"'], _told({"enabled": True, "domains": ["a"], "mode": "x"})
        )

    def test_no_file_is_looked_for(self) -> None:
        """
        Whether certificates can be read is for whoever reads them; checking touches nothing.
        """
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        path = folder / "config.toml"
        names = {key: str(folder / key) for key in ("cert_dir", "cert_file", "key_file", "ca_bundle")}
        path.write_text(_text({**_FILES, **names}), encoding="utf-8")
        self.assertEqual(names["cert_file"], load(path, {}).config.server.tls.cert_file)
        self.assertEqual([path], list(folder.iterdir()))


class DoubtTests(SynchronousTestCase):
    """
    What is allowed in ``[server.tls]`` and yet seldom meant.
    """

    def doubted(self, tls: Mapping[str, object], port: int = 443) -> list[str]:
        """
        Name the keys of ``[server.tls]`` that there is a warning about, beside that about TLS itself.
        """
        warnings = [warning.path for warning in parse(_text(tls, {"port": port}), {}).warnings]
        return [path for path in warnings if path.startswith("server.tls.") and path != "server.tls.enabled"]

    def test_tls_alpn_elsewhere(self) -> None:
        """
        tls-alpn-01 alone is doubted on every port but 443, since authorities look nowhere else.
        """
        alone = {**_ENOUGH, "challenge": "tls-alpn-01"}
        self.assertEqual(["server.tls.challenge"], self.doubted(alone, 8443))
        self.assertEqual([], self.doubted(alone, 443))
        self.assertEqual([], self.doubted({**_ENOUGH, "challenge": "both"}, 8443))
        self.assertEqual([], self.doubted({**alone, "enabled": False}, 8443))
        self.assertEqual([], self.doubted({**_FILES, "challenge": "tls-alpn-01"}, 8443))

    def test_a_certificate_that_is_not_used(self) -> None:
        """
        Files that are named while certificates are ordered are doubted.
        """
        self.assertEqual(
            ["server.tls.cert_file", "server.tls.key_file"], self.doubted({**_FILES, **_ENOUGH, "mode": "acme"})
        )
        self.assertEqual([], self.doubted(_FILES))


class ExternalAccountTests(SynchronousTestCase):
    """
    The secret of an account with the authority.
    """

    def test_from_a_file(self) -> None:
        """
        The secret is what the file holds, the file is watched like every file of secrets, and neither is shown.
        """
        path = Path(self.mktemp())
        path.write_text("c2VjcmV0LXNlY3JldA\n", encoding="utf-8")
        config = parse(_text({**_ENOUGH, "eab_kid": "kid", "eab_hmac_file": str(path)}), {}).config
        self.assertEqual("c2VjcmV0LXNlY3JldA", config.server.tls.eab_hmac)
        self.assertEqual([str(path)], list(secret_files(config)))
        self.assertNotIn("c2VjcmV0", repr(config))

    def test_the_environment_displaces_the_file(self) -> None:
        """
        A secret in the environment wins over a file named in the configuration.
        """
        text = _text({**_ENOUGH, "eab_kid": "kid", "eab_hmac_file": "no/such/file"})
        tls = parse(text, {"ITSJUSTINTV_SERVER_TLS_EAB_HMAC": "c2Vj"}).config.server.tls
        self.assertEqual(("c2Vj", ""), (tls.eab_hmac, tls.eab_hmac_file))

    def test_wrong_content_names_the_key_of_the_file(self) -> None:
        """
        A secret that is not base64url is told where the operator must look.
        """
        path = Path(self.mktemp())
        path.write_text("not base64url", encoding="utf-8")
        [problem] = _told({**_ENOUGH, "eab_kid": "kid", "eab_hmac_file": str(path)})
        self.assertTrue(problem.startswith("server.tls.eab_hmac_file: must be the base64url"), problem)
        self.assertNotIn("not base64url", problem)


class HostAndPortTests(SynchronousTestCase):
    """
    Where to listen.
    """

    def test_taken_apart(self) -> None:
        """
        The host comes without brackets, the port as a number.
        """
        for value, expected in (
            ("0.0.0.0:80", (_EVERYWHERE, 80)),
            ("[::]:8080", ("::", 8080)),
            ("localhost:1", ("localhost", 1)),
        ):
            self.assertEqual(expected, host_and_port(value))

    def test_plain_http_is_listened_for_beside_https(self) -> None:
        """
        At port 80 unless the operator says another place or none, whatever certificates are served; and nowhere
        without https.
        """
        for mode in ("acme", "files"):
            for challenge in ("http-01", "tls-alpn-01", "both"):
                tls = TLS(enabled=True, mode=mode, challenge=challenge)
                self.assertEqual(http_address(tls), (_EVERYWHERE, 80))
                self.assertEqual(http_address(evolve(tls, http_listen="[::1]:8080")), ("::1", 8080))
                self.assertIsNone(http_address(evolve(tls, http_listen="")))
        self.assertIsNone(http_address(TLS(http_listen="[::1]:8080")))

    def test_certificates_may_need_it(self) -> None:
        """
        Those that are ordered by http-01 do; others do not, and nothing does without https.
        """
        for challenge, needed in (("http-01", True), ("both", True), ("tls-alpn-01", False)):
            self.assertIs(needs_http(TLS(enabled=True, challenge=challenge)), needed)
            self.assertIs(needs_http(TLS(enabled=True, mode="files", challenge=challenge)), False)
            self.assertIs(needs_http(TLS(challenge=challenge)), False)

    @settings(deadline=None)
    @given(st.ip_addresses(), st.integers(1, 65535))
    def test_any_address(self, address: object, port: int) -> None:
        """
        Every address, an IPv6 one in brackets, is what it was after it is taken apart.
        """
        host = str(address)
        self.assertEqual((host, port), host_and_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}"))

    @settings(deadline=None)
    @given(st.text(max_size=12) | st.from_regex(r"[\[\]0-9a:.]{0,12}:[0-9]{0,6}", fullmatch=True))
    def test_any_text(self, text: str) -> None:
        """
        Any text at all is taken apart into a host that can be listened on and a port, or is refused.
        """
        place = host_and_port(text)
        if place is not None:
            self.assertTrue(place[0])
            self.assertTrue(1 <= place[1] <= 65535)
