//! Suggestions for misspelt words.

/// The known word most similar to this one; `None` if none is similar.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |word: &str| word.to_lowercase().replace(['-', '_', ' '], "");
    let wanted = plain(word);
    let distance = |known: &str| {
        let known = plain(known);
        let edits = strsim::damerau_levenshtein(&wanted, &known);
        // A prefix is as good as a word: `relev`.
        let is_beginning = wanted.len() >= 3 && known.starts_with(&wanted);
        (edits, if is_beginning { 1 } else { edits }, wanted.chars().count().min(known.chars().count()))
    };
    let close = known.into_iter().filter_map(|known| {
        let (edits, rank, length) = distance(known);
        (rank <= 1 || rank <= length / 3).then_some((rank, edits, known))
    });
    close.filter(|(_, edits, known)| *edits < known.len()).min().map(|(_, _, known)| known)
}

/// `did you mean X?`, or all known words.
pub(crate) fn or_all(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? known: {}", known.join(", ")),
        None => format!("known: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_understood_and_another_word_is_not() {
        let known = ["safety", "relevance", "groundedness", "factual_accuracy", "TIMEOUT", "rpm", "tpm"];
        for (word, near) in [
            ("safty", Some("safety")),
            ("relevence", Some("relevance")),
            ("relev", Some("relevance")),
            ("factual-accuracy", Some("factual_accuracy")),
            ("Groundednes", Some("groundedness")),
            ("timeout", Some("TIMEOUT")),
            ("rmp", Some("rpm")),
            ("truth", None),
            ("fail-under", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), near, "{word}");
        }
    }
}
