"""
``python -m itsjustintv`` is the ``itsjustintv`` command.
"""

from itsjustintv.cli import main

if __name__ == "__main__":
    main(prog_name="itsjustintv")
