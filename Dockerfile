# selm with its engine, for processors alone:
#
#   docker build -t selm .
#   docker run --rm -it -v "$PWD:/work" selm train recipe.yaml
#
# Runs and models lie in /work; models from the Hub in /cache, which is worth a volume of its own (-v selm-cache:/cache).
FROM node:22-bookworm-slim

# The tools that scripts/setup.mjs looks for. Versions are those of Debian 12, which the image's name pins.
# hadolint ignore=DL3008
RUN apt-get update \
  && apt-get install -y --no-install-recommends cmake g++ ninja-build python3 python3-pip \
  && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/selm
ENV XDG_CACHE_HOME=/opt/selm-cache
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --no-audit --no-fund
COPY . .
# Built for all processors of this kind: an image is not run where it is built. The set-up then bundles the studio's pages.
ENV SELM_ENGINE=/opt/selm/build/portable
RUN bin/selm engine install --variant portable && node scripts/setup.mjs

RUN mkdir /work /cache && chown node:node /work /cache
# The user `node` of the image.
USER 1000
ENV XDG_CACHE_HOME=/cache HF_HOME=/cache/huggingface
WORKDIR /work
ENTRYPOINT ["/opt/selm/bin/selm"]
CMD ["--help"]
