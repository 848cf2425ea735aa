#!/bin/sh
# Lays out the whole file system of the relay's image: the program and the libraries that it is linked with. There is no shell in it,
# no package manager, nothing to update but the program.
#
# usage: layout.sh TANDEM FOLDER
set -eu
program=$1 folder=$2

mkdir -p "$folder/usr/bin" "$folder/etc/tandem" "$folder/tmp" "$folder/var/lib/tandem"
chmod 1777 "$folder/tmp"
chown 65534:65534 "$folder/var/lib/tandem"
install -m 755 "$program" "$folder/usr/bin/tandem"
strip --strip-unneeded "$folder/usr/bin/tandem" 2> /dev/null || true
# Every line with a path: libraries, and the loader that puts them together.
ldd "$program" | grep -o '/[^ ]*' | while read -r library; do
    install -D -m 755 "$(readlink -f "$library")" "$folder$library"
done
# Names for numbers; glibc resolves hosts without further files.
echo 'nobody:x:65534:65534:nobody:/:/nonexistent' > "$folder/etc/passwd"
echo 'nogroup:x:65534:' > "$folder/etc/group"
echo 'hosts: files dns' > "$folder/etc/nsswitch.conf"
