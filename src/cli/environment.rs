//! The environment: how variables are looked up, and those that a file adds.

use std::ffi::OsString;
use std::path::Path;

use super::error::CliError;

/// Looks up variables of the environment.
pub(crate) type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Loads the variables of `--env-file` before flags are read, since flags have variables too.
pub(crate) fn load_env_file(args: impl Iterator<Item = OsString>) -> Result<(), CliError> {
    let mut args = args.skip(1);
    let mut path = std::env::var_os("JUDGE_RUN_ENV_FILE");
    while let Some(arg) = args.next() {
        if arg == "--env-file" {
            path = args.next();
        } else if let Some(value) = arg.to_str().and_then(|arg| arg.strip_prefix("--env-file=")) {
            path = Some(value.into());
        }
    }
    path.filter(|path| !path.is_empty()).map_or(Ok(()), |path| load_variables(Path::new(&path)))
}

/// Loads the variables of a file; those already set win.
pub(crate) fn load_variables(path: &Path) -> Result<(), CliError> {
    let cannot_use = || CliError::usage(format_args!("cannot use the environment file `{}`", path.display()));
    dotenvy::from_path(path).map_err(|error| match error {
        // The line itself may hold a key, so it is not shown.
        dotenvy::Error::LineParse(_, position) => CliError::usage(format_args!(
            "cannot use the environment file `{}`: a line is not NAME=VALUE (at character {position} of it)",
            path.display()
        )),
        dotenvy::Error::Io(error) => cannot_use().because(&error),
        _ => cannot_use(),
    })
}
