//! An entry of the index, in 40 bytes.

use crate::feedback::history::{OpinionKey, Standing};
use crate::feedback::{AssessmentId, ErrorCode};

/// A verdict or failure that still matters. Its standing and its offset are packed, which saves a sixth.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub opinion: OpinionKey,
    pub id: AssessmentId,
    /// The number, hash or time of the standing.
    pub content: u64,
    /// The offset of the record's line in 48 bits, and in 16 bits what the content is.
    pub place: u64,
}

impl Entry {
    const NUMBER: u64 = 0;
    const LABEL: u64 = 1;
    const OTHER: u64 = 2;
    /// Until the index is sealed: the time of a mark, whose value is a separate entry.
    pub(super) const REJECTED: u64 = 3;
    const ABSTAINED: u64 = 4;
    /// A failure with another tool's code; one of ours is this and one more than its place in [`ErrorCode::ALL`].
    const FAILED: u64 = 5;
    const KIND_BITS: u32 = 14;
    /// A later verdict of the opinion supersedes it.
    pub(super) const SUPERSEDED: u64 = 1 << Self::KIND_BITS;
    /// Until the index is sealed: the verdict stands in a mark.
    pub(super) const MARK: u64 = 2 << Self::KIND_BITS;
    pub(super) const OFFSET_SHIFT: u32 = Self::KIND_BITS + 2;

    pub(super) fn new(opinion: OpinionKey, id: AssessmentId, standing: Standing, offset: u64) -> Self {
        let (kind, content) = match standing {
            Standing::Number(number) => (Self::NUMBER, number.to_bits()),
            Standing::Label(hash) => (Self::LABEL, hash),
            Standing::Other => (Self::OTHER, 0),
            Standing::Abstained => (Self::ABSTAINED, 0),
            Standing::Rejected { create_time_ms } => (Self::REJECTED, create_time_ms.cast_unsigned()),
            Standing::Failed { code, create_time_ms } => {
                let code = code.and_then(|code| ErrorCode::ALL.iter().position(|known| *known == code));
                (Self::FAILED + code.map_or(0, |i| i as u64 + 1), create_time_ms.cast_unsigned())
            }
        };
        Self { opinion, id, content, place: offset << Self::OFFSET_SHIFT | kind }
    }

    pub(super) fn kind(&self) -> u64 {
        self.place & ((1 << Self::KIND_BITS) - 1)
    }

    pub(super) fn offset(&self) -> u64 {
        self.place >> Self::OFFSET_SHIFT
    }

    pub(super) fn standing(&self) -> Standing {
        let create_time_ms = self.content.cast_signed();
        match self.kind() {
            Self::NUMBER => Standing::Number(f64::from_bits(self.content)),
            Self::LABEL => Standing::Label(self.content),
            Self::OTHER => Standing::Other,
            Self::ABSTAINED => Standing::Abstained,
            Self::REJECTED => Standing::Rejected { create_time_ms },
            failed => {
                let code =
                    failed.checked_sub(Self::FAILED + 1).and_then(|i| ErrorCode::ALL.get(usize::try_from(i).ok()?));
                Standing::Failed { code: code.copied(), create_time_ms }
            }
        }
    }

    /// Whether it is an opinion, in force or not: what a later one overrides.
    pub(super) fn is_verdict(&self) -> bool {
        self.kind() < Self::FAILED
    }

    pub(super) fn is_rejected(&self) -> bool {
        self.kind() == Self::REJECTED
    }

    pub(super) fn has(&self, flag: u64) -> bool {
        self.place & flag != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feedback::Source;

    #[test]
    fn an_entry_takes_40_bytes_and_gives_back_what_it_holds() {
        assert_eq!(size_of::<Entry>(), 40);
        let key = OpinionKey::new(Some("a"), None, "j", &Source::llm_judge("m"));
        let id = "a-0123456789abcdef0123456789abcdef".parse().unwrap();
        let create_time_ms = -1;
        let failed = ErrorCode::ALL.iter().map(|code| Standing::Failed { code: Some(*code), create_time_ms });
        let others = [
            Standing::Number(-0.5),
            Standing::Label(u64::MAX),
            Standing::Other,
            Standing::Abstained,
            Standing::Rejected { create_time_ms },
            Standing::Failed { code: None, create_time_ms },
        ];
        for standing in failed.chain(others) {
            let entry = Entry::new(key, id, standing, 1 << 46);
            assert_eq!((entry.standing(), entry.offset()), (standing, 1 << 46));
        }
    }
}
