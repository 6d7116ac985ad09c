#!/bin/sh
# Makes sure that a Chromium for the browser tests is there, installing one where that is possible.
# Under CI a missing browser is a failure; elsewhere the browser tests are skipped with the reason.
set -u
for name in chromium chromium-browser google-chrome google-chrome-stable; do
  command -v "$name" >/dev/null 2>&1 && exit 0
done
[ -n "${ASSAY_CHROMIUM:-}" ] && [ -x "$ASSAY_CHROMIUM" ] && exit 0
echo "No Chromium found for the browser tests; installing one."
sudo=""
[ "$(id -u)" = 0 ] || { command -v sudo >/dev/null 2>&1 && sudo="sudo -n"; }
if command -v apt-get >/dev/null 2>&1 && { [ "$(id -u)" = 0 ] || [ -n "$sudo" ]; }; then
  $sudo apt-get update -qq >/dev/null 2>&1
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq chromium >/dev/null 2>&1 && exit 0
fi
"${PYTHON:-python3}" -m playwright install chromium >/dev/null 2>&1 && exit 0
if [ -n "${CI:-}" ]; then
  echo "No Chromium could be installed, and under CI the browser tests must run." >&2
  exit 1
fi
echo "No Chromium could be installed: the browser tests will be skipped."
