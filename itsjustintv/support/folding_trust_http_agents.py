"""
By which certificates an authority itself is believed.
"""

from __future__ import annotations

from pathlib import Path

import pem
from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.web.client import BrowserLikePolicyForHTTPS
from twisted.web.iweb import IPolicyForHTTPS

from itsjustintv.errors import CertificateUnusable
from itsjustintv.support.regular_files import read

__all__ = ["policy_for"]

# Bytes; those of the systems have 300 KiB.
_LARGEST = 4 * 1024 * 1024


def policy_for(ca_bundle: str) -> IPolicyForHTTPS:
    """
    How to verify an authority: by the certificates of ``server.tls.ca_bundle``, which is what a private authority
    needs, or without one by those of the system. Blocks for a moment.

    :raises CertificateUnusable: there are no certificates in that file, or it cannot be read.
    """
    if not ca_bundle:
        return BrowserLikePolicyForHTTPS()
    try:
        text = read(Path(ca_bundle), _LARGEST)
        found = [Certificate.loadPEM(each.as_bytes()) for each in pem.parse(text) if isinstance(each, pem.Certificate)]
    except OSError as error:
        raise CertificateUnusable(f"server.tls.ca_bundle {ca_bundle} cannot be read: {error.strerror}") from None
    except Exception as error:
        raise CertificateUnusable(
            f"server.tls.ca_bundle {ca_bundle} holds a certificate that cannot be read"
        ) from error
    if not found:
        raise CertificateUnusable(f"server.tls.ca_bundle {ca_bundle} holds no certificate in PEM")
    return BrowserLikePolicyForHTTPS(trustRootFromCertificates(found))
