//! `judge-run serve-feedback`: accepts feedback from applications until Ctrl-C.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use judge_run::intake::{Access, Counter, Intake};
use judge_run_web::{Hosts, Limits};

use super::error::CliError;
use super::servers::{ServeFeedbackArgs, TOKENS, bind, stop_signal};
use super::{log_hints, print};

/// Connections at a time. Each may hold one body.
const CONNECTIONS: usize = 256;

pub(crate) fn main(args: ServeFeedbackArgs) -> Result<ExitCode, CliError> {
    let ServeFeedbackArgs { log, listen, tokens, cors, rate_limit, max_body_bytes } = args;
    let (place, lines) = match (&tokens, std::env::var(TOKENS)) {
        (Some(file), _) => {
            let lines = std::fs::read_to_string(file)
                .map_err(|error| CliError::usage(format_args!("cannot read `{}`", file.display())).because(&error))?;
            (format!("`{}`", file.display()), lines)
        }
        (None, Ok(lines)) => (TOKENS.to_owned(), lines),
        (None, Err(_)) => (TOKENS.to_owned(), String::new()),
    };
    let is_open = cors.iter().any(|origin| origin == "*");
    let access = Access::new(&lines, cors, rate_limit).map_err(|error| {
        CliError::usage(format_args!("invalid tokens in {place}: {error}"))
            .hint("expected one application per line: `NAME TOKEN`, or `NAME TOKEN post-only`")
    })?;
    if !access.is_restricted() && (!listen.ip().is_loopback() || is_open || tokens.is_some()) {
        let why = match (tokens, is_open) {
            (Some(file), _) => format!("no tokens in `{}`", file.display()),
            (None, true) => "without tokens, any web page could post".to_owned(),
            (None, false) => format!("without tokens, anyone who can reach {} could post", listen.ip()),
        };
        return Err(CliError::usage_with_hint(
            why,
            "name a file with `--tokens`; `judge-run serve-feedback --help` shows its form",
        ));
    }
    let (counter, closed) = Counter::start(&log).map_err(|error| log_hints::cannot_open(&error))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let limits = Limits { max_body: max_body_bytes, connections: CONNECTIONS, ..Limits::default() };
        let server = bind(listen, limits).await?;
        let address = server.local_addr();
        let stop = stop_signal()?;
        writeln!(std::io::stdout().lock(), "http://{address}")?;
        print::message(format_args!(
            "accepting feedback into {}; stop with Ctrl-C.",
            print::one_line(&log.display().to_string())
        ));
        let hosts = Hosts::of(address, &[]);
        let intake = Arc::new(Intake { access, hosts, listening: address.ip(), max_body: max_body_bytes, counter });
        server.serve(move |request| Arc::clone(&intake).answer(request), stop).await?;
        Ok::<_, CliError>(())
    })?;
    // Connections that took too long to end may still hold the counter; they end with the runtime.
    drop(runtime);
    closed.wait();
    Ok(ExitCode::SUCCESS)
}
