# tandem alone, without a shell beside it. Build it from the top folder: docker build -f packaging/docker/relay.Dockerfile -t tandem .
# `make package` makes the same image of a program that is there already, with buildah, and needs no image of others.
FROM rust:1-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends cmake pkg-config libssl-dev
COPY . /source
WORKDIR /source
RUN cargo build --release --locked -p relay && packaging/docker/layout.sh target/release/tandem /image

FROM scratch
COPY --from=build /image /
# Capabilities, by the way that packets take: one socket for each media port (what is built today) needs none (--cap-drop=ALL).
USER 65534:65534
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/tandem"]
CMD ["--config-file=/etc/tandem/tandem.conf", "--foreground", "--log-stderr"]
