#!/usr/bin/env bash
# Finds Chromium for the browser tests of the live page and writes its path to the file $1. Root, as in CI, installs Debian's
# package if there is none, and fails if it can't. Anyone else gets an empty file, and the browser tests are skipped.
set -euo pipefail
mkdir -p "$(dirname "$1")"
installed() { command -v "${CHROMIUM:-chromium}" || command -v chromium-browser || command -v google-chrome || true; }
if [ -z "$(installed)" ] && [ "$(id -u)" = 0 ]; then
    echo "installing Debian's package chromium for the browser tests" >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get -o Acquire::Retries=3 update -qq && apt-get -o Acquire::Retries=3 install -qq --no-install-recommends chromium fonts-inter >/dev/null
    [ -n "$(installed)" ] || { echo "tests/chromium.sh: the package chromium has no program chromium" >&2; exit 1; }
fi
[ -n "$(installed)" ] || echo "note: the browser tests of the live page are skipped: install Chromium, or set CHROMIUM to its path, and delete $1" >&2
installed >"$1"
