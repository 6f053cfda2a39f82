#!/usr/bin/env bash
# Writes the Homebrew formula of a release to standard output: packaging/homebrew.sh REPOSITORY_URL FOLDER, which has the archives' .sha256 files.
set -euo pipefail

repository=$1 folder=$2
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)
formula=$(<"$root/packaging/homebrew.rb")
formula=${formula//@REPOSITORY@/$repository}
formula=${formula//@VERSION@/$version}
for target in {aarch64,x86_64}-{apple-darwin,unknown-linux-musl}; do
    checksum=$(cut -d ' ' -f 1 "$folder/judge-run-$target-v$version.tar.gz.sha256")
    formula=${formula//@$target@/$checksum}
done
printf '%s\n' "$formula" | sed '1d'
