//! A gate on agreement: `kappa.lower >= 0.6`.

use std::str::FromStr;

use super::agreement::Agreement;
use crate::results::gate::{Cause, GateOutcome, GateResult};
use crate::results::{Comparator, GateError, Part};

/// The figures that a gate may be about.
const FIGURES: [&str; 7] = ["accuracy", "kappa", "weighted_kappa", "fleiss", "alpha", "ac1", "ac2"];

/// A condition on how well raters agree.
#[derive(Debug, Clone, PartialEq)]
pub struct AgreementGate {
    text: String,
    figure: &'static str,
    part: Part,
    comparator: Comparator,
    threshold: f64,
}

impl FromStr for AgreementGate {
    type Err = GateError;

    fn from_str(text: &str) -> Result<Self, GateError> {
        let error = |at: std::ops::Range<usize>, problem: String| GateError { gate: text.to_owned(), at, problem };
        let signs = [
            (">=", Comparator::AtLeast),
            ("<=", Comparator::AtMost),
            (">", Comparator::Above),
            ("<", Comparator::Below),
        ];
        let found = signs.iter().filter_map(|(sign, comparator)| Some((text.find(sign)?, sign.len(), *comparator)));
        let Some((at, length, comparator)) = found.min_by_key(|(at, length, _)| (*at, usize::MAX - length)) else {
            return Err(error(text.len()..text.len(), "expected a comparison such as `kappa.lower >= 0.6`".to_owned()));
        };
        let name = text[..at].trim();
        let (figure, part) = match name.rsplit_once('.') {
            Some((figure, "lower")) => (figure, Part::Lower),
            Some((figure, "upper")) => (figure, Part::Upper),
            _ => (name, Part::Estimate),
        };
        let Some(figure) = FIGURES.into_iter().find(|known| *known == figure) else {
            let start = text.len() - text.trim_start().len();
            let known = FIGURES.map(|figure| format!("`{figure}`")).join(", ");
            let problem = format!(
                "unknown figure `{figure}`, expected one of {known}, or an end of its interval such as `kappa.lower`"
            );
            return Err(error(start..start + name.len(), problem));
        };
        let number = text[at + length..].trim();
        let start = text.len() - text[at + length..].trim_start().len();
        let (digits, scale) = number.strip_suffix('%').map_or((number, 1.0), |digits| (digits.trim_end(), 100.0));
        let threshold = digits.parse::<f64>().ok().map(|number| number / scale).filter(|number| number.abs() <= 1.0);
        let threshold = threshold.ok_or_else(|| {
            error(
                start.min(text.len())..text.trim_end().len().max(start.min(text.len())),
                "expected a number between -1 and 1, such as 0.6".to_owned(),
            )
        })?;
        Ok(Self { text: text.trim().to_owned(), figure, part, comparator, threshold })
    }
}

impl AgreementGate {
    /// Whether it holds; a missing figure does not decide it.
    pub fn evaluate(&self, agreement: &Agreement) -> GateResult {
        let figure = agreement.figures().get(self.figure).copied();
        let value = figure.map(|figure| match self.part {
            Part::Estimate => figure.estimate,
            Part::Lower => figure.low,
            Part::Upper => figure.high,
        });
        let outcome = match value {
            None => GateOutcome::Inconclusive,
            Some(value) if self.comparator.holds(value, self.threshold) => GateOutcome::Pass,
            Some(_) => GateOutcome::Fail,
        };
        let cause = match outcome {
            GateOutcome::Pass => None,
            GateOutcome::Fail => Some(Cause::Threshold),
            GateOutcome::Inconclusive => Some(Cause::NoFigure),
        };
        let reason = match (value, outcome) {
            (None, _) => Some(format!("these ratings have no {}", self.figure)),
            (Some(value), GateOutcome::Fail) => Some(format!("it is {value:.4}, over {} items", agreement.n_items)),
            _ => None,
        };
        GateResult {
            gate: self.text.clone(),
            outcome,
            estimate: figure.map(|figure| figure.estimate),
            low: figure.map(|figure| figure.low),
            high: figure.map(|figure| figure.high),
            threshold: self.threshold,
            cause,
            reason,
            traces: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_is_read_and_what_is_wrong_is_pointed_at() {
        let gate: AgreementGate = " kappa.lower>=0.6 ".parse().unwrap();
        assert_eq!(
            (gate.figure, gate.part, gate.comparator, gate.threshold),
            ("kappa", Part::Lower, Comparator::AtLeast, 0.6)
        );
        let gate: AgreementGate = "accuracy > 85%".parse().unwrap();
        assert_eq!(
            (gate.figure, gate.part, gate.comparator, gate.threshold),
            ("accuracy", Part::Estimate, Comparator::Above, 0.85)
        );
        for (text, at) in [
            ("kappa", ""),
            ("kapa.lower >= 0.6", "kapa.lower"),
            ("kappa >= much", "much"),
            ("kappa >= 6", "6"),
            ("kappa >=", ""),
        ] {
            let error = text.parse::<AgreementGate>().unwrap_err();
            assert_eq!(&text[error.at.clone()], at, "{text}: {error}");
        }
    }
}
