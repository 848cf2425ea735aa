#!/bin/bash
# Builds the Debian package, and the container image where there is something to build it with.
#
# usage: package.sh [--binary TANDEM] [--version VERSION] [--out FOLDER] [--no-image]
#
# Without --binary the program is built (cargo, with optimisation). The version is Cargo.toml's.
set -eu
cd "$(dirname "$0")/.."

binary="" image=yes
out=${CARGO_TARGET_DIR:-target}/package
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
while [ $# -gt 0 ]; do
    case $1 in
        --binary) binary=$2; shift 2 ;;
        --version) version=$2; shift 2 ;;
        --out) out=$2; shift 2 ;;
        --no-image) image=no; shift ;;
        *) sed -n '2,6s/^# \?//p' "$0" >&2; exit 2 ;;
    esac
done

if ! command -v dh > /dev/null; then
    echo "package: skipped, there is no debhelper here (apt-get install debhelper)" >&2
    exit 0
fi
if [ -z "$binary" ]; then
    echo "building with optimisation (the first time takes some minutes) ..."
    cargo build --release --locked -p relay
    binary=${CARGO_TARGET_DIR:-target}/release/tandem
fi

# A folder of its own, so that nothing is written beside the sources.
mkdir -p "$out"
out=$(cd "$out" && pwd)
tree=$out/tandem-$version
rm -rf "$tree"
mkdir -p "$tree/target/release"
cp -a Cargo.toml CHANGELOG.md LICENSE-MIT README.md SECURITY.md docs grafana kamailio-scripts opensips-scripts packaging "$tree"
find "$tree" -name __pycache__ -prune -exec rm -rf {} +
mv "$tree/packaging/debian" "$tree/debian"
cp "$binary" "$tree/target/release/tandem"

# One place for the version, and one for what has changed. The date is that of the last commit: the same sources give the same package.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2> /dev/null || stat -c %Y Cargo.toml)
export SOURCE_DATE_EPOCH
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
