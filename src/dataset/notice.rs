//! What a reader did with a dataset, or could not read, that the user should know.

use std::collections::BTreeMap;

/// More unknown names than this are counted together, so that odd data cannot fill memory.
const MAX_NAMES: usize = 100;

/// Something to show the user once, with how often it happened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Notice {
    /// A field was read under another tool's name for it.
    ReadAs {
        /// The name in the dataset.
        name: String,
        /// The field of a trace.
        field: &'static str,
    },
    /// A row has several answers, one of which was read.
    OneOfSeveral {
        /// The name of the answer that was read.
        read: String,
        /// The name of one that was not.
        other: String,
        /// The field to which the other can be mapped.
        field: &'static str,
    },
    /// A field is unknown and was ignored; `spans[].x` is the field `x` of a span.
    UnknownField(String),
    /// A field has an unreadable time, and was ignored.
    UnreadableTime(String),
    /// A cell looks like a list or an object but can be read as neither; it was kept as text.
    UnreadableCell(String),
    /// The form of a trace omits its spans: it may well have some.
    WithoutSpans,
    /// A trace has spans, but none with recognised inputs or outputs.
    EmptySpans {
        /// Some of the attributes that they do have.
        attributes: String,
    },
    /// OpenTelemetry's metrics, profiles, or logs without messages: they contain no traces.
    OtherSignal(&'static str),
    /// A mapping names a field that nothing in the dataset has.
    UnusedMapping(String),
    /// A filter or stratum names a member that no trace has.
    UnmetMember(String),
}

/// Every notice with how often it was given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notices(BTreeMap<Notice, u64>);

impl Notices {
    /// Counts one more.
    pub(crate) fn add(&mut self, notice: Notice) {
        let is_known = self.0.len() < MAX_NAMES || self.0.contains_key(&notice);
        let notice = match notice {
            Notice::UnknownField(_) if !is_known => Notice::UnknownField("(others)".to_owned()),
            Notice::UnreadableTime(_) if !is_known => Notice::UnreadableTime("(others)".to_owned()),
            Notice::UnreadableCell(_) if !is_known => Notice::UnreadableCell("(others)".to_owned()),
            Notice::EmptySpans { .. } if !is_known => Notice::EmptySpans { attributes: String::new() },
            notice => notice,
        };
        *self.0.entry(notice).or_default() += 1;
    }

    /// Counts an unknown field.
    pub(crate) fn unknown(&mut self, name: impl Into<String>) {
        self.add(Notice::UnknownField(name.into()));
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, sorted by kind and name.
    pub fn iter(&self) -> impl Iterator<Item = (&Notice, u64)> {
        self.0.iter().map(|(notice, n)| (notice, *n))
    }
}

impl FromIterator<(Notice, u64)> for Notices {
    fn from_iter<T: IntoIterator<Item = (Notice, u64)>>(notices: T) -> Self {
        Self(notices.into_iter().collect())
    }
}

#[cfg(test)]
impl Notices {
    /// The names of the unknown fields.
    pub(crate) fn unknown_names(&self) -> Vec<&str> {
        let names = self.0.keys().filter_map(|notice| match notice {
            Notice::UnknownField(name) => Some(name.as_str()),
            _ => None,
        });
        names.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_never_repeat_do_not_fill_the_memory() {
        let mut notices = Notices::default();
        (0..1000).for_each(|i| notices.unknown(format!("f{i}")));
        notices.unknown("f3");
        let count = |name: &str| notices.iter().find(|(n, _)| **n == Notice::UnknownField(name.into())).map(|(_, n)| n);
        assert_eq!((notices.iter().count(), count("f3"), count("(others)")), (MAX_NAMES + 1, Some(2), Some(900)));
    }
}
