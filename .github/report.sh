#!/usr/bin/env bash
# Makes the README's picture, .github/report.png: the report of the main job, as Chromium shows its beginning.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
dotnet run --project Scripts -c Release -- train --out "$work/models" --quiet
dotnet run --project Scripts -c Release --no-build -- report "$work/models/runs/lenet5-mnist-1" --to "$work/report.html" --quiet
chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$work/profile" --window-size=1280,1180 \
  --screenshot=.github/report.png "file://$work/report.html"
