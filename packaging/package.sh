#!/bin/bash
# Builds the Debian package, and the container image where there is something to build it with.
#
# usage: package.sh [--binary TANDEM] [--version VERSION] [--out FOLDER] [--only debian|image]
#
# Without --binary the program is built (cargo, with optimisation). The version is Cargo.toml's.
set -eu
cd "$(dirname "$0")/.."

binary="" only=""
out=${CARGO_TARGET_DIR:-target}/package
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
while [ $# -gt 0 ]; do
    case $1 in
        --binary) binary=$2; shift 2 ;;
        --version) version=$2; shift 2 ;;
        --out) out=$2; shift 2 ;;
        --only) only=$2; shift 2 ;;
        *) sed -n '2,6s/^# \?//p' "$0" >&2; exit 2 ;;
    esac
done

if [ -z "$binary" ]; then
    echo "building with optimisation (the first time takes some minutes) ..."
    cargo build --release --locked -p relay
    binary=${CARGO_TARGET_DIR:-target}/release/tandem
fi

mkdir -p "$out"
out=$(cd "$out" && pwd)
binary=$(readlink -f "$binary")

debian_package() {
    if ! command -v dh > /dev/null; then
        echo "Debian package: skipped, there is no debhelper here (apt-get install debhelper)" >&2
        return
    fi
    # A folder of its own, so that nothing is written beside the sources.
    local tree=$out/tandem-$version
    rm -rf "$tree"
    mkdir -p "$tree/target/release"
    cp -a Cargo.toml CHANGELOG.md LICENSE-MIT README.md SECURITY.md docs grafana kamailio-scripts opensips-scripts packaging "$tree"
    find "$tree" -name __pycache__ -prune -exec rm -rf {} +
    mv "$tree/packaging/debian" "$tree/debian"
    cp "$binary" "$tree/target/release/tandem"

    # One place for the version, and one for what has changed. The date is that of the last commit: the same sources give the same package.
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2> /dev/null || stat -c %Y Cargo.toml)
    export SOURCE_DATE_EPOCH
    local maintainer
    maintainer=$(sed -n 's/^Maintainer: //p' packaging/debian/control)
    cat > "$tree/debian/changelog" <<CHANGES
tandem ($version-1) stable; urgency=medium

  * What has changed is in /usr/share/doc/tandem/changelog.gz.

 -- $maintainer  $(date -R -u -d "@$SOURCE_DATE_EPOCH")
CHANGES

    echo "building the Debian package ..."
    (cd "$tree" && dpkg-buildpackage --build=binary --no-sign --no-check-builddeps > "$out/dpkg-buildpackage.log" 2>&1) || {
        tail -n 30 "$out/dpkg-buildpackage.log" >&2
        exit 1
    }
    rm -rf "$tree"
    ls -sh "$out"/tandem_"$version"-1_*.deb
}

# The same image as docker/relay.Dockerfile's, from a program that is there, without the images of others.
container_image() {
    if ! command -v buildah > /dev/null; then
        echo "container image: skipped, there is no buildah here (apt-get install buildah; or docker build, see packaging/docker/relay.Dockerfile)" >&2
        return
    fi
    echo "building the container image ..."
    local layout=$out/image container
    rm -rf "$layout"
    packaging/docker/layout.sh "$binary" "$layout"
    container=$(buildah from scratch)
    buildah copy --quiet "$container" "$layout" / > /dev/null
    buildah config --user 65534:65534 --stop-signal SIGTERM --entrypoint '["/usr/bin/tandem"]' \
        --cmd '--config-file=/etc/tandem/tandem.conf --foreground --log-stderr' "$container"
    buildah commit --quiet --rm "$container" "tandem:$version" > /dev/null
    rm -rf "$layout"
    echo "tandem:$version, $(buildah images --format '{{.Size}}' "tandem:$version")"
}

[ "$only" = image ] || debian_package
[ "$only" = debian ] || container_image
