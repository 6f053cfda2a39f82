#!/usr/bin/env bash
# Packs a binary for a release: packaging/archive.sh TARGET BINARY FOLDER leaves judge-run-TARGET-vVERSION.tar.gz and its .sha256 there.
set -euo pipefail

target=$1 binary=$2 out=$3
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)
name=judge-run-$target-v$version

mkdir -p "$out/$name"
cp "$binary" "$root/README.md" "$root/CHANGELOG.md" "$root/LICENSE-APACHE" "$root/LICENSE-MIT" "$out/$name"
tar -C "$out" -czf "$out/$name.tar.gz" "$name"
rm -r "${out:?}/$name"
cd "$out"
# macOS has shasum alone.
if command -v sha256sum >/dev/null; then sha256sum "$name.tar.gz"; else shasum -a 256 "$name.tar.gz"; fi >"$name.tar.gz.sha256"
echo "$name.tar.gz"
