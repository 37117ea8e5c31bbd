"""
How Sphinx builds these pages: ``make docs``.
"""

from importlib.metadata import version as installed

project = "itsjustintv"
author = "the authors of itsjustintv"
version = release = installed("itsjustintv")
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
myst_heading_anchors = 4
html_theme = "furo"
html_title = f"itsjustintv {release}"
# Highlighting finds nothing in a bare fence.
highlight_language = "text"
nitpicky = True
