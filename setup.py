"""
Metadata of itsjustintv; the settings of its tools are in pyproject.toml.
"""

from pathlib import Path

from setuptools import find_packages, setup

setup(
    name="itsjustintv",
    version="0.1.0",
    description="Sends a webhook when a Twitch streamer goes live, and again until it is received.",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    # ``twisted.plugins`` has no __init__.py, so the finder cannot see it.
    packages=[*find_packages(include=["itsjustintv", "itsjustintv.*"]), "twisted.plugins"],
    package_data={"itsjustintv": ["py.typed", "journal/*.sql", "config/*.toml", "admin/static/*"]},
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
        "click>=8.3,<9",
        # Imported only where telemetry is enabled.
        "opentelemetry-sdk>=1.45,<2",
        "opentelemetry-exporter-otlp-proto-http>=1.45,<2",
    ],
    extras_require={
        "grpc": ["opentelemetry-exporter-otlp-proto-grpc>=1.45,<2"],
        "dev": [
            "opentelemetry-exporter-otlp-proto-grpc>=1.45,<2",
            "hypothesis>=6.150",
            "schemathesis>=4.32,<5",
            "standardwebhooks>=1.1",
            "mypy>=2.4,<2.5",
            "mypy-zope>=1.0.14,<2",
            "ruff>=0.17,<0.18",
            "coverage>=7.10,<8",
            "build>=1.3",
            "pyyaml>=6.0.3",
        ],
        "docs": ["sphinx>=9,<10", "myst-parser>=5.2,<6", "furo>=2025.12"],
    },
    entry_points={"console_scripts": ["itsjustintv = itsjustintv.__main__:main"]},
    classifiers=[
        "Framework :: Twisted",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Typing :: Typed",
    ],
    zip_safe=False,
)
