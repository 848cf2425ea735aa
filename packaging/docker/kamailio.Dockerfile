# Kamailio from Debian with our routing. settings.cfg, tls.cfg and the certificate are mounted by compose.yaml.
# netbase names the protocols: without it Kamailio cannot switch off delays (Nagle) on its TCP sockets.
FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends kamailio kamailio-tls-modules netbase ca-certificates openssl \
    && rm -rf /var/lib/apt/lists/*
COPY kamailio-scripts/kamailio.cfg kamailio-scripts/check.sh /etc/kamailio/
# 60 kB of shared memory for each TLS connection; -E: the log goes to standard error.
ENTRYPOINT ["/bin/sh", "-c", "/etc/kamailio/check.sh --at-start; exec kamailio -DD -E -m 256 -M 16 -f /etc/kamailio/kamailio.cfg"]
