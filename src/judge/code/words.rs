//! Texts compared word by word and character by character.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// What a length is counted in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    #[default]
    Characters,
    Words,
    Lines,
    Bytes,
}

/// How many of these a text has.
pub(super) fn length(text: &str, unit: Unit) -> usize {
    match unit {
        Unit::Characters => text.chars().count(),
        Unit::Words => text.split_whitespace().count(),
        Unit::Lines => text.lines().count(),
        Unit::Bytes => text.len(),
    }
}

/// What of two texts matters not.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ignored {
    pub case: bool,
    pub space: bool,
    pub punctuation: bool,
}

impl Ignored {
    /// The text with what matters.
    pub(super) fn folded(self, text: &str) -> String {
        let mut text = if self.case { text.to_lowercase() } else { text.to_owned() };
        if self.punctuation {
            text.retain(|c| c.is_alphanumeric() || c.is_whitespace());
        }
        if self.space {
            text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        }
        text
    }
}

/// The harmonic mean of precision and recall.
pub(super) fn f1(common: usize, found: usize, wanted: usize) -> f64 {
    // 2 c / (f + w) is the same as 2 P R / (P + R), and needs no case for P + R = 0.
    if found + wanted == 0 { 1.0 } else { share(2 * common, found + wanted) }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub(super) fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

/// The F1 of the words that two texts have in common, 0 to 1, as SQuAD counts it: lower case, without punctuation and English articles; two texts
/// without words agree.
///
/// Source: `f1_score` and `normalize_answer` of SQuAD v1.1's `evaluate-v1.1.py`.
pub(super) fn token_f1(actual: &str, expected: &str) -> f64 {
    let (actual, expected) = (squad(actual), squad(expected));
    let mut left: HashMap<&str, usize> = HashMap::new();
    for word in &expected {
        *left.entry(word).or_default() += 1;
    }
    let mut common = 0;
    for word in &actual {
        if let Some(n) = left.get_mut(word.as_str()).filter(|n| **n > 0) {
            *n -= 1;
            common += 1;
        }
    }
    f1(common, actual.len(), expected.len())
}

fn squad(text: &str) -> Vec<String> {
    let mut text = text.to_lowercase();
    text.retain(|c| c.is_alphanumeric() || c.is_whitespace() || !(c.is_ascii() || is_other_punctuation(c)));
    text.split_whitespace().filter(|word| !matches!(*word, "a" | "an" | "the")).map(ToOwned::to_owned).collect()
}

/// Non-ASCII punctuation that is common in texts: quotation marks, dashes, ellipsis, full-width forms.
fn is_other_punctuation(c: char) -> bool {
    matches!(c, '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{205e}' | '\u{3001}'..='\u{3003}' | '\u{3008}'..='\u{3011}' | '\u{ff01}'..='\u{ff0f}' | '«' | '»' | '¿' | '¡')
}

/// Longer comparisons take seconds.
const MAX_STEPS: usize = 200_000_000;

/// ROUGE-L, 0 to 1: the F1 of the longest common subsequence of words. Words are runs of letters and digits in lower case, unstemmed.
///
/// Source: Lin 2004; `rouge_score`'s `rougeL` (fmeasure), which reads ASCII words alone.
///
/// # Errors
/// When the texts are too long.
pub(super) fn rouge_l(actual: &str, expected: &str) -> Result<f64, String> {
    let words = |text: &str| -> Vec<String> {
        let words = text.to_lowercase();
        words.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(ToOwned::to_owned).collect()
    };
    let (actual, expected) = (words(actual), words(expected));
    affordable(actual.len(), expected.len())?;
    // One row of the table: the longest common subsequence with each beginning of `expected`.
    let mut row = vec![0_usize; expected.len() + 1];
    for word in &actual {
        let mut diagonal = 0;
        for (i, other) in expected.iter().enumerate() {
            let above = row[i + 1];
            row[i + 1] = if word == other { diagonal + 1 } else { above.max(row[i]) };
            diagonal = above;
        }
    }
    Ok(f1(row.last().copied().unwrap_or(0), actual.len(), expected.len()))
}

/// 1 minus the Levenshtein distance divided by the number of characters of the longer text.
///
/// # Errors
/// When the texts are too long.
pub(super) fn edit_similarity(actual: &str, expected: &str) -> Result<f64, String> {
    affordable(actual.chars().count(), expected.chars().count())?;
    Ok(strsim::normalized_levenshtein(actual, expected))
}

fn affordable(a: usize, b: usize) -> Result<(), String> {
    if a.saturating_mul(b) > MAX_STEPS { Err("the texts are too long to be compared".to_owned()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rouge_l_is_that_of_rouge_score() {
        // The example of rouge_score's README: precision 0.625, recall 0.5555, fmeasure 0.5882352941176471.
        let target = "The quick brown fox jumps over the lazy dog";
        let prediction = "The quick brown dog jumps on the log.";
        assert!((rouge_l(prediction, target).unwrap() - 0.588_235_294_117_647_1).abs() < 1e-15);
        assert_eq!((rouge_l("a", "b"), rouge_l("A b!", "a, B")), (Ok(0.0), Ok(1.0)));
        assert!(rouge_l(&"a ".repeat(20_000), &"b ".repeat(20_000)).is_err());
    }

    #[test]
    fn token_f1_is_that_of_squad() {
        // By evaluate-v1.1.py: two common words of three and two, so P = 2/3, R = 1, F1 = 4/5.
        assert!((token_f1("The big brown fox!", "a brown fox") - 0.8).abs() < 1e-15);
        assert_eq!(token_f1("Denver Broncos", "the Denver Broncos."), 1.0);
        assert!((token_f1("cat cat dog", "cat") - 0.5).abs() < 1e-15, "a word counts as often as both have it");
        assert_eq!((token_f1("x", "y"), token_f1("", "the"), token_f1("", "y")), (0.0, 1.0, 0.0));
    }

    #[test]
    fn the_edit_similarity_is_that_of_levenshtein() {
        // kitten and sitting: distance 3, the longer has 7 characters.
        assert!((edit_similarity("kitten", "sitting").unwrap() - (1.0 - 3.0 / 7.0)).abs() < 1e-15);
        assert_eq!(edit_similarity("", ""), Ok(1.0));
    }

    #[test]
    fn lengths_are_counted_as_people_count() {
        let counts = |unit| length("Grüße, \nWelt", unit);
        assert_eq!([Unit::Characters, Unit::Words, Unit::Lines, Unit::Bytes].map(counts), [12, 2, 2, 14]);
    }

    #[test]
    fn what_is_ignored_is_gone() {
        let all = Ignored { case: true, space: true, punctuation: true };
        assert_eq!(all.folded("  Yes,\n it IS. "), "yes it is");
        assert_eq!(Ignored::default().folded(" Yes. "), " Yes. ");
    }
}
