#!/bin/sh
# Run a command where a Debian package is installed that the machine itself cannot have: mail servers exclude each other.
# A layer is a folder over the machine's root, seen by the command and by what it starts, and by no other process.
# Usage: layer.sh install|run LAYER COMMAND...   What "install" changes is kept in the layer; what "run" changes is not.
set -eu
mkdir -p "$2/upper" "$2/work" "$2/root" "$2/run"
exec unshare --mount --uts sh -euc '
mode=$1 layer=$2 upper=$2/upper work=$2/work
shift 2
if [ "$mode" = run ]; then
    mount -t tmpfs tmpfs "$layer/run"
    cp -a "$upper" "$layer/run/upper"
    mkdir "$layer/run/work"
    upper=$layer/run/upper work=$layer/run/work
    # A name that the server finds: Sendmail waits a minute for one.
    hostname mta.example
    mkdir -p "$upper/etc"
    echo "127.0.0.1 localhost mta.example" >"$upper/etc/hosts"
fi
mount -t overlay overlay -o "lowerdir=/,upperdir=$upper,workdir=$work" "$layer/root"
for shared in /proc /dev /sys /tmp; do mount --rbind "$shared" "$layer/root$shared"; done
exec chroot "$layer/root" "$@"
' sh "$@"
