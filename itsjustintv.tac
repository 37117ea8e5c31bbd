"""
The same daemon as ``twistd itsjustintv``, with JSON logs: ``twistd -ny itsjustintv.tac``. ITSJUSTINTV_CONFIG names the configuration.
"""

from twisted.application.service import Application
from twisted.logger import ILogObserver

from itsjustintv.logs import json_logger
from itsjustintv.tap import Options, makeService

options = Options()
options.parseOptions([])

application = Application("itsjustintv")
application.setComponent(ILogObserver, json_logger())
makeService(options).setServiceParent(application)
