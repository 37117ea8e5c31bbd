"""
The library Apprise, imported when a destination needs it. It blocks.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

__all__ = ["is_installed", "knows", "notify"]


def is_installed() -> bool:
    """
    Whether the extra is installed.
    """
    return find_spec("apprise") is not None


def knows(url: str) -> bool:
    """
    Whether a URL is one of a service of Apprise.
    """
    return _plugin(url) is not None


def notify(url: str, title: str, text: str) -> bool:
    """
    Send a text once, and say whether Apprise says that it was sent. Blocks as long as the service does.
    """
    from apprise import Apprise, NotifyFormat  # noqa: PLC0415

    plugin = _plugin(url)
    if plugin is None:
        return False
    # Attempts are ours; "?retry=" in the URL would sleep in the thread.
    plugin.retry = 0
    sender = Apprise(asset=_asset())
    sender.add(plugin)
    return bool(sender.notify(body=text, title=title, body_format=NotifyFormat.TEXT))


def _plugin(url: str) -> Any:
    from apprise import Apprise  # noqa: PLC0415

    return Apprise.instantiate(url, asset=_asset())


@lru_cache(maxsize=1)
def _asset() -> Any:
    from apprise import AppriseAsset  # noqa: PLC0415

    # It logs URLs, and with them secrets.
    for name in ("apprise", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    return AppriseAsset(
        app_id="itsjustintv",
        app_desc="itsjustintv",
        async_mode=False,
        default_service_retry=0,
        interpret_emojis=False,
        interpret_escapes=False,
    )
