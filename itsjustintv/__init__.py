"""
itsjustintv learns from Twitch EventSub the moment a streamer goes live and tells every configured webhook, once.

Three promises outrank every feature: nothing accepted is lost, everything is announced once, and it is announced now.
"""

from importlib.metadata import PackageNotFoundError, version

__all__ = ["__version__"]

try:
    __version__ = version("itsjustintv")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0+checkout"
