# tandem alone. Build it from the top folder: docker build -f packaging/docker/relay.Dockerfile -t tandem .
FROM rust:1-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends cmake pkg-config libssl-dev
COPY . /source
WORKDIR /source
RUN cargo build --release --locked -p relay

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends libssl3 && rm -rf /var/lib/apt/lists/*
COPY --from=build /source/target/release/tandem /usr/bin/tandem
USER nobody
ENTRYPOINT ["/usr/bin/tandem", "--config-file=/etc/tandem/tandem.conf", "--foreground", "--log-stderr"]
