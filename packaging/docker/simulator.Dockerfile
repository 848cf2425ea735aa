# The simulator, which plays Meta. Build it from the top folder.
FROM rust:1-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends cmake pkg-config libssl-dev
COPY . /source
WORKDIR /source
RUN cargo build --release --locked -p simulator

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends libssl3 && rm -rf /var/lib/apt/lists/*
COPY --from=build /source/target/release/simulator /usr/bin/simulator
ENTRYPOINT ["/usr/bin/simulator"]
