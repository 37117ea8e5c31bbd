# The daemon in a container: docker build -t itsjustintv .
# It runs as a user without rights, any that you choose (--user 1000:0), with a read-only root file system if you like, and
# keeps everything in /data.

ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS build
WORKDIR /src
COPY requirements.lock ./
# Exactly what is in the lock file, by its hashes, and nothing that would have to be compiled.
RUN python -m venv /opt/itsjustintv \
    && /opt/itsjustintv/bin/pip install --no-cache-dir --no-compile --only-binary :all: --require-hashes -r requirements.lock
COPY setup.py pyproject.toml README.md LICENSE ./
COPY twisted ./twisted
COPY itsjustintv ./itsjustintv
# What "itsjustintv version" says of the build.
ARG REVISION=
ARG SOURCE_DATE_EPOCH=
# What Python and Twisted would write at the first start is written now: later the tree is read-only. The byte code does not
# depend on when it was made.
RUN BUILD_COMMIT="${REVISION}" /opt/itsjustintv/bin/pip install --no-cache-dir --no-compile --no-index --no-deps --no-build-isolation . \
    && /opt/itsjustintv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/itsjustintv/lib \
    && /opt/itsjustintv/bin/twistd --help >/dev/null \
    && /opt/itsjustintv/bin/pip uninstall --yes --quiet pip

FROM python:${PYTHON}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="itsjustintv" \
      org.opencontainers.image.description="Sends a webhook when a Twitch streamer goes live, and again until it is received." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN groupadd --gid 10001 itsjustintv \
    && useradd --uid 10001 --gid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin itsjustintv \
    && install -d -o 10001 -g 0 -m 0770 /data \
    && install -d -m 0755 /etc/itsjustintv
COPY --from=build /opt/itsjustintv /opt/itsjustintv
ENV PATH=/opt/itsjustintv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ITSJUSTINTV_CONFIG=/etc/itsjustintv/config.toml \
    ITSJUSTINTV_STORAGE_BASE=/
# With this base, data/ is the volume. Group 0 may write there, whoever the user is; it has no other right.
USER 10001:0
WORKDIR /
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["itsjustintv", "health", "--live"]
ENTRYPOINT ["itsjustintv"]
CMD ["run"]
