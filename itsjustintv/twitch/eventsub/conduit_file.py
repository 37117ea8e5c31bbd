"""
The file that remembers which conduit is this daemon's, so that a restart uses it and its subscriptions again.
"""

from __future__ import annotations

from pathlib import Path

import orjson
from attrs import asdict, frozen

from itsjustintv.config.sections import Config
from itsjustintv.support.files import replace
from itsjustintv.support.regular_files import read
from itsjustintv.twitch.json_fields import JSONFields

__all__ = ["ConduitFile", "RememberedConduit"]

_LIMIT = 64 * 1024


@frozen(kw_only=True)
class RememberedConduit:
    """
    A conduit that this daemon created.

    :ivar client_id: the application that it belongs to.
    :ivar created_at: RFC 3339.
    """

    client_id: str
    conduit_id: str
    created_at: str


@frozen
class ConduitFile:
    """
    ``twitch.conduit.state_file``. Every method blocks.
    """

    path: Path

    @classmethod
    def of(cls, config: Config) -> ConduitFile:
        return cls(Path(config.twitch.conduit.state_file))

    def read(self, client_id: str) -> RememberedConduit | None:
        """
        Read the conduit of an application; ``None`` without a file, and when it is about another application.

        :raises OSError: the file cannot be read.
        :raises ValueError: it is not what :meth:`write` writes. The text follows the path of the file.
        """
        try:
            content = orjson.loads(read(self.path, _LIMIT))
        except FileNotFoundError:
            return None
        except orjson.JSONDecodeError:
            raise ValueError("is not JSON") from None
        found = JSONFields.of(content)
        owner, conduit_id = found.text("client_id"), found.text("conduit_id")
        if not owner or not conduit_id:
            raise ValueError("does not hold client_id and conduit_id")
        if owner != client_id:
            return None
        return RememberedConduit(client_id=owner, conduit_id=conduit_id, created_at=found.text("created_at"))

    def write(self, conduit: RememberedConduit) -> None:
        """
        Replace the file, atomically and with mode 0600.

        :raises OSError: it cannot be written, and is as before.
        """
        replace(self.path, orjson.dumps(asdict(conduit), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))

    def forget(self) -> None:
        """
        Remove the file, if there is one.

        :raises OSError: it cannot be removed.
        """
        self.path.unlink(missing_ok=True)
