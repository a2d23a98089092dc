#!/usr/bin/env bash
# Unpacks Debian's Rust, its standard library for arm64, and an arm64 emulator into .tools/arm64, for machines whose own Rust
# can't install that library. apt reads the machine's own sources, but keeps its lists and packages in that folder. Nothing is
# installed, and root isn't needed. Creates:
#   rustc  the compiler, to set RUSTC to
#   run    runs an arm64 program
set -euo pipefail
cd "$(dirname "$0")/.."
here=$PWD/.tools/arm64
root=$here/root
rm -rf "$here"
mkdir -p "$here"/{state,lists/partial,cache/archives/partial,arm64} "$root"
# Tells apt which packages are installed, so that it unpacks only what the machine lacks.
cp "$(apt-config shell status Dir::State::status/f | cut -d"'" -f2)" "$here/state/status"
cat >"$here/apt.conf" <<CONF
APT::Architectures { "$(dpkg --print-architecture)"; "arm64"; };
APT::Sandbox::User "root";
Debug::NoLocking "true";
Dir::State "$here/state";
Dir::State::status "$here/state/status";
Dir::State::lists "$here/lists";
Dir::Cache "$here/cache";
CONF
export APT_CONFIG=$here/apt.conf

apt-get -qq update
apt-get -qq install --yes --download-only --reinstall --no-install-recommends rustc-web libstd-rust-web-dev qemu-user-static >&2
(cd "$here/arm64" && apt-get -qq download libstd-rust-web-dev:arm64 libc6:arm64 libgcc-s1:arm64)
for package in "$here"/cache/archives/*.deb "$here"/arm64/*.deb; do
    case $package in
    # Only one of its 30 emulators is needed.
    */qemu-user-static_*) dpkg-deb --fsys-tarfile "$package" | tar -x -C "$root" ./usr/bin/qemu-aarch64-static ;;
    *) dpkg-deb --extract "$package" "$root" ;;
    esac
done
rm -r "$here"/{state,lists,cache,arm64}

cat >"$here/run" <<RUN
#!/bin/sh
exec $root/usr/bin/qemu-aarch64-static -L $root "\$@"
RUN
# Written last, because its existence means that everything is in place.
cat >"$here/rustc" <<RUSTC
#!/bin/sh
LD_LIBRARY_PATH=$root/usr/lib/$(uname -m)-linux-gnu exec $root/usr/bin/rustc "\$@"
RUSTC
chmod +x "$here/rustc" "$here/run"
"$here/rustc" --version
"$root/usr/bin/qemu-aarch64-static" --version | head -1
