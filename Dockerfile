FROM node:24-bookworm-slim AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The image brings Node itself: the development packages, the `node` package among them, stay out.
RUN npm ci --omit=dev && npm cache clean --force

FROM node:24-bookworm-slim
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8080 DATA_DIR=/data
WORKDIR /app
# All of it belongs to root: the program cannot change itself, whether its file system can be written or not.
COPY --from=packages /app/node_modules node_modules
COPY package.json ./
COPY contracts contracts
COPY config config
COPY adapters adapters
COPY gateway gateway
# Nothing here needs the rights of another user, and nothing is installed later.
RUN mkdir --mode=0700 /data && chown node:node /data \
  && find / -xdev -perm /6000 -type f -exec chmod a-s {} + \
  && rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack /opt/yarn* /usr/local/bin/yarn*
# By number, so that whoever runs it can see that it is not root.
USER 1000:1000
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/readyz`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "gateway/main.ts"]
