//! The command line of judge-run: parse, dispatch, exit code; nothing else.

mod cli;

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// One thread frees what another allocates: a trace's prompt, an answer's record. Most systems' allocators take a lock for that.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
