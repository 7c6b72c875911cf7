# The npm package with what the lock file names, on a Node image: docs/operate.md, In a container.
#
# A tag may move. To build twice the same, name the digest that `docker buildx imagetools inspect node:24-bookworm-slim` tells:
#   --build-arg NODE_IMAGE=node:24-bookworm-slim@sha256:…
ARG NODE_IMAGE=node:24-bookworm-slim

# The package, once for every platform.
FROM --platform=$BUILDPLATFORM ${NODE_IMAGE} AS package
WORKDIR /source
COPY package.json package-lock.json ./
COPY scripts/node scripts/node
RUN npm ci --ignore-scripts
COPY . .
RUN npm pack --pack-destination /tmp && mkdir /package && tar -xzf /tmp/symbolon-*.tgz -C /package --strip-components=1

# What it depends on, for the platform. Without devDependencies the lock file's other packages stay as they are.
FROM ${NODE_IMAGE} AS installed
WORKDIR /app
COPY --from=package /package ./
COPY package-lock.json ./
RUN npm pkg delete devDependencies scripts && npm install --no-audit --no-fund && rm package-lock.json

FROM ${NODE_IMAGE}
ARG VERSION=0.2.0
ARG REVISION=
ARG SOURCE=
LABEL org.opencontainers.image.title="Symbolon" \
  org.opencontainers.image.description="A self-hosted OpenID Connect provider" \
  org.opencontainers.image.licenses="MIT" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}" \
  org.opencontainers.image.source="${SOURCE}"
# Nobody installs anything in a running container.
RUN rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack /opt/yarn-* /usr/local/bin/yarn /usr/local/bin/yarnpkg
ENV NODE_ENV=production HOST=0.0.0.0 SYMBOLON_DATA_DIR=/data
WORKDIR /app
COPY --from=installed /app ./
RUN ln -s /app/dist/cli.js /usr/local/bin/symbolon && install -d -m 700 -o 1000 -g 1000 /data
# By number, so that Kubernetes can tell that it is not root (runAsNonRoot).
USER 1000:1000
VOLUME /data
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=12s --start-period=60s --retries=3 CMD ["symbolon", "status"]
CMD ["symbolon", "serve"]
