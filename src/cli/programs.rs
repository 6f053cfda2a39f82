//! Judges that are programs: whether they may run, and which environment variables they see.

use std::time::Duration;

use judge_run::endpoint::program::ProgramConfig;
use judge_run::judge::{CommandTable, Judge, JudgeKind};
use judge_run::run::JudgePlan;

use super::environment::Env;
use super::error::CliError;

/// Variables that programs need to work at all, and that hold no secrets.
const HARMLESS: [&str; 15] = [
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "USER",
    "VIRTUAL_ENV",
    "SYSTEMROOT",
    "WINDIR",
    "USERPROFILE",
    "APPDATA",
    "TEMP",
    "TMP",
];

/// A judge file may come from someone else, so its program runs only where that is allowed.
pub(crate) fn allowed(judges: &[JudgePlan], is_allowed: bool) -> Result<(), CliError> {
    match judges.iter().find(|judge| judge.kind == JudgeKind::Command && !is_allowed) {
        None => Ok(()),
        Some(judge) => Err(CliError::usage_with_hint(
            format_args!("the judge `{}` runs a program, which is not allowed", judge.name),
            "read its [command], then allow it with `--allow-commands`, or `allow_commands = true` in judge-run.toml",
        )),
    }
}

/// How to run a judge's program; `None` for other judges.
pub(crate) fn config(judge: &Judge, env: Env<'_>) -> Result<Option<ProgramConfig>, CliError> {
    let Some(CommandTable { run, env: named, processes, timeout }) = judge.command() else { return Ok(None) };
    let mut seen = Vec::new();
    for name in HARMLESS {
        seen.extend(env(name).map(|value| (name.to_owned(), value)));
    }
    for name in named {
        let value = env(name).ok_or_else(|| {
            CliError::usage(format_args!(
                "the environment variable {name}, which the judge `{}` needs, is not set",
                judge.name
            ))
        })?;
        seen.push((name.clone(), value));
    }
    Ok(Some(ProgramConfig {
        source_id: JudgeKind::Command.uri(&judge.name).to_string(),
        argv: run.clone(),
        env: seen,
        processes: processes.get(),
        timeout: Duration::from_secs_f64(*timeout),
    }))
}
