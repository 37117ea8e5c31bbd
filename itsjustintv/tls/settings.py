"""
What follows from the settings of ``[server.tls]``.
"""

from __future__ import annotations

from hashlib import sha256

from attrs import evolve

from itsjustintv.config.sections import TLS

__all__ = ["challenge_types", "default_name", "directory_url", "fingerprint", "for_trial"]

# Names for Let's Encrypt's directories.
_DIRECTORIES = {
    "production": "https://acme-v02.api.letsencrypt.org/directory",
    "staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
}


def directory_url(tls: TLS) -> str:
    """
    The URL of the authority's directory.
    """
    return _DIRECTORIES.get(tls.directory, tls.directory)


def for_trial(tls: TLS) -> TLS:
    """
    The settings for a trial order: Let's Encrypt's staging instead of its production. Of other authorities no staging
    is known.
    """
    return evolve(tls, directory="staging") if tls.directory == "production" else tls


def challenge_types(tls: TLS) -> tuple[str, ...]:
    """
    The configured challenge types, by their ACME names.
    """
    return ("http-01", "tls-alpn-01") if tls.challenge == "both" else (tls.challenge,)


def default_name(tls: TLS) -> str:
    """
    The name whose certificate is served to clients that send none.
    """
    return tls.default_name or next(iter(tls.domains), "")


def fingerprint(tls: TLS, name: str) -> str:
    """
    Identify everything by which an authority may decide on an order, without revealing it.
    """
    parts = (
        name,
        directory_url(tls),
        tls.email,
        str(tls.agree_to_terms),
        tls.profile,
        tls.key_type,
        tls.eab_kid,
        tls.eab_hmac,
        tls.challenge,
    )
    return sha256("\0".join(parts).encode("utf-8")).hexdigest()
