//! The distribution of verdicts, in words.

use std::fmt::{self, Write as _};

use judge_run::run::Distribution;

#[expect(clippy::cast_precision_loss, reason = "percentages for the eye")]
pub(crate) fn write_distribution(out: &mut String, distribution: &Distribution) -> fmt::Result {
    match distribution {
        Distribution::Boolean { yes, no } if yes + no > 0 => {
            let share = 100.0 * *yes as f64 / (yes + no) as f64;
            write!(out, "  {share:.1}% true ({yes} true, {no} false)")
        }
        Distribution::Number { count, min, max, .. } if *count > 0 => {
            let mean = distribution.mean().unwrap_or(f64::NAN);
            write!(out, "  mean {mean:.3} (min {min}, max {max})")
        }
        Distribution::Category(labels) => {
            let total: u64 = labels.iter().map(|(_, n)| n).sum();
            let shares = labels
                .iter()
                .filter(|(_, n)| *n > 0)
                .map(|(label, n)| format!("{label} {n} ({:.1}%)", 100.0 * *n as f64 / total as f64));
            write!(out, "  {}", shares.collect::<Vec<_>>().join(", "))
        }
        _ => Ok(()),
    }
}
