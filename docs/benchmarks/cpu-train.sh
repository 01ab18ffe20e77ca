#!/usr/bin/env bash
# Training on two CPU cores, tiny models on clips of 2.5 s, and one row of a base model on 10 s: some minutes in all.
# Usage: docs/benchmarks/cpu-train.sh [FOLDER for the reports]
set -euo pipefail
out=${1:-docs/benchmarks/reports}
zoo="${PYTHON:-python} -m zoo"
mkdir -p "$out"
$zoo bench train --size tiny --batch 8 --seconds 2.5 --steps 1 --rounds 9 --threads 2 --device cpu --out "$out/cpu-tiny.json"
$zoo bench train ast --size base --batch 1 --seconds 10 --steps 1 --rounds 3 --threads 2 --device cpu --from log-mel \
    --out "$out/cpu-ast-base.json"
$zoo bench train passt ssast --size base --batch 2 --seconds 10 --steps 1 --rounds 3 --threads 2 --device cpu \
    --from log-mel --out "$out/cpu-base.json"
