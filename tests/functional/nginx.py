"""
An nginx that runs in the foreground and writes into one folder only.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["configuration"]

_HEAD = """
daemon off;
master_process off;
user root;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
"""


def configuration(folder: Path, http: str) -> str:
    """
    Write a configuration.

    :param folder: where its temporary files go.
    :param http: the directives inside its ``http`` block.
    """
    return f"{_HEAD.format(folder=folder)}    {http}\n}}\n"
