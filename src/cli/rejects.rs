//! Records that cannot be read as traces, shown so that a dataset full of them does not fill a screen.

use std::collections::HashMap;

use judge_run::dataset::{Hint, Reject};

use super::dataset_hints;
use super::print::{counted, one_line};

/// How many are shown; the others are in the rejects file.
const SHOWN: u64 = 20;
/// How many are shown with the same reason.
const SHOWN_ALIKE: u64 = 2;

/// What was rejected so far.
#[derive(Debug, Default)]
pub(crate) struct Rejects {
    shown: u64,
    not_shown: u64,
    by_reason: HashMap<String, u64>,
    hints: Vec<(Hint, String)>,
}

impl Rejects {
    /// The line about a reject; `None` if it is only counted.
    pub(crate) fn add(&mut self, reject: &Reject) -> Option<String> {
        if let Some(hint) = &reject.hint
            && !self.hints.iter().any(|(known, _)| known == hint)
            && self.hints.len() < SHOWN_ALIKE as usize
        {
            self.hints.push((hint.clone(), reject.file.to_string()));
        }
        let is_shown = self.shown < SHOWN && {
            let alike = self.by_reason.entry(reject.reason.clone()).or_default();
            *alike += 1;
            *alike <= SHOWN_ALIKE
        };
        if is_shown {
            self.shown += 1;
            return Some(reject.to_string());
        }
        self.not_shown += 1;
        None
    }

    /// How many were only counted.
    pub(crate) fn not_shown(&self) -> Option<String> {
        let n = self.not_shown;
        (n > 0).then(|| format!("{} rejected as well, for the same reasons", counted(n, "more record")))
    }

    /// What to do about them, each remedy once.
    pub(crate) fn hints(&self) -> Vec<String> {
        hints(&self.hints)
    }
}

/// What each of these hints says.
pub(crate) fn hints(hints: &[(Hint, String)]) -> Vec<String> {
    hints.iter().map(|(hint, file)| dataset_hints::of_record(hint, &one_line(file))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reject(line: u64, reason: &str, hint: Option<Hint>) -> Reject {
        let (reason, text) = (reason.to_owned(), String::new());
        Reject { file: "a.jsonl".into(), line, byte_offset: 0, reason, hint, text }
    }

    #[test]
    fn the_same_reason_is_shown_twice_and_its_remedy_once() {
        let mut rejects = Rejects::default();
        let hint = || Some(Hint::Map(vec!["inputs=question".parse().unwrap()]));
        let shown: Vec<_> = (1..=9).filter_map(|line| rejects.add(&reject(line, "odd", hint()))).collect();
        assert_eq!(shown, ["a.jsonl:1: odd", "a.jsonl:2: odd"]);
        assert!(rejects.add(&reject(10, "other", None)).is_some());
        assert!(rejects.not_shown().is_some_and(|text| text.starts_with("7 more records rejected")));
        assert_eq!(rejects.hints(), ["name the fields: --map inputs=question"]);
    }

    #[test]
    fn reasons_that_never_repeat_do_not_fill_a_screen() {
        let mut rejects = Rejects::default();
        let shown = (0..1000).filter_map(|line| rejects.add(&reject(line, &format!("odd {line}"), None))).count();
        assert_eq!((shown, rejects.by_reason.len()), (20, 20));
        assert!(
            rejects.not_shown().is_some_and(|text| text.starts_with("980 more records")) && rejects.hints().is_empty()
        );
    }
}
