//! What a user should know about how a dataset was read, one line per kind.

use judge_run::dataset::{Notice, Notices, meant};

use super::print::{counted, one_line};

/// More names than this are only counted.
const SHOWN: usize = 8;

/// What there is to say about them.
pub(crate) fn notes(notices: &Notices) -> Vec<String> {
    let mut notes = Vec::new();
    let (mut read_as, mut unknown, mut meant_names) = (Vec::new(), Vec::new(), Vec::new());
    let (mut times, mut cells) = (Vec::new(), Vec::new());
    for (notice, n) in notices.iter() {
        match notice {
            Notice::ReadAs { name, field } => read_as.push(format!("`{}` as `{field}`", one_line(name))),
            Notice::OneOfSeveral { read, other, field } => notes.push(format!(
                "read the answer `{0}`, not `{1}` ({n}x); to judge both, as separate traces: --map {field}={0} --map {field}={1}",
                one_line(read),
                one_line(other)
            )),
            Notice::UnknownField(name) => match meant(name) {
                Some(field) => meant_names.push(format!("`{}` ({n}x; did you mean `{field}`?)", one_line(name))),
                None => unknown.push(format!("`{}` ({n}x)", one_line(name))),
            },
            Notice::UnreadableTime(name) => times.push(format!("`{}` ({n}x)", one_line(name))),
            Notice::UnreadableCell(name) => cells.push(format!("`{}` ({n}x)", one_line(name))),
            Notice::WithoutSpans => notes.push(format!(
                "{} without spans: judges of documents or tools judge without them; export traces whole",
                counted(n, "trace")
            )),
            Notice::EmptySpans { attributes } => {
                let attributes = match attributes.as_str() {
                    "" => "they have no attributes".to_owned(),
                    names => format!("their attributes are {} and the like", one_line(names)),
                };
                notes.push(format!(
                    "the spans of {} have no inputs and no outputs; {attributes}",
                    counted(n, "trace")
                ));
            }
            Notice::OtherSignal(signal) => {
                notes.push(format!(
                    "skipped {} of OpenTelemetry's {signal}, which contain no traces",
                    counted(n, "record")
                ));
            }
            Notice::UnusedMapping(mapping) => {
                notes.push(format!("--map {}: no record of the dataset has this field", one_line(mapping)));
            }
            Notice::UnmetMember(member) => {
                notes.push(format!("no trace has `{}`, which --filter or --stratify uses", one_line(member)));
            }
            _ => {}
        }
    }
    meant_names.append(&mut unknown);
    let lists = [
        ("read ", read_as, "; override with --map"),
        ("ignored times that cannot be read: ", times, ""),
        ("kept as text, as neither JSON nor a Python value: ", cells, ""),
        ("ignored unknown fields: ", meant_names, ""),
    ];
    for (before, mut names, after) in lists {
        let more = names.len().saturating_sub(SHOWN);
        names.truncate(SHOWN);
        if more > 0 {
            names.push(format!("{more} more"));
        }
        if !names.is_empty() {
            notes.push(format!("{before}{}{after}", names.join(", ")));
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(notices: Vec<(Notice, u64)>) -> Vec<String> {
        notes(&notices.into_iter().collect())
    }

    fn unknown(names: &[(&str, u64)]) -> Vec<String> {
        noted(names.iter().map(|(name, n)| (Notice::UnknownField((*name).to_owned()), *n)).collect())
    }

    #[test]
    fn unknown_fields_share_a_note_with_what_they_may_mean() {
        assert_eq!(
            unknown(&[("color\u{1b}", 2), ("output", 120), ("size", 1)]),
            ["ignored unknown fields: `output` (120x; did you mean `outputs`?), `color` (2x), `size` (1x)"]
        );
        let many: Vec<_> = (0..12).map(|i| format!("f{i:02}")).collect();
        let many: Vec<_> = many.iter().map(|name| (name.as_str(), 1)).collect();
        assert!(unknown(&many)[0].ends_with("`f07` (1x), 4 more"));
        assert!(noted(Vec::new()).is_empty());
    }

    #[test]
    fn what_was_read_under_other_names_shares_a_note() {
        let read = |name: &str, field| (Notice::ReadAs { name: name.into(), field }, 3);
        assert_eq!(noted(vec![read("question", "inputs"), read("answer", "outputs")]), {
            ["read `answer` as `outputs`, `question` as `inputs`; override with --map"]
        });
        let pair = Notice::OneOfSeveral { read: "chosen".into(), other: "rejected".into(), field: "outputs" };
        assert!(noted(vec![(pair, 2)])[0].ends_with("--map outputs=chosen --map outputs=rejected"));
    }

    #[test]
    fn each_kind_has_its_words() {
        for (notice, words) in [
            (Notice::WithoutSpans, "1 trace without spans: "),
            (
                Notice::EmptySpans { attributes: "acme.q".into() },
                "the spans of 1 trace have no inputs and no outputs; ",
            ),
            (Notice::OtherSignal("metrics"), "skipped 1 record of OpenTelemetry's metrics"),
            (Notice::UnusedMapping("inputs=q".into()), "--map inputs=q: no record of the dataset has this field"),
            (Notice::UnmetMember("inputs.q".into()), "no trace has `inputs.q`, which --filter or --stratify uses"),
            (Notice::UnreadableTime("t".into()), "ignored times that cannot be read: `t` (1x)"),
            (Notice::UnreadableCell("inputs".into()), "kept as text, as neither JSON nor a Python value: `inputs`"),
        ] {
            let notes = noted(vec![(notice, 1)]);
            assert!(matches!(&*notes, [note] if note.starts_with(words)), "{notes:?}");
        }
    }
}
