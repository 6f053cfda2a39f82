# The formula of a tap; packaging/homebrew.sh fills in the version, the address and the checksums.
class JudgeRun < Formula
  desc "Judge recorded traces of GenAI applications with LLM judges, in batches"
  homepage "@REPOSITORY@"
  version "@VERSION@"
  license any_of: ["MIT", "Apache-2.0"]

  on_macos do
    on_arm do
      url "@REPOSITORY@/releases/download/v@VERSION@/judge-run-aarch64-apple-darwin-v@VERSION@.tar.gz"
      sha256 "@aarch64-apple-darwin@"
    end
    on_intel do
      url "@REPOSITORY@/releases/download/v@VERSION@/judge-run-x86_64-apple-darwin-v@VERSION@.tar.gz"
      sha256 "@x86_64-apple-darwin@"
    end
  end

  on_linux do
    on_arm do
      url "@REPOSITORY@/releases/download/v@VERSION@/judge-run-aarch64-unknown-linux-musl-v@VERSION@.tar.gz"
      sha256 "@aarch64-unknown-linux-musl@"
    end
    on_intel do
      url "@REPOSITORY@/releases/download/v@VERSION@/judge-run-x86_64-unknown-linux-musl-v@VERSION@.tar.gz"
      sha256 "@x86_64-unknown-linux-musl@"
    end
  end

  def install
    bin.install "judge-run"
    generate_completions_from_executable(bin/"judge-run", "completions")
    (man1/"judge-run.1").write Utils.safe_popen_read(bin/"judge-run", "man")
  end

  test do
    system bin/"judge-run", "--dataset", "quickstart", "--judge", "safety", "--simulate"
    assert_equal 25, File.readlines("quickstart.feedback.jsonl").size
  end
end
