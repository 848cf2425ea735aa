#!/bin/bash
# Installs the Debian packages that are missing, and nothing else.
# usage: install.sh demo|watch|test
#
# No daemon starts by itself: while packages are unpacked a policy-rc.d forbids it, and it goes
# away afterwards. Everything the demo runs it starts on its own, on loopback.
set -eu

build="build-essential cmake pkg-config libssl-dev"
demo="python3 openssl kamailio kamailio-tls-modules rtpengine-daemon baresip-core"
case "${1:-demo}" in
    demo) wanted="$build $demo" ;;
    watch) wanted="$build $demo prometheus" ;;
    test) wanted="$build $demo rtpengine-utils sip-tester chromium python3-venv ffmpeg opus-tools prometheus tcpdump debhelper lintian mandoc debootstrap systemd-container iproute2 buildah" ;;
    *) echo "usage: $0 demo|watch|test" >&2; exit 2 ;;
esac

missing=""
for package in $wanted; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

echo "Debian packages missing:$missing"
if [ "$(id -u)" != 0 ]; then
    cat >&2 <<EOF
Installing packages needs root. Please run once:

    sudo $(readlink -f "$0") ${1:-demo}

and then the same make command again; nothing else here needs root.
EOF
    exit 1
fi

policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' > $policy
    chmod +x $policy
    trap 'rm -f $policy' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
echo "installing (apt-get, a minute or two) ..."
apt-get -q update
# shellcheck disable=SC2086
apt-get -q install -y --no-install-recommends $missing
