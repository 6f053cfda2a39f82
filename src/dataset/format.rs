//! What a user may say about a dataset: its file format, its trace format, or both.

use std::fmt;
use std::str::FromStr;

use crate::dataset::dialects::Dialect;
use crate::dataset::framing::Framing;

/// The format of a dataset, if it cannot be detected from the content.
#[derive(Debug, Clone, Copy, Default)]
pub struct Format {
    /// The framing of the objects in a file.
    pub framing: Option<Framing>,
    /// What an object means.
    pub dialect: Option<&'static Dialect>,
}

impl Format {
    /// Every name that it can be given.
    pub fn names() -> Vec<&'static str> {
        let framings = Framing::ALL.iter().map(|(name, _)| *name);
        framings.chain(Dialect::ALL.iter().map(|dialect| dialect.name)).collect()
    }
}

impl FromStr for Format {
    type Err = String;

    /// A name, or one of each kind: `csv,plain`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut format = Self::default();
        for name in text.split(',').map(str::trim) {
            let framing =
                Framing::ALL.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, framing)| *framing);
            let dialect = Dialect::ALL.iter().find(|dialect| dialect.name.eq_ignore_ascii_case(name));
            let is_second = match (framing, dialect) {
                (Some(framing), _) => format.framing.replace(framing).is_some(),
                (None, Some(dialect)) => format.dialect.replace(dialect).is_some(),
                (None, None) => {
                    return Err(format!("unknown format `{name}`; expected one of {}", Self::names().join(", ")));
                }
            };
            if is_second {
                return Err(format!(
                    "`{name}` is a second format of the same kind; expected a file format, a trace format, or both"
                ));
            }
        }
        Ok(format)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let framing = Framing::ALL.iter().find(|(_, framing)| Some(*framing) == self.framing).map(|(name, _)| *name);
        let names = [framing, self.dialect.map(|dialect| dialect.name)];
        f.write_str(&names.into_iter().flatten().collect::<Vec<_>>().join(","))
    }
}

impl PartialEq for Format {
    fn eq(&self, other: &Self) -> bool {
        let names = |format: &Self| (format.framing, format.dialect.map(|dialect| dialect.name));
        names(self) == names(other)
    }
}

serde_as_text!(Format);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_named_by_file_or_trace_or_both() {
        for name in Format::names() {
            assert_eq!(name.parse::<Format>().unwrap().to_string(), name);
        }
        let both: Format = "Plain, CSV".parse().unwrap();
        assert_eq!((both.to_string().as_str(), both.framing), ("csv,plain", Some(Framing::Csv)));
        let error = |text: &str| text.parse::<Format>().unwrap_err();
        let known = Format::names().join(", ");
        assert_eq!(error("xml"), format!("unknown format `xml`; expected one of {known}"));
        assert!(error("csv,tsv").starts_with("`tsv` is a second format of the same kind"));
    }
}
