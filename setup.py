"""
Metadata of itsjustintv; the settings of its tools are in pyproject.toml.
"""

import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = Path(__file__).resolve().parent
NOTE = Path("itsjustintv", "build.json")


def note(folder):
    """
    Note in a package that is being built of which commit it is made, and when: BUILD_COMMIT, git, or the note in the
    archive of the sources that is being built; SOURCE_DATE_EPOCH, or now. What cannot be known is left out.
    """
    path = Path(folder) / NOTE
    kept = HERE / NOTE
    found = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    if commit := os.environ.get("BUILD_COMMIT") or _of_git():
        found["commit"] = commit
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch or "date" not in found:
        found["date"] = (datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)).strftime("%FT%TZ")
    path.unlink(missing_ok=True)  # it may be linked to the one in the checkout
    path.write_text(json.dumps(found, sort_keys=True) + "\n", encoding="utf-8")


def _of_git():
    if not (HERE / ".git").exists():
        return None
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=HERE, capture_output=True, text=True, check=True)  # noqa: S607
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


class BuildPy(build_py):
    """
    Build the modules, and note of what.
    """

    def run(self):
        super().run()
        if not self.editable_mode:
            note(self.build_lib)


class SDist(sdist):
    """
    Pack the sources, and note of which commit they are.
    """

    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        note(base_dir)


setup(
    name="itsjustintv",
    version="0.1.0",
    description="Sends a webhook when a Twitch streamer goes live, and again until it is received.",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    # ``twisted.plugins`` has no __init__.py, so the finder cannot see it.
    packages=[*find_packages(include=["itsjustintv", "itsjustintv.*"]), "twisted.plugins"],
    package_data={"itsjustintv": ["py.typed", "journal/sqlite/*.sql", "config/*.toml", "admin/static/*"]},
    install_requires=[
        "twisted[tls]>=26.4,<27",
        "treq>=26.7,<27",
        "klein>=24.8,<27",
        "attrs>=25.4",
        "cattrs>=25.3",
        "service-identity>=24.2",
        "idna>=3.7",
        "pyopenssl>=26.0",
        "h2>=4.3,<5",
        # The frame of certs/. 0.9.2, to which pip would step back beside a newer acme, cannot be imported; nor might
        # 0.9.3 with the next cryptography or josepy.
        "txacme==0.9.3",
        "josepy>=2.2,<3",
        "cryptography>=46,<51",
        "orjson>=3.11",
        # Imported only where messages arrive through a conduit, and by the simulator.
        "websockets>=16,<18",
        "click>=8.3,<9",
        # Imported only where a destination has messages; the sandbox of 3.1.5 had a way out.
        "jinja2>=3.1.6,<4",
        # Imported only where telemetry is enabled.
        "opentelemetry-sdk>=1.45,<2",
        "opentelemetry-exporter-otlp-proto-http>=1.45,<2",
    ],
    extras_require={
        # Imported only where a destination needs it.
        "apprise": ["apprise>=2.3,<3"],
        "grpc": ["opentelemetry-exporter-otlp-proto-grpc>=1.45,<2"],
        "dev": [
            "opentelemetry-exporter-otlp-proto-grpc>=1.45,<2",
            "apprise>=2.3,<3",
            "wsproto>=1.3,<2",
            "hypothesis>=6.150",
            "schemathesis>=4.32,<5",
            "standardwebhooks>=1.1",
            "cloudevents>=2.2,<3",
            "mypy>=2.4,<2.5",
            "mypy-zope>=1.0.14,<2",
            "ruff>=0.17,<0.18",
            "coverage>=7.10,<8",
            "build>=1.3",
            "pyyaml>=6.0.3",
            "towncrier>=25.8,<27",
        ],
        "docs": ["sphinx>=9,<10", "myst-parser>=5.2,<6", "furo>=2025.12"],
    },
    cmdclass={"build_py": BuildPy, "sdist": SDist},
    entry_points={"console_scripts": ["itsjustintv = itsjustintv.__main__:main"]},
    classifiers=[
        "Framework :: Twisted",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Typing :: Typed",
    ],
    zip_safe=False,
)
