FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json prisma.config.ts ./
COPY scripts scripts
COPY prisma prisma
# Without devDependencies, not by --omit=dev: that keeps Prisma's command-line tool, an optional peer of its client.
RUN npm ci && npm pkg delete devDependencies && npm prune --ignore-scripts

FROM node:24-bookworm-slim
WORKDIR /app
ENV NODE_ENV=production HOST=0.0.0.0 SYMBOLON_DATA_DIR=/data
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/src/generated src/generated
COPY package.json ./
COPY prisma prisma
COPY views views
COPY src src
RUN mkdir /data && chown node /data && ln -s /app/src/cli.ts /usr/local/bin/symbolon && chmod +x src/cli.ts
USER node
VOLUME /data
EXPOSE 3000
CMD ["symbolon", "serve"]
