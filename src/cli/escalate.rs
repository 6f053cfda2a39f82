//! `--escalate-to`: once the first votes are in, the deciding model is asked about what they leave open.

use judge_run::run::{Exit, RunReport, Scope};

use super::environment::Env;
use super::error::CliError;
use super::print::counted;
use super::rerun::First;
use super::run_args::RunArgs;
use super::{conduct, open, plan, print};

/// Asks the deciding model, if there is anything to decide. `None` if there is not, or the run is to end.
pub(crate) fn decide(first: &First, report: &RunReport, env: Env<'_>) -> Result<Option<RunReport>, CliError> {
    let Some(model) = &first.args.panel.escalate_to else { return Ok(None) };
    // A name that begins like this would mean a file of ids.
    let traces = report.summary.panels.iter().flat_map(|panel| &panel.escalated).filter(|id| !id.starts_with('@'));
    let mut traces: Vec<_> = traces.cloned().collect();
    traces.sort_unstable();
    traces.dedup();
    if traces.is_empty() || report.stop.is_some() {
        return Ok(None);
    }
    if !first.args.conduct.quiet {
        print::message(format_args!("the votes leave {} open: asking {model}", counted(traces.len() as u64, "trace")));
    }
    let args = RunArgs { overwrite: false, ..first.args.clone() };
    let (planned, invocation) = plan::of_run(args, Some(traces), env)?;
    let opened = open::prepare(planned, env)?.begin(&invocation, Scope::All, None)?;
    conduct::execute(opened, &mut |_| ()).map(Some)
}

/// The exit code of both runs: what ended the first takes precedence over the result of the second.
pub(crate) fn exit(first: Exit, last: Exit) -> Exit {
    match (first, last) {
        (Exit::SomeFailed, Exit::AllJudged) | (Exit::Stopped | Exit::Interrupted, _) => first,
        (_, last) => last,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_at_first_is_not_forgotten() {
        assert_eq!(exit(Exit::SomeFailed, Exit::AllJudged), Exit::SomeFailed);
        assert_eq!(exit(Exit::SomeFailed, Exit::GateFailed), Exit::GateFailed);
        assert_eq!(exit(Exit::Stopped, Exit::AllJudged), Exit::Stopped);
        assert_eq!(exit(Exit::AllJudged, Exit::Stopped), Exit::Stopped);
    }
}
