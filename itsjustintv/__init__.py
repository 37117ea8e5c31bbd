"""
itsjustintv learns from Twitch EventSub when a streamer goes live and sends a webhook to every configured receiver.

Three promises outrank every feature: nothing accepted is lost, a broadcast (a stream id) is announced once, and it is
announced now.
"""

from importlib.metadata import PackageNotFoundError, version

__all__ = ["__version__"]

try:
    __version__ = version("itsjustintv")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0+checkout"
