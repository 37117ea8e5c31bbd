"""
The real daemon in front of an address to which it must not connect.
"""

from __future__ import annotations

from tests.functional.stage import StageCase
from tests.functional.test_delivery import go_live

#: Linux connects to this machine under it, so that a receiver is there to be reached; and it is refused.
HERE = "0.0.0.0"  # noqa: S104


class EgressTests(StageCase):
    """
    A destination at a refused address.
    """

    async def test_refused_until_it_is_allowed(self) -> None:
        """
        Nothing is sent to a refused address, and the log says which it is and what to do. Once a reload allows it, the
        same delivery is made. A receiver on loopback is not affected.
        """
        stage = self.stage()
        stage.add_streamer("tanuki")
        stage.add_streamer("kitsune")
        stage.streamers["tanuki"] = stage.streamers["tanuki"].replace("127.0.0.1", HERE)
        stage.settings = '[retry]\ninitial_delay = "1s"\nmax_delay = "1s"\n'
        daemon = await stage.started()
        await stage.subscribed()

        await go_live(stage, "tanuki")
        await go_live(stage, "kitsune")
        await daemon.said(
            "streamers.tanuki resolves to 0.0.0.0, which is refused (egress): add it to egress.allow if that is meant."
        )
        await stage.receiver.delivery("/kitsune")
        self.assertEqual([each.path for each in stage.receiver.received], ["/kitsune"])

        stage.settings += f'[egress]\nallow = ["{HERE}"]\n'
        stage.configure()
        self.assertEqual((await stage.receiver.delivery("/tanuki")).payload["streamer_login"], "tanuki")
