//! Whether an endpoint reads whole prompts. Ollama, for one, silently cuts what exceeds its context; only its token count shows it.

use crate::endpoint::Failure;
use crate::feedback::ErrorCode;

/// Prompts of fewer tokens fit every context in use.
const LONG_PROMPT: u64 = 1500;
/// No context is smaller; an endpoint that counts fewer tokens does not count at all.
const MIN_CONTEXT: u64 = 512;
/// No text has fewer tokens than this share of a quarter of its bytes, unless it was cut.
const MIN_SHARE: f64 = 0.4;
/// No text has fewer tokens than this share of what is usual on the lane, unless it was cut.
const MIN_USUAL_SHARE: f64 = 0.5;
/// What is usual is known after this many answers.
const MIN_OBSERVED: u32 = 3;
/// How much an answer moves what is usual.
const STEP: f64 = 0.1;
/// Two prompts, one this much longer than the other, do not have the same number of tokens by chance.
const MUCH_LONGER: f64 = 1.25;
/// Servers that cut count the same number each time, apart from what a template adds.
const SAME: u64 = 4;

/// What a lane's answers have shown about the prompts that were read.
#[derive(Debug)]
pub(in crate::run) struct PromptCheck {
    /// The usual ratio of tokens to their estimate.
    usual: f64,
    observed: u32,
    /// The most tokens that were read of a prompt so far: if the endpoint cuts, where it does.
    max_read: u64,
    /// The shortest prompt with this number of tokens, by its estimate.
    shortest: u64,
    /// Longer ones with this number of tokens that were accepted as whole.
    accepted: Vec<u64>,
    /// Where it cuts, once that is certain.
    limit: Option<u64>,
}

/// More accepted prompts need not be remembered.
const MAX_ACCEPTED: usize = 1000;

impl Default for PromptCheck {
    fn default() -> Self {
        Self { usual: 1.0, observed: 0, max_read: 0, shortest: u64::MAX, accepted: Vec::new(), limit: None }
    }
}

impl PromptCheck {
    /// Notes that `read` tokens of a prompt of about `estimate` tokens were read.
    ///
    /// # Errors
    /// When the endpoint has cut the prompt.
    pub(in crate::run) fn check(&mut self, estimate: u64, read: u64) -> Result<(), Box<Failure>> {
        if read < MIN_CONTEXT || estimate == 0 {
            return Ok(());
        }
        #[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
        let share = read as f64 / estimate as f64;
        let is_cut = estimate >= LONG_PROMPT && (self.is_too_little(share) || self.is_at_a_limit(estimate, read));
        if is_cut {
            let message = format!("the endpoint read {read} tokens of a prompt of about {estimate}: it cut the rest");
            return Err(Failure::new(ErrorCode::PromptTruncated, &message).into());
        }
        self.usual += STEP * (share.clamp(MIN_SHARE, 1.0 / MIN_SHARE) - self.usual);
        self.observed += 1;
        Ok(())
    }

    fn is_too_little(&self, share: f64) -> bool {
        share < MIN_SHARE || (self.observed >= MIN_OBSERVED && share < MIN_USUAL_SHARE * self.usual)
    }

    /// Whether prompts of quite different length have had this number of tokens, and this one is not the shortest of them.
    fn is_at_a_limit(&mut self, estimate: u64, read: u64) -> bool {
        if read > self.max_read + SAME {
            *self = Self { usual: self.usual, observed: self.observed, max_read: read, ..Self::default() };
        } else if read + SAME < self.max_read {
            return false;
        }
        self.shortest = self.shortest.min(estimate);
        let is_cut = is_much_longer(estimate, self.shortest);
        if is_cut {
            self.limit = Some(self.max_read);
        } else if self.accepted.len() < MAX_ACCEPTED {
            self.accepted.push(estimate);
        }
        is_cut
    }

    /// Where the endpoint cuts, and how many cut prompts were accepted as whole before that was known.
    pub(in crate::run) fn limit(&self) -> Option<(u64, u64)> {
        let unnoticed =
            || self.accepted.iter().filter(|estimate| is_much_longer(**estimate, self.shortest)).count() as u64;
        match self.limit {
            Some(limit) => Some((limit, unnoticed())),
            // The shortest came last.
            None => Some((self.max_read, unnoticed())).filter(|(_, unnoticed)| *unnoticed > 0),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
fn is_much_longer(estimate: u64, shortest: u64) -> bool {
    estimate as f64 >= MUCH_LONGER * shortest as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of these prompts are found to be cut: estimates, and the tokens that were read.
    fn cut(check: &mut PromptCheck, prompts: &[(u64, u64)]) -> Vec<bool> {
        prompts.iter().map(|(estimate, read)| check.check(*estimate, *read).is_err()).collect()
    }

    #[test]
    fn a_share_that_no_text_has_is_cut() {
        let mut check = PromptCheck::default();
        assert_eq!(cut(&mut check, &[(10_000, 3_999)]), [true]);
        let message = check.check(10_000, 2048).unwrap_err().message;
        assert_eq!(message, "the endpoint read 2048 tokens of a prompt of about 10000: it cut the rest");
        assert_eq!(cut(&mut PromptCheck::default(), &[(10_000, 4_000)]), [false]);
    }

    #[test]
    fn short_prompts_and_endpoints_that_do_not_count_are_left_alone() {
        assert_eq!(cut(&mut PromptCheck::default(), &[(1_499, 520), (1_500, 520)]), [false, true]);
        assert_eq!(cut(&mut PromptCheck::default(), &[(9_000, 511), (9_000, 0), (0, 600)]), [false; 3]);
    }

    #[test]
    fn what_is_usual_for_a_lane_shows_smaller_cuts() {
        let mut check = PromptCheck::default();
        let usual: Vec<_> = (0..40).map(|n| (800 + n, 1_040 + n)).collect();
        assert!(!cut(&mut check, &usual).contains(&true));
        // 1.3 tokens are usual for one that was estimated.
        assert_eq!(cut(&mut check, &[(4_000, 2_500), (4_000, 3_000)]), [true, false]);
        let mut unknown = PromptCheck::default();
        assert_eq!(cut(&mut unknown, &[(800, 1_040), (800, 1_040), (4_000, 1_900)]), [false; 3], "two are too few");
    }

    #[test]
    fn the_same_number_of_tokens_for_prompts_of_quite_different_length_is_a_limit() {
        let mut check = PromptCheck::default();
        let prompts = [(1_600, 2_050), (4_100, 2_050), (4_850, 2_052), (1_990, 2_050), (2_001, 2_046)];
        assert_eq!(cut(&mut check, &prompts), [false, true, true, false, true]);
        assert_eq!(check.limit(), Some((2_050, 0)));
        // One that was read beyond it shows that it was not a limit.
        assert_eq!(cut(&mut check, &[(4_850, 4_900), (2_000, 2_050)]), [false, false]);
        assert_eq!(check.limit(), None);
    }

    #[test]
    fn prompts_of_different_length_below_the_longest_are_no_sign() {
        let mut check = PromptCheck::default();
        assert_eq!(cut(&mut check, &[(5_000, 5_100), (1_600, 1_700), (2_100, 1_700)]), [false; 3]);
        assert_eq!(check.limit(), None);
    }

    #[test]
    fn a_cut_prompt_that_came_before_it_was_known_is_counted() {
        let mut check = PromptCheck::default();
        assert_eq!(cut(&mut check, &[(4_000, 2_050), (1_700, 2_050)]), [false, false]);
        assert_eq!(check.limit(), Some((2_050, 1)));
    }
}
