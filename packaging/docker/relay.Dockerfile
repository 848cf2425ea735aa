# tandem alone, without a shell beside it. Build it from the top folder: docker build -f packaging/docker/relay.Dockerfile -t tandem .
# `make package` makes the same image of a program that is there already, with buildah, and needs no image of others.
FROM rust:1-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends cmake pkg-config libssl-dev
COPY . /source
WORKDIR /source
RUN cargo build --release --locked -p relay && packaging/docker/layout.sh target/release/tandem /image

FROM scratch
COPY --from=build /image /
# Capabilities, by the way that packets take (docs/performance.md; option data-path):
#   per-port    none: --cap-drop=ALL
#   hub         BPF to load the program that steers packets, NET_ADMIN to attach it, NET_RAW to send in batches. A user other than
#               root would not get them: --user 0 --cap-drop=ALL --cap-add=BPF --cap-add=NET_ADMIN --cap-add=NET_RAW
USER 65534:65534
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/tandem"]
CMD ["--config-file=/etc/tandem/tandem.conf", "--foreground", "--log-stderr"]
