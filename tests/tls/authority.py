"""
A certificate authority in this process: ACME as RFC 8555 has it, with whatever may go wrong, on a clock of the test.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

import orjson
from attrs import define, field, frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from josepy import JWK, JWS, b64decode
from klein import Klein
from treq.testing import StubTreq
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.web.iweb import IRequest

from itsjustintv.tls.acme.jose import unpadded
from itsjustintv.tls.certificate import general_name

__all__ = ["DIRECTORY", "HANG", "NOW", "Authority", "Fault", "Issuer", "let_pass", "problem", "settle"]

#: Where it is.
DIRECTORY = "https://ca.example.test/directory"

#: When the tests take place, in seconds since the epoch.
NOW = datetime(2026, 3, 1, tzinfo=UTC).timestamp()

DAY = 86400.0


@frozen
class Fault:
    """
    An answer in place of the right one; a status of 0 stands for none at all.
    """

    status: int
    body: bytes = b""
    headers: Sequence[tuple[str, str]] = ()


#: No answer at all.
HANG = Fault(0)


def problem(status: int, kind: str, detail: str = "as the test wants it", **headers: str) -> Fault:
    """
    A problem document; ``retry_after="60"`` becomes the header.
    """
    body = {"type": f"urn:ietf:params:acme:error:{kind}", "detail": detail, "status": status}
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return Fault(status, orjson.dumps(body), [("Content-Type", "application/problem+json"), *named])


@define(eq=False)
class Issuer:
    """
    A root, an intermediate, and certificates.

    :ivar intermediate_until: when the intermediate expires, in seconds since the epoch.
    """

    intermediate_until: float = NOW + 3650 * DAY
    _root_key: ec.EllipticCurvePrivateKey = field(factory=lambda: ec.generate_private_key(ec.SECP256R1()), init=False)
    _key: ec.EllipticCurvePrivateKey = field(factory=lambda: ec.generate_private_key(ec.SECP256R1()), init=False)
    root: x509.Certificate = field(init=False)
    intermediate: x509.Certificate = field(init=False)
    _serial: int = field(default=0x80000000000000, init=False)

    def __attrs_post_init__(self) -> None:
        root, middle = _name("a root of the tests"), _name("an intermediate of the tests")
        self.root = self._sign(
            root, self._root_key.public_key(), root, self._root_key, NOW - DAY, NOW + 7300 * DAY, ca=True
        )
        self.intermediate = self._sign(
            middle, self._key.public_key(), root, self._root_key, NOW - DAY, self.intermediate_until, ca=True
        )

    def issue(self, names: Sequence[str], public: Any, start: float, end: float) -> x509.Certificate:
        """
        A leaf.
        """
        middle = self.intermediate.subject
        return self._sign(x509.Name([]), public, middle, self._key, start, end, names=names)

    def chain(self, leaf: x509.Certificate) -> bytes:
        """
        A leaf and the intermediate in PEM.
        """
        return leaf.public_bytes(Encoding.PEM) + self.intermediate.public_bytes(Encoding.PEM)

    def _sign(  # noqa: PLR0917
        self,
        subject: x509.Name,
        public: Any,
        issuer: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        start: float,
        end: float,
        *,
        ca: bool = False,
        names: Sequence[str] = (),
    ) -> x509.Certificate:
        self._serial += 1
        usage = dict.fromkeys(
            (
                "content_commitment",
                "key_encipherment",
                "data_encipherment",
                "key_agreement",
                "encipher_only",
                "decipher_only",
            ),
            False,
        )
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(self._serial)
            .not_valid_before(_moment(start))
            .not_valid_after(_moment(end))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(digital_signature=True, key_cert_sign=ca, crl_sign=ca, **usage),
                critical=True,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        )
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([general_name(name) for name in names]), critical=True
            )
        return builder.sign(key, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@define(eq=False)
class _Account:
    url: str
    jwk: Any
    payload: dict[str, Any]


@define(eq=False)
class _Authz:
    number: int
    name: str
    account: _Account
    status: str = "pending"
    error: Any = None


@define(eq=False)
class _Ordered:
    number: int
    names: list[str]
    account: _Account
    authzs: list[_Authz]
    payload: dict[str, Any]
    status: str = "pending"
    polls_left: int = 0
    certificate: bytes | None = None


@define(eq=False)
class Authority:
    """
    The authority.

    :ivar lifetime: of certificates, in seconds.
    :ivar validate: whether a challenge is met: asked with name, type, token and the right key authorization.
    :ivar processing: how many looks at an order find it still in processing.
    :ivar waits: what ``Retry-After`` says at each of those looks.
    :ivar windows: what renewal information says; ``None`` when the authority has none.
    :ivar asked: every request by the name of its resource, with its payload, in order.
    :ivar http: reaches it.
    :ivar broken: what was wrong with requests, if anything.
    """

    app: ClassVar[Klein] = Klein()

    clock: Clock = field(factory=Clock)
    issuer: Issuer = field(factory=Issuer)
    lifetime: float = 90 * DAY
    validate: Callable[[str, str, str, str], bool] = lambda *_: True
    types: Sequence[str] = ("http-01", "dns-01", "tls-alpn-01")
    processing: int = 0
    waits: list[str] = field(factory=list)
    profiles: dict[str, str] = field(factory=dict)
    bindings: dict[str, bytes] | None = None
    ari: Callable[[str], Fault] | None = None
    reuse: bool = False
    asked: list[tuple[str, Any]] = field(factory=list)
    broken: list[str] = field(factory=list)
    chain_for: Callable[[Authority, x509.CertificateSigningRequest], bytes] | None = None
    csrs: list[x509.CertificateSigningRequest] = field(factory=list)
    _faults: dict[str, list[Fault]] = field(factory=dict)
    _always: dict[str, Fault] = field(factory=dict)
    _nonces: set[str] = field(factory=set)
    _made: Counter[str] = field(factory=Counter)
    accounts: list[_Account] = field(factory=list)
    _orders: dict[int, _Ordered] = field(factory=dict)
    _authzs: dict[int, _Authz] = field(factory=dict)
    http: Any = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        if self.clock.seconds() == 0:
            self.clock.advance(NOW)
        self.http = StubTreq(self.app.resource())

    def count(self, kind: str) -> int:
        """
        How often a resource was asked.
        """
        return sum(name == kind for name, _ in self.asked)

    def fail(self, kind: str, *faults: Fault) -> None:
        """
        Answer the next requests to a resource so.
        """
        self._faults.setdefault(kind, []).extend(faults)

    def fail_always(self, kind: str, fault: Fault | None) -> None:
        """
        Answer every request to a resource so, until further notice.
        """
        if fault is None:
            self._always.pop(kind, None)
        else:
            self._always[kind] = fault

    def forget_accounts(self) -> None:
        """
        Know no account any more.
        """
        self.accounts.clear()

    # What is served

    @app.route("/directory")
    def directory(self, request: IRequest) -> Any:
        def answer() -> Any:
            meta: dict[str, Any] = {"termsOfService": _url("terms"), "profiles": self.profiles}
            if self.bindings is not None:
                meta["externalAccountRequired"] = True
            found = {name: _url(name) for name in ("newNonce", "newAccount", "newOrder")}
            if self.ari is not None:
                found["renewalInfo"] = _url("ari")
            return self._say(request, 200, {**found, "meta": meta})

        return self._unless_fault("directory", request, None, answer)

    @app.route("/newNonce")
    def new_nonce(self, request: IRequest) -> Any:
        return self._unless_fault("newNonce", request, None, lambda: self._say(request, 200, {}))

    @app.route("/newAccount", methods=["POST"])
    def new_account(self, request: IRequest) -> Any:
        def make(jwk: Any, payload: Any, _: Any) -> Any:
            if not payload.get("termsOfServiceAgreed"):
                return self._problem(request, 403, "userActionRequired")
            if self.bindings is not None and not self._bound(jwk, payload.get("externalAccountBinding")):
                return self._problem(request, 400, "externalAccountRequired")
            known = [each for each in self.accounts if each.jwk == jwk]
            if not known:
                self._made["account"] += 1
                self.accounts.append(_Account(_url(f"account/{self._made['account']}"), jwk, payload))
            account = (known or self.accounts)[-1]
            request.setHeader("Location", account.url)
            return self._say(request, 200 if known else 201, {"status": "valid"})

        return self._signed("newAccount", request, make, anonymous=True)

    @app.route("/newOrder", methods=["POST"])
    def new_order(self, request: IRequest) -> Any:
        def make(account: Any, payload: Any, _: Any) -> Any:
            if payload.get("profile", "") not in ("", *self.profiles):
                return self._problem(request, 400, "invalidProfile")
            names = [each["value"] for each in payload["identifiers"]]
            authzs = [self._authz(name, account) for name in names]
            self._made["order"] += 1
            order = _Ordered(self._made["order"], names, account, authzs, payload)
            self._orders[order.number] = order
            request.setHeader("Location", _url(f"order/{order.number}"))
            return self._say(request, 201, self._shown(order))

        return self._signed("newOrder", request, make)

    @app.route("/order/<int:number>", methods=["POST"])
    def order(self, request: IRequest, number: int) -> Any:
        def show(_account: Any, _payload: Any, _: Any) -> Any:
            order = self._orders[number]
            if order.status == "processing":
                if order.polls_left:
                    order.polls_left -= 1
                    if self.waits:
                        request.setHeader("Retry-After", self.waits.pop(0))
                else:
                    order.status = "valid"
            return self._say(request, 200, self._shown(order))

        return self._signed("order", request, show)

    @app.route("/authz/<int:number>", methods=["POST"])
    def authz(self, request: IRequest, number: int) -> Any:
        def show(_account: Any, _payload: Any, _: Any) -> Any:
            authz = self._authzs[number]
            challenges = [
                {
                    "type": each,
                    "url": _url(f"challenge/{number}/{each}"),
                    "token": f"token-{number}-{each}",
                    "status": authz.status,
                    **({"error": authz.error} if authz.error else {}),
                }
                for each in self.types
            ]
            return self._say(
                request,
                200,
                {
                    "status": authz.status,
                    "identifier": {"type": "dns", "value": authz.name},
                    "challenges": challenges,
                },
            )

        return self._signed("authz", request, show)

    @app.route("/challenge/<int:number>/<string:kind>", methods=["POST"])
    def challenge(self, request: IRequest, number: int, kind: str) -> Any:
        def begin(account: Any, payload: Any, _: Any) -> Any:
            if payload != {}:
                return self._problem(request, 400, "malformed")
            authz, token = self._authzs[number], f"token-{number}-{kind}"
            right = f"{token}.{unpadded(JWK.from_json(account.jwk).thumbprint())}"
            if self.validate(authz.name, kind, token, right):
                authz.status = "valid"
            else:
                authz.status = "invalid"
                authz.error = {"type": "urn:ietf:params:acme:error:unauthorized", "detail": "the wrong answer"}
            return self._say(request, 200, {"status": authz.status, "url": "", "type": kind})

        return self._signed("challenge", request, begin)

    @app.route("/finalize/<int:number>", methods=["POST"])
    def finalize(self, request: IRequest, number: int) -> Any:
        def make(account: Any, payload: Any, _: Any) -> Any:
            order = self._orders[number]
            self._refresh(order)
            if order.status != "ready":
                return self._problem(request, 403, "orderNotReady")
            csr = x509.load_der_x509_csr(b64decode(payload["csr"]))
            self.csrs.append(csr)
            public = csr.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            if public == JWK.from_json(account.jwk).key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo):
                return self._problem(request, 400, "badCSR")
            if self.chain_for is not None:
                order.certificate = self.chain_for(self, csr)
            else:
                now = self.clock.seconds()
                leaf = self.issuer.issue(order.names, csr.public_key(), now, now + self.lifetime)
                order.certificate = self.issuer.chain(leaf)
            order.status, order.polls_left = ("processing", self.processing) if self.processing else ("valid", 0)
            return self._say(request, 200, self._shown(order))

        return self._signed("finalize", request, make)

    @app.route("/certificate/<int:number>", methods=["POST"])
    def certificate(self, request: IRequest, number: int) -> Any:
        def show(_account: Any, _payload: Any, _: Any) -> Any:
            request.setHeader("Content-Type", "application/pem-certificate-chain")
            return self._orders[number].certificate

        return self._signed("certificate", request, show)

    @app.route("/ari/<string:identifier>")
    def renewal_info(self, request: IRequest, identifier: str) -> Any:
        ari = self.ari
        assert ari is not None

        def show() -> Any:
            return self._fault(request, ari(identifier))

        return self._unless_fault("ari", request, identifier, show)

    # How

    def _signed(self, kind: str, request: Any, then: Callable[..., Any], *, anonymous: bool = False) -> Any:
        content = orjson.loads(request.content.read())
        header = orjson.loads(b64decode(content["protected"]))
        if request.getHeader("Content-Type") != "application/jose+json":
            self.broken.append(f"{kind}: the content type is {request.getHeader('Content-Type')}")
        if header["url"] != f"https://ca.example.test{request.path.decode()}":
            self.broken.append(f"{kind}: signed for {header['url']}")
        if ("jwk" in header) != anonymous or ("kid" in header) == anonymous:
            self.broken.append(f"{kind}: named by {sorted(header)}")
        payload = orjson.loads(b64decode(content["payload"])) if content["payload"] else None

        def answer() -> Any:
            if header.get("nonce") not in self._nonces:
                return self._problem(request, 400, "badNonce")
            self._nonces.discard(header["nonce"])
            if anonymous:
                who: Any = header["jwk"]
                jwk = who
            else:
                known = [each for each in self.accounts if each.url == header["kid"]]
                if not known:
                    return self._problem(request, 400, "accountDoesNotExist")
                who, jwk = known[0], known[0].jwk
            if not JWS.from_json({**content, "header": {}}).verify(JWK.from_json(jwk)):
                return self._problem(request, 401, "unauthorized")
            return then(who, payload, header)

        return self._unless_fault(kind, request, payload, answer)

    def _unless_fault(self, kind: str, request: Any, payload: Any, answer: Callable[[], Any]) -> Any:
        self.asked.append((kind, payload))
        if not request.getHeader("User-Agent"):
            self.broken.append(f"{kind}: no user agent")
        queued = self._faults.get(kind)
        fault = queued.pop(0) if queued else self._always.get(kind)
        return answer() if fault is None else self._fault(request, fault)

    def _fault(self, request: Any, fault: Fault) -> Any:
        if not fault.status:
            return Deferred()
        self._nonce(request)
        request.setResponseCode(fault.status)
        for name, value in fault.headers:
            request.setHeader(name, value)
        return fault.body

    def _problem(self, request: Any, status: int, kind: str) -> bytes:
        body: bytes = self._fault(request, problem(status, kind))
        return body

    def _say(self, request: Any, status: int, content: Any) -> bytes:
        self._nonce(request)
        request.setResponseCode(status)
        request.setHeader("Content-Type", "application/json")
        return orjson.dumps(content)

    def _nonce(self, request: Any) -> None:
        self._made["nonce"] += 1
        nonce = f"nonce-{self._made['nonce']}"
        self._nonces.add(nonce)
        request.setHeader("Replay-Nonce", nonce)

    def _authz(self, name: str, account: _Account) -> _Authz:
        if self.reuse:
            for each in self._authzs.values():
                if (each.name, each.status, each.account) == (name, "valid", account):
                    return each
        self._made["authz"] += 1
        authz = _Authz(self._made["authz"], name, account)
        self._authzs[authz.number] = authz
        return authz

    def _refresh(self, order: _Ordered) -> None:
        if order.status == "pending":
            if any(each.status == "invalid" for each in order.authzs):
                order.status = "invalid"
            elif all(each.status == "valid" for each in order.authzs):
                order.status = "ready"

    def _shown(self, order: _Ordered) -> dict[str, Any]:
        self._refresh(order)
        return {
            "status": order.status,
            "identifiers": [{"type": "dns", "value": name} for name in order.names],
            "authorizations": [_url(f"authz/{each.number}") for each in order.authzs],
            "finalize": _url(f"finalize/{order.number}"),
            **({"certificate": _url(f"certificate/{order.number}")} if order.status == "valid" else {}),
        }

    def _bound(self, jwk: Any, binding: Any) -> bool:
        if not isinstance(binding, dict) or self.bindings is None:
            return False
        secret = self.bindings.get(orjson.loads(b64decode(binding["protected"]))["kid"], b"")
        key = JWK.from_json({"kty": "oct", "k": unpadded(secret)})
        right = JWS.from_json({**binding, "header": {}}).verify(key)
        return bool(right) and orjson.loads(b64decode(binding["payload"])) == jwk


def _url(path: str) -> str:
    return f"https://ca.example.test/{path}"


def _flush(authority: Authority) -> None:
    before = -1
    while len(authority.asked) != before:
        before = len(authority.asked)
        authority.http.flush()


def settle(authority: Authority, work: Deferred[Any], patience: float = 3600.0) -> Deferred[Any]:
    """
    Let time pass, from one thing that is due to the next, until something has an end or so many seconds are over.
    """
    until = authority.clock.seconds() + patience
    while True:
        _flush(authority)
        if work.called:
            return work
        due = [call.getTime() for call in authority.clock.getDelayedCalls()]
        if not due or min(due) > until:
            return work
        authority.clock.advance(max(0.0, min(due) - authority.clock.seconds()))


def let_pass(authority: Authority, seconds: float) -> None:
    """
    Let so much time pass, from one thing that is due to the next.
    """
    until = authority.clock.seconds() + seconds
    settle(authority, Deferred(), seconds)
    authority.clock.advance(max(0.0, until - authority.clock.seconds()))
    _flush(authority)
