//! From one form to another.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use super::error::Place;
use super::read::Source;
use super::wide::Wide;
use super::write::{Losses, Lost, Writer};
use super::{ConvertError, Form, Input, TableOptions};
use crate::feedback::Feedback;
use crate::feedback::history::{Facts, History};

/// What a conversion did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Converted {
    /// Records that were read.
    pub records: u64,
    /// Records that were written, or rows of a wide table.
    pub written: u64,
    /// Lines, or rows of a table, that are not records.
    pub rejected: u64,
    /// What the new form lacks.
    pub lost: Vec<Lost>,
    /// What the records lack because the old form lacks it: a table without columns for it.
    pub lacking: Vec<&'static str>,
}

/// Writes all feedback of `input` in another form.
///
/// JSON lines are written as they are read, with their history. A table holds the present state of a log (see [`crate::feedback::history`]). With
/// `present`, JSON lines do too. Then the input is read more than once: if it cannot be, it is copied to a temporary file, and memory holds the places of the records, and
/// for a wide table the ids of its rows. Otherwise it holds one line.
///
/// `table` says what a table has in addition to the feedback. `on_reject` is called with the number of each line that is not a record, and the reason.
///
/// # Errors
/// When the input cannot be read or has only lines that are not records, or `out` cannot be written. What was written by then is
/// no whole file.
pub fn convert(
    input: Input,
    to: Form,
    present: bool,
    table: &mut TableOptions<'_>,
    out: &mut dyn Write,
    on_reject: &mut dyn FnMut(u64, &str),
) -> Result<Converted, ConvertError> {
    if to.is_table() && table.bom {
        out.write_all(UTF8_BOM).map_err(ConvertError::Write)?;
    }
    let mut read =
        Reading { converted: Converted::default(), first_reason: None, unread: Losses::default(), on_reject };
    let mut losses = Losses::default();
    if to != Form::CsvWide {
        read.converted.lacking = input.lacking();
    }
    if present || to.is_table() {
        let log = match input.0 {
            Source::Log(file) => file,
            _ => spooled(input, &mut read)?,
        };
        of_state(log, to, table, out, &mut read, &mut losses)?;
    } else if let Some(mut writer) = Writer::new(to, out, table)? {
        input.for_each(&mut |place, record| {
            let Some(feedback) = read.record(place, record) else { return Ok(()) };
            match writer.write(feedback, &mut losses)? {
                Ok(()) => read.converted.written += 1,
                Err(reason) => read.reject(place, reason),
            }
            Ok(())
        })?;
        writer.finish()?;
    }
    read.finish(losses)
}

/// What was read so far.
struct Reading<'a> {
    converted: Converted,
    first_reason: Option<(u64, String)>,
    unread: Losses,
    on_reject: &'a mut dyn FnMut(u64, &str),
}

impl Reading<'_> {
    fn record(&mut self, place: Place, record: Result<Feedback, String>) -> Option<Feedback> {
        match record {
            Ok(feedback) => {
                self.converted.records += 1;
                if place.has_more {
                    self.unread.count(UNREAD);
                }
                Some(feedback)
            }
            Err(reason) => {
                self.reject(place, reason);
                None
            }
        }
    }

    fn reject(&mut self, place: Place, reason: String) {
        (self.on_reject)(place.line, &reason);
        self.converted.rejected += 1;
        self.first_reason.get_or_insert((place.line, reason));
    }

    /// An input without any record is not feedback.
    fn check(&mut self) -> Result<(), ConvertError> {
        match self.first_reason.take() {
            Some((line, reason)) if self.converted.records == 0 => Err(ConvertError::NoFeedback { line, reason }),
            _ => Ok(()),
        }
    }

    fn finish(mut self, losses: Losses) -> Result<Converted, ConvertError> {
        self.check()?;
        self.converted.lost = self.unread.0;
        self.converted.lost.extend(losses.0);
        Ok(self.converted)
    }
}

/// The input as JSON lines in an unnamed file, which is deleted when closed.
fn spooled(input: Input, read: &mut Reading<'_>) -> Result<File, ConvertError> {
    let temporary = |error: io::Error| {
        ConvertError::Write(io::Error::new(
            error.kind(),
            format!("a temporary file in {}: {error}", std::env::temp_dir().display()),
        ))
    };
    let mut writer = BufWriter::with_capacity(1 << 16, tempfile::tempfile().map_err(temporary)?);
    input.for_each(&mut |place, record| {
        let feedback = match record {
            Ok(feedback) => {
                if place.has_more {
                    read.unread.count(UNREAD);
                }
                feedback
            }
            Err(reason) => {
                read.reject(place, reason);
                return Ok(());
            }
        };
        let line = serde_json::to_string(&feedback).map_err(|error| ConvertError::Read(error.into()))?;
        writeln!(writer, "{line}").map_err(temporary)
    })?;
    writer.into_inner().map_err(|error| temporary(error.into_error()))
}

/// Writes the present state of a log.
fn of_state(
    log: File,
    to: Form,
    table: &mut TableOptions<'_>,
    out: &mut dyn Write,
    read: &mut Reading<'_>,
    losses: &mut Losses,
) -> Result<(), ConvertError> {
    let again = || log.try_clone().map(|file| Input(Source::Log(file))).map_err(ConvertError::Read);
    let mut history = History::default();
    again()?.for_each(&mut |place, record| {
        if let Some(feedback) = read.record(place, record) {
            history.add(&Facts::of(&feedback), place.offset, ());
        }
        Ok(())
    })?;
    read.check()?;
    let lines = history.settle().into_lines();
    let mut for_each_present = |take: &mut dyn FnMut(Place, Feedback) -> Result<(), ConvertError>| {
        let mut lines = lines.iter().peekable();
        again()?.for_each(&mut |place, record| {
            let (Ok(mut feedback), Some(line)) = (record, lines.next_if(|line| line.step.place == place.offset)) else {
                return Ok(());
            };
            if !line.is_present() {
                losses.count(SUPERSEDED);
                return Ok(());
            }
            if !line.step.is_valid() {
                feedback.valid = Some(false);
            }
            take(place, feedback)
        })
    };
    let mut lost = Losses::default();
    if let Some(mut writer) = Writer::new(to, &mut *out, &mut *table)? {
        for_each_present(&mut |place, feedback| {
            match writer.write(feedback, &mut lost)? {
                Ok(()) => read.converted.written += 1,
                Err(reason) => read.reject(place, reason),
            }
            Ok(())
        })?;
        writer.finish()?;
    } else {
        let mut wide = Wide::default();
        for_each_present(&mut |place, feedback| {
            wide.add(place.offset, &feedback, &mut lost);
            Ok(())
        })?;
        read.converted.written = wide.write(&log, table, out, &mut lost)?;
    }
    losses.0.append(&mut lost.0);
    Ok(())
}

const UTF8_BOM: &[u8] = b"\xef\xbb\xbf";
const UNREAD: &str = "unknown fields";
const SUPERSEDED: &str = "superseded records";
