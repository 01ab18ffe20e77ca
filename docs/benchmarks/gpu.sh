#!/usr/bin/env bash
# Everything about training that needs a GPU: its tests, then `zoo bench train` of the three base families in bf16,
# compiled, for a row of batch sizes, beside the peers; reports as JSON and one table of them all.
#
# Usage: docs/benchmarks/gpu.sh [FOLDER for the reports, docs/benchmarks/gpu without]
#   pip install -e '.[peers,dev]' before. PYTHON, AUDIO (a folder or manifest; made-up notes without), BATCHES_AST,
#   BATCHES_SSAST, BATCHES_PASST, ROUNDS, STEPS and WORKERS can be set. About an hour: most of it is torch.compile.
set -uo pipefail
out=${1:-docs/benchmarks/gpu}
python=${PYTHON:-python}
mkdir -p "$out"

"$python" -m pytest -m gpu tests 2>&1 | tee "$out/tests.txt"

race() { # family, batch, origin, further words
    local family=$1 batch=$2 origin=$3
    shift 3
    "$python" -m zoo bench train "$family" --size base --seconds 10 --precision bf16 --compile --device cuda \
        --batch "$batch" --from "$origin" --rounds "${ROUNDS:-5}" --steps "${STEPS:-20}" "$@" \
        --out "$out/$family-$origin-$batch.json" || echo "$family of $batch clips from $origin: not measured" >&2
}

audio=()
if [ -n "${AUDIO:-}" ]; then audio=(--audio "$AUDIO"); fi
if [ -n "${WORKERS:-}" ]; then audio+=(--workers "$WORKERS"); fi

# The model step alone. A batch that does not fit ends with one line, and the next one is tried.
for batch in ${BATCHES_AST:-32 64 128}; do race ast "$batch" log-mel; done
for batch in ${BATCHES_SSAST:-64 128 256}; do race ssast "$batch" log-mel; done
for batch in ${BATCHES_PASST:-64 128 256}; do race passt "$batch" log-mel; done

# From waveforms, where loading has to keep up: more steps, so that starting an epoch does not count.
for family in ast ssast passt; do
    STEPS=${WAVEFORM_STEPS:-50} race "$family" 64 waveform "${audio[@]}"
done

# The pretext task in every way, in a folder of its own.
for batch in ${BATCHES_SSAST:-64 128 256}; do
    "$python" -m zoo bench pretext patch frame --size base --frames 1024 --precision bf16 --compile --device cuda \
        --batch "$batch" --rounds "${ROUNDS:-5}" --steps "${STEPS:-20}" --out "$out/pretext/$batch.json" ||
        echo "pretext of $batch clips: not measured" >&2
done

"$python" - "$out" <<'TABLE' | tee "$out/table.md"
import json, pathlib, sys

print("| family | from | batch | way | clips/s | to peer | TFLOP/s | of the matrix product | peak GiB | waiting |")
print("|---|---|---|---|---|---|---|---|---|---|")
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.json")):
    report = json.loads(path.read_text())
    for row in report["rows"]:
        for way, found in row["ways"].items():
            ratio, wait = row["ratios"].get(way), found["waiting_share"]
            low, high = found["clips_per_second_spread"]
            cells = [
                row["family"], row["from"], report["batch"], way,
                f"{found['clips_per_second']:.0f} ({low:.0f}–{high:.0f})",
                "–" if ratio is None else f"{ratio:.2f}×",
                f"{found['tflops']:.0f}", f"{found['utilisation']:.0%}", f"{found['step_mib'] / 1024:.1f}",
                "–" if wait is None else f"{wait:.1%}",
            ]
            print("| " + " | ".join(map(str, cells)) + " |")
TABLE
