//! What a run makes of its log, and files that are replaced as a whole.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::{ConvertError, Form, Input, convert};

/// Writes the present state of a log in another form to `path`, which is replaced as a whole or not at all.
///
/// # Errors
/// When the log cannot be read or the file cannot be written.
pub fn export(log: &Path, path: &Path, form: Form) -> Result<(), ConvertError> {
    let log = File::open(log).map_err(ConvertError::Read)?;
    replace(path, false, |out| convert(Input::of_file(log, Some(Form::Jsonl))?, form, true, out, &mut |_, _| {}))?;
    Ok(())
}

/// Writes a file and then puts it at `path`, so that either all of it is there or what was there before; with `keep`, that stays as
/// `<path>.bak`. A link stays one.
///
/// # Errors
/// Those of `write`, and when the file cannot be made or put in its place.
pub fn replace<T>(
    path: &Path,
    keep: bool,
    write: impl FnOnce(&mut dyn Write) -> Result<T, ConvertError>,
) -> Result<T, ConvertError> {
    let real = if path.is_symlink() { path.canonicalize().map_err(ConvertError::Write)? } else { path.to_owned() };
    let temporary = beside(&real, ".writing");
    let made = (|| {
        let mut writer = BufWriter::with_capacity(1 << 16, File::create(&temporary).map_err(ConvertError::Write)?);
        let done = write(&mut writer)?;
        let file = writer.into_inner().map_err(|error| ConvertError::Write(error.into_error()))?;
        let place = || {
            if let Ok(before) = real.metadata() {
                file.set_permissions(before.permissions())?;
            }
            file.sync_all()?;
            if keep && real.exists() {
                std::fs::rename(&real, beside(&real, ".bak"))?;
            }
            std::fs::rename(&temporary, &real)
        };
        place().map_err(ConvertError::Write).map(|()| done)
    })();
    if made.is_err() {
        // Half a file is of no use, and what it is made from has everything.
        let _ = std::fs::remove_file(&temporary);
    }
    made
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
