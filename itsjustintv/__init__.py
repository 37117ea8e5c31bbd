"""
itsjustintv learns from Twitch EventSub when a streamer goes live and sends a webhook to every configured receiver.

Three promises outrank every feature: nothing accepted is lost, a broadcast (a stream id) is announced once, and it is
announced now.
"""

__all__ = ["__version__"]

__version__: str


def __getattr__(name: str) -> str:
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # What reads the version is a third of what a short command imports.
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - as said

    try:
        found = version("itsjustintv")
    except PackageNotFoundError:  # a checkout that was never installed
        found = "0+checkout"
    globals()[name] = found
    return found
