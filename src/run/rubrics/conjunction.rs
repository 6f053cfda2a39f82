//! What the verdicts on several criteria come to: whether all of them are good, in Kleene's strong logic of three values (S. C. Kleene, *Introduction to
//! Metamathematics*, 1952, § 64), in which what is bad decides whatever is unknown.

/// What is known of one criterion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Good,
    Bad,
    /// The judge says that the material does not allow a verdict.
    Abstained,
    /// It failed, or a person rejected it.
    NoVerdict,
}

impl Known {
    pub(super) const ALL: [Self; 4] = [Self::Good, Self::Bad, Self::Abstained, Self::NoVerdict];

    /// The member of the record's metadata that names the criteria of which this is known.
    pub(super) const fn metadata(self) -> &'static str {
        match self {
            Self::Good => "criteria_good",
            Self::Bad => "criteria_bad",
            Self::Abstained => "criteria_abstained",
            Self::NoVerdict => "criteria_failed",
        }
    }
}

/// What is known of all of them together: good if all are, and otherwise the worst that is known, since a failure says less than an abstention.
pub(super) fn conjunction(all: impl Iterator<Item = Known>) -> Known {
    let rank = |known: &Known| match known {
        Known::Good => 0,
        Known::Abstained => 1,
        Known::NoVerdict => 2,
        Known::Bad => 3,
    };
    all.max_by_key(rank).unwrap_or(Known::NoVerdict)
}

#[cfg(test)]
mod tests {
    use super::Known::{Abstained, Bad, Good, NoVerdict};
    use super::*;

    #[test]
    fn what_is_bad_decides_and_what_is_unknown_is_no_verdict() {
        for (all, expected) in [
            (&[Good, Good][..], Good),
            (&[Good, Bad], Bad),
            (&[Abstained, Bad, NoVerdict], Bad),
            (&[Good, Abstained], Abstained),
            (&[Good, NoVerdict, Abstained], NoVerdict),
            (&[NoVerdict, Good], NoVerdict),
            (&[], NoVerdict),
        ] {
            assert_eq!(conjunction(all.iter().copied()), expected, "{all:?}");
            assert_eq!(conjunction(all.iter().rev().copied()), expected, "{all:?}");
        }
    }
}
