#!/usr/bin/env bash
# Runs make targets that generate files in a copy of the work tree, and fails if the copy differs afterwards: by a file
# that changed, one that came, or one that went.
#
# Usage: hack/verify.sh TARGET...
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if (($# == 0)); then
  echo "usage: hack/verify.sh TARGET..." >&2
  exit 2
fi

copies=$(mktemp -d)
trap 'rm -rf "$copies"' EXIT
mkdir "$copies/before" "$copies/after"
# What git tracks or would track, as it is now: not what is ignored, and not what was deleted.
git ls-files -z --cached --others --exclude-standard |
  while IFS= read -r -d '' file; do
    if [[ -e $file ]]; then printf '%s\0' "$file"; fi
  done > "$copies/files"
for copy in before after; do
  tar --create --null --files-from "$copies/files" | tar --extract --directory "$copies/$copy"
done

make --no-print-directory --directory "$copies/after" "$@"

if ! diff --recursive --unified "$copies/before" "$copies/after"; then
  echo "not up to date; run 'make $*' and commit what changes" >&2
  exit 1
fi
echo "up to date: $*"
