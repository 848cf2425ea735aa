# A SIP phone that answers every call and says a tone: the PBX of the trial.
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends baresip-core && rm -rf /var/lib/apt/lists/*
ENTRYPOINT ["/usr/bin/baresip", "-f", "/phone"]
