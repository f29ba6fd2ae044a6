#!/usr/bin/env bash
# Install what the tests need into .venv and run them all: bash tests/run.sh [pytest's options]
set -euo pipefail
cd "$(dirname "$0")/.."

"${PYTHON:-python3}" -m venv .venv
.venv/bin/python -m pip install --disable-pip-version-check \
    --constraint tests/constraints.txt --editable '.[test]' | sed '/already satisfied/d'

.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/python -m pytest "$@"
