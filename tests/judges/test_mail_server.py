"""
The SMTP server of the judges.
"""

from __future__ import annotations

import os
import ssl
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from smtplib import SMTP, SMTPDataError, SMTPRecipientsRefused, SMTPResponseException, SMTPSenderRefused

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from twisted.trial.unittest import SynchronousTestCase

from tests.judges.mail_server import MailServer


def _mail() -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "itsjustintv@example.net", "ada@example.net", "Tanuki ist live: Töpfern"
    mail["Message-ID"] = "<1@example.net>"
    mail.set_content("Töpfern\n.\nhttps://www.twitch.tv/tanuki\n")
    return mail


def make_certificate(folder: Path, host: str = "mail.test") -> tuple[Path, Path]:
    """
    Make a certificate that vouches for itself.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    start = datetime.now(UTC) - timedelta(hours=1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, start, start + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir()
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files


class MailServerTests(SynchronousTestCase):
    """
    Mail is taken, or refused as a test wants.
    """

    def server(self, **settings: object) -> MailServer:
        return self.enterContext(MailServer(Path(self.mktemp()), **settings))  # type: ignore[arg-type]

    def connect(self, server: MailServer) -> SMTP:
        return self.enterContext(SMTP("127.0.0.1", server.port, timeout=30))

    def test_a_mail_is_kept(self) -> None:
        """
        Envelope and message arrive as they were sent, and the process ends with the block.
        """
        with MailServer(Path(self.mktemp())) as server:
            with SMTP("127.0.0.1", server.port, timeout=30) as client:
                client.send_message(_mail())
                client.send_message(_mail(), to_addrs=["ada@example.net", "eve@example.net"])
            first, second = server.wait_for(2)
            pid = server.pid
        self.assertRaises(ProcessLookupError, os.kill, pid, 0)
        self.assertEqual((first.sender, first.recipients), ("itsjustintv@example.net", ("ada@example.net",)))
        self.assertEqual(second.recipients, ("ada@example.net", "eve@example.net"))
        self.assertEqual((first.encrypted, first.user), (False, ""))
        self.assertEqual(first.message["subject"], "Tanuki ist live: Töpfern")
        self.assertEqual(first.message.get_content(), "Töpfern\r\n.\r\nhttps://www.twitch.tv/tanuki\r\n")

    def test_refusals(self) -> None:
        """
        A recipient, the sender or the text is refused with the reply of the test, until it takes that back.
        """
        server = self.server()
        client = self.connect(server)
        replies = []
        for what, refused, reply in (
            ("ada@example.net", SMTPRecipientsRefused, "550 5.1.1 No such user"),
            ("MAIL", SMTPSenderRefused, "451 4.7.1 Later"),
            ("DATA", SMTPDataError, "554 5.7.1 Spam"),
        ):
            server.refuse(what, reply)
            error = self.assertRaises(refused, client.send_message, _mail())
            server.refuse(what)
            client.rset()
            recipients = getattr(error, "recipients", None)
            replies.append(recipients["ada@example.net"][0] if recipients else error.smtp_code)
        self.assertEqual((replies, server.mails), ([550, 451, 554], []))
        client.send_message(_mail())
        self.assertEqual(len(server.wait_for(1)), 1)

    def test_tls_and_login(self) -> None:
        """
        With a certificate STARTTLS is required, and with users a login.
        """
        certificate, key = make_certificate(Path(self.mktemp()))
        server = self.server(certificate=certificate, key=key, users={"tanuki": "secret"})
        plain = self.connect(server)
        self.assertEqual(self.assertRaises(SMTPResponseException, plain.send_message, _mail()).smtp_code, 530)
        client = self.connect(server)
        context = ssl.create_default_context(cafile=str(certificate))
        context.check_hostname = False
        client.starttls(context=context)
        self.assertEqual(self.assertRaises(SMTPResponseException, client.send_message, _mail()).smtp_code, 530)
        self.assertEqual(self.assertRaises(SMTPResponseException, client.login, "tanuki", "wrong").smtp_code, 535)
        client.login("tanuki", "secret")
        client.send_message(_mail())
        (mail,) = server.wait_for(1)
        self.assertEqual((mail.encrypted, mail.user), (True, "tanuki"))
