//! The outputs that a run makes from its log.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use super::{ConvertError, Form, Input, TableOptions, convert};
use crate::files;

/// Writes the present state of a log in another form to `path`, which is replaced as a whole or not at all.
///
/// # Errors
/// When the log cannot be read or the file cannot be written.
pub fn export(log: &Path, path: &Path, form: Form, table: &mut TableOptions<'_>) -> Result<(), ConvertError> {
    let log = File::open(log).map_err(ConvertError::Read)?;
    replace(path, false, |out| {
        convert(Input::of_file(log, Some(Form::Jsonl))?, form, true, table, out, &mut |_, _| {})
    })?;
    Ok(())
}

/// Writes a file that the user named, whole or not at all; with `keep`, the old content stays as `<path>.bak`. A link stays a link.
///
/// # Errors
/// Those of `write`, and when the file cannot be created or moved into place.
pub fn replace<T>(
    path: &Path,
    keep: bool,
    write: impl FnOnce(&mut dyn Write) -> Result<T, ConvertError>,
) -> Result<T, ConvertError> {
    let real = files::real_path(path).map_err(ConvertError::Write)?;
    files::replace(&real, |out| {
        let done = write(out)?;
        if keep && real.exists() {
            files::keep_backup(&real).map_err(ConvertError::Write)?;
        }
        Ok(done)
    })
}
