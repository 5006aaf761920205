# One small image with the binary, for every role. It needs nothing of BuildKit's.

FROM rust:1.95-bookworm AS build
WORKDIR /src
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libjemalloc2 \
 && rm -rf /var/lib/apt/lists/*
ENV CARGO_PROFILE_RELEASE_DEBUG=none \
    CARGO_PROFILE_RELEASE_STRIP=symbols

# The dependencies alone, on empty sources: this layer lasts until a manifest changes.
COPY Cargo.toml Cargo.lock ./
COPY protocol/Cargo.toml protocol/
COPY core/Cargo.toml core/
COPY link/Cargo.toml link/
COPY isolation/Cargo.toml isolation/
COPY client/Cargo.toml client/
COPY worker/Cargo.toml worker/
COPY distributor/Cargo.toml distributor/
COPY simple-dist/Cargo.toml simple-dist/
COPY broker/Cargo.toml broker/
COPY demo/Cargo.toml demo/
COPY cli/Cargo.toml cli/
COPY e2e/Cargo.toml e2e/
RUN for crate in */; do mkdir "$crate/src" && touch "$crate/src/lib.rs"; done \
 && mv cli/src/lib.rs cli/src/main.rs && echo 'fn main() {}' >cli/src/main.rs \
 && cargo build --release --locked --package simple-dist-cli

# The sources, made newer than what was built of the empty ones.
COPY . .
RUN find . -name '*.rs' -exec touch {} + \
 && cargo build --release --locked --package simple-dist-cli


FROM debian:bookworm-slim
ARG REVISION=unknown
LABEL org.opencontainers.image.title="simple-dist" \
      org.opencontainers.image.description="Run pure functions on other machines; every call returns" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.revision="$REVISION"

# `setup` writes below /credentials: a volume that is mounted there takes over this owner. RabbitMQ's
# is for the group too, which its container is given.
RUN groupadd --gid 10001 simple-dist \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir / --shell /usr/sbin/nologin simple-dist \
 && install --directory --owner 10001 --group 10001 --mode 0700 \
      /credentials/distributor /credentials/worker /credentials/client \
 && install --directory --owner 10001 --group 10001 --mode 0750 /credentials/rabbitmq

# For brokers whose certificate a public authority has signed
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /src/target/release/simple-dist /usr/local/bin/

# It takes less time than the C library's allocator, and gives back to the system what is free.
COPY --from=build /usr/lib/*-linux-gnu/libjemalloc.so.2 /usr/local/lib/
ENV LD_PRELOAD=/usr/local/lib/libjemalloc.so.2

USER 10001:10001
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
  CMD ["simple-dist", "healthcheck"]
ENTRYPOINT ["simple-dist"]
CMD ["--help"]
