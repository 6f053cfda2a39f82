//! What a table may have in addition to the feedback.

use std::io;

/// Fields of a trace that can be columns. They are not read back.
pub const INCLUDED: [&str; 6] = ["inputs", "outputs", "expectations", "tags", "session_id", "user"];

/// What a table may have in addition to the feedback.
#[derive(Default)]
pub struct TableOptions<'a> {
    /// Whether it begins with a byte order mark, without which some spreadsheets mistake UTF-8 for another encoding.
    pub bom: bool,
    /// Columns of the traces.
    pub include: Option<Include<'a>>,
}

/// Columns of the traces that the feedback is about.
pub struct Include<'a> {
    /// Their names, of [`INCLUDED`].
    pub fields: Vec<String>,
    /// The texts of a trace, one for each field; all `None` for an unknown trace.
    pub texts: Box<TextsOf<'a>>,
}

/// Gives the texts of the trace with this id.
pub type TextsOf<'a> = dyn FnMut(&str) -> io::Result<Vec<Option<String>>> + 'a;

impl TableOptions<'_> {
    /// The names of the columns of the traces.
    pub(super) fn fields(&self) -> &[String] {
        self.include.as_ref().map_or(&[], |include| &include.fields)
    }

    /// The texts of a trace.
    pub(super) fn texts(&mut self, trace_id: Option<&str>) -> io::Result<Vec<Option<String>>> {
        let Some(include) = &mut self.include else { return Ok(Vec::new()) };
        trace_id.map_or_else(|| Ok(vec![None; include.fields.len()]), |id| (include.texts)(id))
    }
}
