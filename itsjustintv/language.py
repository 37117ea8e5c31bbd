"""
The language of a broadcast, from its tags.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["detect"]

#: Tags that name a language, and its ISO 639-1 code; the original program's table.
_CODES = {
    "english": "en",
    "german": "de",
    "deutsch": "de",
    "spanish": "es",
    "español": "es",
    "french": "fr",
    "français": "fr",
    "italian": "it",
    "italiano": "it",
    "portuguese": "pt",
    "português": "pt",
    "russian": "ru",
    "русский": "ru",
    "japanese": "ja",
    "日本語": "ja",
    "korean": "ko",
    "한국어": "ko",
    "chinese": "zh",
    "中文": "zh",
}


def detect(tags: Iterable[str], broadcaster_language: str) -> str:
    """
    Tell the language: the first tag that names one, else what the channel says, else ``en``.
    """
    for tag in tags:
        code = _CODES.get(tag.casefold())
        if code is not None:
            return code
    return broadcaster_language or "en"
