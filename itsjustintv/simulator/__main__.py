"""
``python -m itsjustintv.simulator``: runs a simulated Twitch on this machine until it is interrupted.
"""

from __future__ import annotations

import json
import sys
from random import SystemRandom

from twisted.internet import reactor

from itsjustintv.simulator.stage import begin


def main(port: int) -> None:
    """
    Listen, print one line of JSON with the settings for a configuration, and serve.

    :param port: 0 for any free port.
    """
    sys.stdout.write(json.dumps(begin(reactor, SystemRandom(), port).settings) + "\n")
    sys.stdout.flush()
    reactor.run()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
