"""
The same daemon as ``twistd itsjustintv``, in the foreground: ``twistd -ny itsjustintv.tac``. ITSJUSTINTV_CONFIG names the
configuration.
"""

from twisted.application.service import Application
from twisted.logger import ILogObserver

from itsjustintv.tap import Options, log_observer, makeService

options = Options()
options.parseOptions([])

application = Application("itsjustintv")
application.setComponent(ILogObserver, log_observer())
makeService(options).setServiceParent(application)
