#!/usr/bin/env bash
# Fetches the binary of a release for this machine: packaging/fetch.sh RELEASE_URL VERSION FOLDER. The archive must have the checksum that the
# release names, or the one in SHA256.
set -euo pipefail

release=$1 version=$2 folder=$3
case $(uname -s)/$(uname -m) in
    Linux/x86_64) target=x86_64-unknown-linux-musl ;;
    Linux/aarch64) target=aarch64-unknown-linux-musl ;;
    Darwin/x86_64) target=x86_64-apple-darwin ;;
    Darwin/arm64) target=aarch64-apple-darwin ;;
    *) echo "error: no release for $(uname -s) on $(uname -m); build it: cargo install --locked judge-run" >&2; exit 1 ;;
esac
name=judge-run-$target-v$version
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

curl -fsSL --retry 3 -o "$work/archive" "$release/$name.tar.gz"
expected=${SHA256:-$(curl -fsSL --retry 3 "$release/$name.tar.gz.sha256" | cut -d ' ' -f 1)}
if command -v sha256sum >/dev/null; then found=$(sha256sum "$work/archive"); else found=$(shasum -a 256 "$work/archive"); fi
if [ "${found%% *}" != "$expected" ]; then
    echo "error: $name.tar.gz has the checksum ${found%% *}, expected $expected" >&2
    exit 1
fi
tar -C "$work" -xzf "$work/archive"
mkdir -p "$folder"
mv "$work/$name/judge-run" "$folder/judge-run"
