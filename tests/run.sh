#!/usr/bin/env bash
# Install what the tests need into .venv and run them all: bash tests/run.sh [pytest's options]
set -euo pipefail
cd "$(dirname "$0")/.."

# a browser for the pages and a player for the playlists, where this machine lets us install them;
# the tests that need them say so and skip where they are missing
missing=()
[ -x /usr/bin/chromium ] || missing+=(chromium)
command -v mpv > /dev/null || missing+=(mpv)
if [ ${#missing[@]} -gt 0 ] && [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    apt-get update -qq || true
    for package in "${missing[@]}"; do
        DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$package" \
            > /dev/null || echo "$package cannot be installed here" >&2
    done
fi

"${PYTHON:-python3}" -m venv .venv
.venv/bin/python -m pip install --disable-pip-version-check \
    --constraint tests/constraints.txt --editable '.[test]' | sed '/already satisfied/d'

.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/python -m pytest "$@"
