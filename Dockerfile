# The image that deploy/ calls `inplace`. It never needs a writable root file system.
#   docker build -t inplace:0.1.0 .
# For a reproducible build name the base by its digest: --build-arg PYTHON=python:3.13-slim@sha256:...
ARG PYTHON=python:3.13-slim

FROM ${PYTHON} AS build
WORKDIR /src
COPY . .
# The locked files are fetched once, each checked against its hash. From there on nothing comes from the network, neither the build
# backend nor a dependency.
RUN python -m pip download --quiet --no-cache-dir --only-binary :all: --require-hashes -r requirements.lock --dest /tmp/locked \
 && export PIP_NO_INDEX=1 PIP_FIND_LINKS=/tmp/locked \
 && python -m pip wheel --quiet --no-deps --wheel-dir /tmp/wheel . \
 && python -m venv /opt/inplace \
 && /opt/inplace/bin/pip install --quiet --no-cache-dir /tmp/wheel/*.whl \
 && /opt/inplace/bin/pip uninstall --quiet --yes pip \
 && { python -m compileall -q --invalidation-mode unchecked-hash /opt/inplace || test $? -eq 1; }

FROM ${PYTHON}
COPY --from=build /opt/inplace /opt/inplace
ENV PATH=/opt/inplace/bin:$PATH HOME=/ PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
ENTRYPOINT ["inplace"]
