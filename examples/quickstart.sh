#!/usr/bin/env bash
# Install audiorec into .venv, make a small demonstration library in demo/ and run the whole
# chain on it, on the CPU: bash examples/quickstart.sh
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }

step "Installing into .venv"
"${PYTHON:-python3}" -m venv .venv
.venv/bin/python -m pip install --disable-pip-version-check \
    --constraint tests/constraints.txt --editable . | sed '/already satisfied/d'
PATH="$PWD/.venv/bin:$PATH"

if [ ! -d demo ]; then
    step "audiorec demo demo: a simulated library and its simulated listeners"
    audiorec demo demo
fi
cd demo

step "audiorec mels ./audio out.h5: spectrograms of every track"
audiorec mels ./audio out.h5
step "audiorec factorize listens.tsv: latent factors of the tracks that were played"
audiorec factorize listens.tsv
step "audiorec train --epochs 40 --device cpu: the network learns factors from sound"
audiorec train --epochs 40 --device cpu
step "audiorec predict: factors of every track, played or not"
audiorec predict --device cpu

step 'audiorec similar "Juicy" -k 10: what the same people would like'
mkdir -p playlists
audiorec similar "Juicy" -k 10 -o playlists/similar-to-juicy.m3u8
step 'audiorec similar "Ancient Hammer": a new release that nobody has played'
audiorec similar "Ancient Hammer" -k 10 -o playlists/similar-to-ancient-hammer.m3u8
step "audiorec recommend listener-0007 -k 10: what a listener of the log would like, and has not heard"
audiorec recommend listener-0007 -k 10 -o playlists/for-listener-0007.m3u8
step 'audiorec audience "Ancient Hammer" -k 5: who would like the new release'
audiorec audience "Ancient Hammer" -k 5 --tracks 5
step "audiorec top-activations: what single units of the network hear"
audiorec top-activations --device cpu -k 5 -o playlists

step "audiorec filters: what the filters of the first convolution look like"
audiorec filters --device cpu
step "audiorec map: all tracks, by how they sound"
audiorec map
step "audiorec page page: the map, the filters and the sound, to open in a browser"
audiorec page page --device cpu

step "Playlists for any player are in demo/playlists, and the page is demo/page/index.html"
ls playlists
head -n 7 playlists/similar-to-juicy.m3u8
