# The image that deploy/ names `inplace`. Needs a writable root neither at the start nor later.
#   docker build -t inplace:0.1.0 .
ARG PYTHON=python:3.13-slim

FROM ${PYTHON} AS build
WORKDIR /src
COPY . .
# The wheel, with its dependencies at the versions that are locked and tested.
RUN sed -n 's/^\([a-z][^ ]*==[^ ]*\).*/\1/p' requirements.lock > /tmp/constraints.txt \
 && python -m venv /opt/inplace \
 && python -m pip wheel --quiet --no-deps --wheel-dir /tmp/wheel . \
 && /opt/inplace/bin/pip install --quiet --no-cache-dir --constraint /tmp/constraints.txt /tmp/wheel/*.whl \
 && /opt/inplace/bin/pip uninstall --quiet --yes pip \
 && { python -m compileall -q --invalidation-mode unchecked-hash /opt/inplace || test $? -eq 1; }

FROM ${PYTHON}
COPY --from=build /opt/inplace /opt/inplace
ENV PATH=/opt/inplace/bin:$PATH HOME=/ PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
ENTRYPOINT ["inplace"]
