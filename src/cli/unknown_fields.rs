//! Fields of a dataset that no trace has: most likely another tool's names for those that a trace has.

use std::collections::BTreeMap;

use judge_run::dataset::{SPANS_LEFT_OUT, meant};

use super::print::one_line;

/// More names than this are only counted.
const SHOWN: usize = 8;

/// What there is to say about them, a note each.
pub(crate) fn notes(fields: &BTreeMap<String, u64>) -> Vec<String> {
    let mut notes = Vec::new();
    let mut others = Vec::new();
    for (name, n) in fields {
        if name == SPANS_LEFT_OUT {
            notes.push(format!(
                "{n}x a trace came without its spans: judges that look at documents or tools judge without them; export \
                 traces whole"
            ));
            continue;
        }
        let shown = one_line(name);
        match meant(name) {
            Some(field) => notes.push(format!("`{shown}` ({n}x) is no field of a trace; did you mean `{field}`?")),
            None => others.push(format!("`{shown}` ({n}x)")),
        }
    }
    let more = others.len().saturating_sub(SHOWN);
    others.truncate(SHOWN);
    if more > 0 {
        others.push(format!("{more} more"));
    }
    if !others.is_empty() {
        notes.push(format!("not read, because a trace has no such fields: {}", others.join(", ")));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(fields: &[(&str, u64)]) -> Vec<String> {
        notes(&fields.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect())
    }

    #[test]
    fn another_tools_name_is_told_with_the_one_that_a_trace_has() {
        assert_eq!(noted(&[("output", 120)]), ["`output` (120x) is no field of a trace; did you mean `outputs`?"]);
    }

    #[test]
    fn fields_that_nobody_can_guess_share_a_note() {
        assert_eq!(
            noted(&[("color\u{1b}", 2), ("size", 1)]),
            ["not read, because a trace has no such fields: `color` (2x), `size` (1x)"]
        );
        let many: Vec<_> = (0..12).map(|i| format!("f{i:02}")).collect();
        let many: Vec<_> = many.iter().map(|name| (name.as_str(), 1)).collect();
        assert!(noted(&many)[0].ends_with("`f07` (1x), 4 more"));
        assert!(noted(&[]).is_empty());
        assert!(noted(&[(SPANS_LEFT_OUT, 3)])[0].starts_with("3x a trace came without its spans: "));
    }
}
