# Holdfast without its development dependencies: no compiler, no tests, no
# embedded PostgreSQL (`holdfast demo` says so in here).
ARG NODE_VERSION=24

FROM node:${NODE_VERSION}-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
# Install scripts off: what the build needs has none worth running, and the
# embedded PostgreSQL's only prepares binaries that do not get into the image.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN npm run build --silent && npm prune --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:${NODE_VERSION}-slim
LABEL org.opencontainers.image.title="Holdfast" \
      org.opencontainers.image.description="A PostgreSQL wire-protocol proxy that checks, holds and measures statements before they reach production" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV NODE_ENV=production \
    HOLDFAST_ENVIRONMENT=production \
    HOLDFAST_UPSTREAM_HOST=postgres \
    HOLDFAST_UPSTREAM_PORT=5432
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY LICENSE ./
COPY config ./config
# The settings and the policy to replace with your own, by a mount on this folder.
COPY docker/holdfast.yaml config/policy.yaml /etc/holdfast/
# The audit log is the only thing that Holdfast writes.
RUN install -d -o node -g node -m 0750 /var/lib/holdfast
VOLUME /var/lib/holdfast
USER node
EXPOSE 6432 9432
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:9432/healthz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "dist/cli.js"]
CMD ["serve", "--config", "/etc/holdfast/holdfast.yaml"]
