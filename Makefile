# The commands of this project. Each one says what it does while it does it.
#
#   make demo                  six WhatsApp-style calls through Kamailio and tandem, measured
#   make demo RELAY=rtpengine  the same with Debian's rtpengine in place of tandem
#   make demo DEMO=playback    a WhatsApp user hears a prompt, presses keys, and is recorded: sound, packets, vCon
#   make demo DEMO=watch       calls that do not end, to look at: live page, Prometheus with our alerts; until Ctrl-C
#   make demo DEMO=watch FAULT=udp-blocked   the same with something wrong; docs/troubleshooting.md has the others
#   make demo PROXY=opensips   the first two through OpenSIPS, where it is (OPENSIPS= names it)
#   make test                  everything that can be tested, the demo's calls included
#   make test-interop          calls with a browser, aiortc and libopus; also with SUBJECT=rtpengine;
#                              and every request of the tables to rtpengine and to tandem, compared
#   make test-sip              every case of the SIP scripts: Kamailio, and OpenSIPS where it is (OPENSIPS= names it),
#                              with DTLS and SDES; WRITE=docs/sip-matrix.md writes it down, ARGUMENTS=--help tells more
#   make test-sip-load         50 calls a second for a minute through Kamailio and tandem: all heard, nothing left;
#                              PROXY=opensips puts OpenSIPS in Kamailio's place (OPENSIPS= names it)
#   make lint                  formatting, clippy, documentation, and the house rules
#   make fuzz                  what the network can reach, fed with damaged input, a minute each
#   make bench                 side by side with rtpengine, as ratios
#   make package               a Debian package in target/package

RELAY ?= tandem
DEMO ?= calls
PROXY ?= kamailio
export SUBJECT ?= tandem
TARGET := $(or $(CARGO_TARGET_DIR),target)
PACKAGES := $(if $(filter tandem,$(RELAY)),-p relay) -p simulator

.PHONY: help demo test test-sip test-sip-load test-interop lint fuzz bench package

help:
	@sed -n 's/^#   //p' Makefile

demo_calls = demo.py --relay $(RELAY) --proxy $(PROXY)
demo_playback = playback.py --proxy $(PROXY)
demo_watch = watch.py $(if $(FAULT),--fault $(FAULT))

demo:
	@tests/demo/install.sh $(if $(filter watch,$(DEMO)),watch,demo)
	@echo "building (the first time takes some minutes) ..."
	@cargo build $(PACKAGES)
	@python3 tests/demo/$(or $(demo_$(DEMO)),$(error there is no DEMO=$(DEMO))) --binaries $(TARGET)/debug

test:
	@.ci/test

test-sip:
	@tests/demo/install.sh test
	@cargo build -p relay -p simulator
	@python3 tests/kamailio/matrix.py --binaries $(TARGET)/debug $(if $(WRITE),--write $(WRITE)) $(ARGUMENTS)

test-sip-load:
	@tests/demo/install.sh test
	@cargo build --release -p relay -p simulator
	@python3 tests/kamailio/load.py --binaries $(TARGET)/release --proxy $(PROXY) $(ARGUMENTS)

test-interop:
	@tests/demo/install.sh test || echo "going on: calls whose peer is missing are skipped"
	@cargo build $(if $(filter tandem,$(SUBJECT)),-p relay) -p tests --bins
	@python3 tests/interop/interop.py
	@$(if $(filter tandem,$(SUBJECT)),python3 tests/interop/differential/differential.py)
	@$(if $(filter tandem,$(SUBJECT)),python3 tests/interop/quality.py)

lint:
	@.ci/lint

fuzz:
	@.ci/fuzz

bench:
	@.ci/bench

package:
	@packaging/package.sh $(ARGUMENTS)
