//! `<output>.rejects.jsonl`: the lines of the dataset that are not traces, each with the reason.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use crate::dataset::Reject;

/// Created again by each run, and only if there is something to write.
#[derive(Debug)]
pub(in crate::run) struct Rejects {
    path: PathBuf,
    file: Option<File>,
}

impl Rejects {
    /// Removes what an earlier run left: this one reads the same lines again.
    pub(in crate::run) fn new(path: PathBuf) -> io::Result<Self> {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(Self { path, file: None }),
        }
    }

    pub(in crate::run) fn add(&mut self, reject: &Reject) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(File::create_new(&self.path)?),
        };
        let mut line = serde_json::to_vec(reject)?;
        line.push(b'\n');
        file.write_all(&line)
    }
}
