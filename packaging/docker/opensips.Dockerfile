# OpenSIPS with our routing, on OpenSIPS' own image, which knows where its modules come from. settings.cfg and the
# certificate are mounted by the compose files. For 4.0: --build-arg OPENSIPS=opensips/opensips:4.0
ARG OPENSIPS=opensips/opensips:3.6
FROM ${OPENSIPS}
RUN apt-get update \
    && apt-get install -y --no-install-recommends opensips-tls-module opensips-tls-openssl-module \
        opensips-http-modules opensips-prometheus-module ca-certificates openssl \
    && rm -rf /var/lib/apt/lists/*
COPY opensips-scripts/opensips.cfg opensips-scripts/check.sh /etc/opensips/
# In a container the log goes to standard error.
RUN sed -i -e 's/^stderror_enabled=no/stderror_enabled=yes/' -e 's/^syslog_enabled=yes/syslog_enabled=no/' /etc/opensips/opensips.cfg
# Calls outlive a restart here; the compose files mount a volume, which begins with these files.
COPY opensips-scripts/calls /var/lib/opensips/calls
ENTRYPOINT ["/bin/sh", "-c", "/etc/opensips/check.sh && exec opensips -F -f /etc/opensips/opensips.cfg"]
