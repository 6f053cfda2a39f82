//! Adding records to a log that others may be writing to: without its lock, as whole lines, synced before it returns.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::file::take_back;
use crate::feedback::Feedback;
use crate::files::is_at;

/// A log that is created just when another process removes it, empty, is created again.
const MAX_TRIES: u32 = 8;

/// Adds records to a log, which is created if there is none: all of them, or none. When it returns, they are on disk.
///
/// The log need not be locked, and a run, `compact` or another process may write to it meanwhile. It is opened only for this call, so that a process that
/// exchanges the file has no one to wait for.
///
/// # Errors
/// When the file cannot be written. Records that were partly written are then taken back.
pub fn add(path: &Path, records: &[Feedback]) -> io::Result<()> {
    let mut lines = Vec::new();
    for record in records {
        serde_json::to_writer(&mut lines, record)?;
        lines.push(b'\n');
    }
    for _ in 0..MAX_TRIES {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        append_lines(&mut file, path, &lines)?;
        if is_at(&file, path)? || !is_nameless(&file)? {
            return Ok(());
        }
    }
    Err(io::Error::other("it is removed again and again"))
}

fn append_lines(file: &mut File, path: &Path, lines: &[u8]) -> io::Result<()> {
    // Half a line of a process that died does not spoil these.
    let mut bytes = Vec::new();
    if ends_within_a_line(file)? {
        bytes.push(b'\n');
    }
    bytes.extend_from_slice(lines);
    let length = loop {
        match file.write(&bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => break result?,
        }
    };
    let end = file.stream_position()?;
    let result = if length < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { file.sync_data() };
    if result.is_err() {
        take_back(file, path, end.saturating_sub(length as u64), end)?;
    }
    result
}

fn ends_within_a_line(file: &mut File) -> io::Result<bool> {
    let length = file.metadata()?.len();
    let Some(last) = length.checked_sub(1) else { return Ok(false) };
    file.seek(SeekFrom::Start(last))?;
    let mut byte = [0];
    // Cut meanwhile, it ends with nothing.
    let read = file.read(&mut byte)?;
    Ok(read == 1 && byte != *b"\n")
}

/// Whether no path names it any more. A replaced file has a name until what was appended to it is copied.
#[cfg(unix)]
fn is_nameless(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    Ok(file.metadata()?.nlink() == 0)
}

/// Elsewhere, the system does not remove an open file.
#[cfg(not(unix))]
fn is_nameless(_: &File) -> io::Result<bool> {
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feedback::log::{Mode, OpenLog};

    fn named(name: &str) -> Feedback {
        Feedback { name: name.to_owned(), ..Feedback::default() }
    }

    fn names(path: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().filter_map(|line| Feedback::from_json(line).ok()).map(|feedback| feedback.name).collect()
    }

    #[test]
    fn records_are_added_to_a_log_that_a_run_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.jsonl");
        add(&path, &[named("first")]).unwrap();
        let log = OpenLog::open(&path, Mode::Resume).unwrap();
        add(&path, &[named("second"), named("third")]).unwrap();
        drop(log);
        assert_eq!(names(&path), ["first", "second", "third"]);
    }

    #[test]
    fn half_a_line_takes_no_record_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.jsonl");
        std::fs::write(&path, "{\"name\":\"whole\"}\n{\"name\":\"ha").unwrap();
        add(&path, &[named("next")]).unwrap();
        assert_eq!(names(&path), ["whole", "next"]);
    }
}
