//! A gate as people write it: `safety.pass >= 0.99`, `errors <= 1%`, `no worse than baseline by 0.02`.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// A condition on the results.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    /// As it was given.
    pub text: String,
    /// The judge that it is about; all of them if none is named.
    pub name: Option<String>,
    /// The part of the dataset that it is about: an expression and its value.
    pub slice: Option<(String, String)>,
    /// What must hold.
    pub condition: Condition,
}

/// What must hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Condition {
    /// A figure of the report.
    Figure(Figure, Comparator, f64),
    /// The pass rate, or the mean where there is none, is at least this.
    AtLeast(f64),
    /// No worse than the baseline by more than this: a share, or a part of the scale of numbers.
    NoWorse(f64),
}

/// A figure of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// The share of good verdicts, or an end of its interval.
    Pass(Part),
    /// The mean of numbers, or an end of its interval.
    Mean(Part),
    /// The share or the mean, corrected by people's labels, or an end of its interval.
    Corrected(Part),
    /// The share of pairs that a side wins, or an end of its interval; the slice names the side.
    WinRate(Part),
    /// The share of judgments that failed.
    Errors,
    /// The share of judgments with a verdict.
    Coverage,
}

/// An estimate, or an end of its interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "named by what they are")]
pub enum Part {
    Estimate,
    Lower,
    Upper,
}

/// How a figure is compared with a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "named by what they are")]
pub enum Comparator {
    AtLeast,
    Above,
    AtMost,
    Below,
}

/// The figures as they are written, the longer ones first.
const FIGURES: [(&str, Figure); 14] = [
    ("pass.lower", Figure::Pass(Part::Lower)),
    ("pass.upper", Figure::Pass(Part::Upper)),
    ("mean.lower", Figure::Mean(Part::Lower)),
    ("mean.upper", Figure::Mean(Part::Upper)),
    ("corrected.lower", Figure::Corrected(Part::Lower)),
    ("corrected.upper", Figure::Corrected(Part::Upper)),
    ("win_rate.lower", Figure::WinRate(Part::Lower)),
    ("win_rate.upper", Figure::WinRate(Part::Upper)),
    ("win_rate", Figure::WinRate(Part::Estimate)),
    ("pass", Figure::Pass(Part::Estimate)),
    ("mean", Figure::Mean(Part::Estimate)),
    ("corrected", Figure::Corrected(Part::Estimate)),
    ("errors", Figure::Errors),
    ("coverage", Figure::Coverage),
];
const COMPARATORS: [(&str, Comparator); 4] =
    [(">=", Comparator::AtLeast), ("<=", Comparator::AtMost), (">", Comparator::Above), ("<", Comparator::Below)];
/// What a win rate is of, in the place of a slice.
const SIDE: &str = "side";
const NO_WORSE: &str = "no worse than baseline";

/// Why a text is not a gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateError {
    /// The gate.
    pub gate: String,
    /// The bytes of it that are wrong; empty where something is missing.
    pub at: Range<usize>,
    /// What is wrong, and what is allowed.
    pub problem: String,
}

impl fmt::Display for GateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { gate, at, problem } = self;
        let chars = |range: Range<usize>| gate.get(range).map_or(0, |text| text.chars().count());
        let (indent, width) = (" ".repeat(chars(0..at.start)), "^".repeat(chars(at.clone()).max(1)));
        let shown = gate.replace(char::is_control, " ");
        write!(f, "invalid gate: {problem}\n  |\n  | {shown}\n  | {indent}{width}")
    }
}

impl std::error::Error for GateError {}

impl Gate {
    /// `--fail-under`.
    pub fn fail_under(threshold: f64) -> Self {
        let text = format!("pass >= {threshold}");
        Self { text, name: None, slice: None, condition: Condition::AtLeast(threshold) }
    }

    /// The name of its result for one judge.
    pub fn title(&self, judge: &str) -> String {
        match (&self.name, &self.condition) {
            (Some(_), _) => self.text.clone(),
            (None, Condition::NoWorse(_)) => format!("{judge} {}", self.text),
            (None, _) if self.text.starts_with('[') => format!("{judge}{}", self.text),
            (None, _) => format!("{judge}.{}", self.text),
        }
    }

    /// The side that it is about, if it is about a win rate.
    pub fn side(&self) -> Option<&str> {
        let (_, side) = self.slice.as_ref()?;
        matches!(self.condition, Condition::Figure(Figure::WinRate(_), ..)).then_some(side)
    }

    /// Whether it needs a baseline.
    pub fn needs_baseline(&self) -> bool {
        matches!(self.condition, Condition::NoWorse(_))
    }
}

impl FromStr for Gate {
    type Err = GateError;

    fn from_str(text: &str) -> Result<Self, GateError> {
        let reader = Reader { text };
        match text.find(NO_WORSE) {
            Some(at) => reader.no_worse(at),
            None => reader.figure(),
        }
    }
}

struct Reader<'a> {
    text: &'a str,
}

impl Reader<'_> {
    fn error<T>(&self, at: Range<usize>, problem: impl Into<String>) -> Result<T, GateError> {
        Err(GateError { gate: self.text.to_owned(), at, problem: problem.into() })
    }

    /// A part of the text without the spaces around it.
    fn trimmed(&self, range: Range<usize>) -> Range<usize> {
        let part = &self.text[range.clone()];
        let start = range.start + (part.len() - part.trim_start().len());
        start..(start + part.trim().len())
    }

    fn no_worse(&self, at: usize) -> Result<Gate, GateError> {
        let (name, slice) = self.subject(self.trimmed(0..at))?;
        if slice.is_some() {
            return self.error(self.trimmed(0..at), "a comparison with the baseline has no slices");
        }
        let rest = self.trimmed(at + NO_WORSE.len()..self.text.len());
        let margin = match &self.text[rest.clone()] {
            "" => 0.02,
            _ if self.text[rest.clone()].starts_with("by ") => {
                let number = self.trimmed(rest.start + 3..rest.end);
                let margin = self.number(number.clone())?;
                if !(0.0..=1.0).contains(&margin) {
                    return self.error(number, "a margin is a share such as 0.02 or 2%");
                }
                margin
            }
            _ => return self.error(rest, "expected `by` and a margin, such as `by 0.02`"),
        };
        Ok(Gate { text: self.text.trim().to_owned(), name, slice: None, condition: Condition::NoWorse(margin) })
    }

    fn figure(&self) -> Result<Gate, GateError> {
        // In a slice's value there may be anything.
        let from = self.text.rfind(']').map_or(0, |at| at + 1);
        let found = COMPARATORS.iter().filter_map(|(sign, comparator)| {
            self.text[from..].find(sign).map(|at| (from + at, std::cmp::Reverse(sign.len()), sign, comparator))
        });
        let Some((at, _, sign, comparator)) = found.min_by_key(|(at, length, ..)| (*at, *length)) else {
            let end = self.text.len();
            return self.error(
                end..end,
                format!("expected a comparison such as `safety.pass >= 0.99`, or `{NO_WORSE} by 0.02`"),
            );
        };
        let left = self.trimmed(0..at);
        let (end, figure) = self.known_figure(left.clone())?;
        let (name, slice) = self.subject(self.trimmed(left.start..end))?;
        let number = self.trimmed(at + sign.len()..self.text.len());
        let threshold = self.number(number.clone())?;
        if matches!(figure, Figure::Corrected(_)) && slice.is_some() {
            return self.error(
                self.trimmed(left.start..end),
                "a corrected figure has no slices: labels of a part are too few",
            );
        }
        if matches!(figure, Figure::WinRate(_)) && slice.as_ref().is_none_or(|(of, _)| of != SIDE) {
            return self.error(
                self.trimmed(left.start..end),
                "a win rate needs a side: write `preference[side = new].win_rate`",
            );
        }
        let is_share = !matches!(figure, Figure::Mean(_) | Figure::Corrected(_));
        if is_share && !(0.0..=1.0).contains(&threshold) {
            return self.error(number, "a share is between 0 and 1: write 0.97 or 97%");
        }
        let condition = Condition::Figure(figure, *comparator, threshold);
        Ok(Gate { text: self.text.trim().to_owned(), name, slice, condition })
    }

    /// The figure at the end of the left side, and where the text before it ends.
    fn known_figure(&self, left: Range<usize>) -> Result<(usize, Figure), GateError> {
        let text = &self.text[left.clone()];
        for (written, figure) in FIGURES {
            if let Some(before) = text.strip_suffix(written) {
                if before.is_empty() {
                    return Ok((left.start, figure));
                }
                if let Some(before) = before.strip_suffix('.') {
                    return Ok((left.start + before.len(), figure));
                }
            }
        }
        let last = text.rfind('.').map_or(left.start, |dot| left.start + dot + 1);
        let known = FIGURES.map(|(written, _)| format!("`{written}`")).join(", ");
        let what = if text.is_empty() {
            "no figure".to_owned()
        } else {
            format!("unknown figure `{}`", &self.text[last..left.end])
        };
        self.error(last..left.end, format!("{what}, expected one of {known}, after `NAME.` for one judge"))
    }

    /// `NAME`, `NAME[EXPRESSION = VALUE]` or nothing.
    #[expect(clippy::type_complexity, reason = "the two parts of a gate")]
    fn subject(&self, range: Range<usize>) -> Result<(Option<String>, Option<(String, String)>), GateError> {
        let text = &self.text[range.clone()];
        if text.is_empty() {
            return Ok((None, None));
        }
        let (name, slice) = match text.find('[') {
            None => (text, None),
            Some(open) => {
                let Some(inside) = text[open + 1..].strip_suffix(']') else {
                    return self.error(range.end..range.end, "expected `]` after the slice");
                };
                let Some((expression, value)) = inside.split_once("==").or_else(|| inside.split_once('=')) else {
                    let start = range.start + open + 1;
                    return self.error(
                        start..start + inside.len(),
                        "a slice is an expression and its value, such as `[trace.tags.env = prod]`",
                    );
                };
                let quotes = ['\'', '"'];
                (&text[..open], Some((expression.trim().to_owned(), value.trim().trim_matches(quotes).to_owned())))
            }
        };
        let name = name.trim();
        Ok(((!name.is_empty()).then(|| name.to_owned()), slice))
    }

    fn number(&self, range: Range<usize>) -> Result<f64, GateError> {
        let text = &self.text[range.clone()];
        let (digits, is_percent) = text.strip_suffix('%').map_or((text, false), |digits| (digits.trim_end(), true));
        match digits.parse::<f64>().ok().filter(|number| number.is_finite()) {
            Some(number) if is_percent => Ok(number / 100.0),
            Some(number) => Ok(number),
            None => self.error(range, "expected a number such as 0.99 or 99%"),
        }
    }
}

impl Part {
    /// That of an estimate and its interval.
    pub(super) fn of(self, estimate: f64, low: f64, high: f64) -> f64 {
        match self {
            Self::Estimate => estimate,
            Self::Lower => low,
            Self::Upper => high,
        }
    }
}

impl Comparator {
    /// Whether a figure is as it must be.
    pub fn holds(self, figure: f64, threshold: f64) -> bool {
        match self {
            Self::AtLeast => figure >= threshold,
            Self::Above => figure > threshold,
            Self::AtMost => figure <= threshold,
            Self::Below => figure < threshold,
        }
    }

    /// Whether low figures fail.
    pub(super) fn wants_high(self) -> bool {
        matches!(self, Self::AtLeast | Self::Above)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_compares_needs_a_baseline() {
        for (text, needed) in
            [("no worse than baseline by 0.02", true), ("safety.pass >= 0.9", false), ("errors <= 1%", false)]
        {
            assert_eq!(text.parse::<Gate>().unwrap().needs_baseline(), needed, "{text}");
        }
    }

    #[test]
    fn a_gate_is_read_as_people_write_it() {
        let figure = |figure, comparator, threshold| Condition::Figure(figure, comparator, threshold);
        let slice = |expression: &str, value: &str| Some((expression.to_owned(), value.to_owned()));
        for (text, name, of, condition) in [
            (
                "safety.pass >= 0.99",
                Some("safety"),
                None,
                figure(Figure::Pass(Part::Estimate), Comparator::AtLeast, 0.99),
            ),
            (
                " safety.pass.lower>=97% ",
                Some("safety"),
                None,
                figure(Figure::Pass(Part::Lower), Comparator::AtLeast, 0.97),
            ),
            ("x.y.mean > -3", Some("x.y"), None, figure(Figure::Mean(Part::Estimate), Comparator::Above, -3.0)),
            (
                "safety.corrected.lower >= 95%",
                Some("safety"),
                None,
                figure(Figure::Corrected(Part::Lower), Comparator::AtLeast, 0.95),
            ),
            (
                "preference[side = 'gpt 5'].win_rate.lower > 50%",
                Some("preference"),
                slice("side", "gpt 5"),
                figure(Figure::WinRate(Part::Lower), Comparator::Above, 0.5),
            ),
            ("errors <= 1%", None, None, figure(Figure::Errors, Comparator::AtMost, 0.01)),
            ("safety.errors < 1 %", Some("safety"), None, figure(Figure::Errors, Comparator::Below, 0.01)),
            ("coverage >= 98%", None, None, figure(Figure::Coverage, Comparator::AtLeast, 0.98)),
            ("pass >= 0.9", None, None, figure(Figure::Pass(Part::Estimate), Comparator::AtLeast, 0.9)),
            (
                "safety[trace.tags.env = 'a >= b'].pass >= 0.9",
                Some("safety"),
                slice("trace.tags.env", "a >= b"),
                figure(Figure::Pass(Part::Estimate), Comparator::AtLeast, 0.9),
            ),
            ("[model==m].errors <= 0", None, slice("model", "m"), figure(Figure::Errors, Comparator::AtMost, 0.0)),
            ("no worse than baseline by 0.03", None, None, Condition::NoWorse(0.03)),
            ("no worse than baseline", None, None, Condition::NoWorse(0.02)),
            ("safety no worse than baseline by 1%", Some("safety"), None, Condition::NoWorse(0.01)),
        ] {
            let gate: Gate = text.parse().unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((gate.name.as_deref(), gate.slice, gate.condition), (name, of, condition), "{text}");
            assert_eq!(gate.text, text.trim());
        }
    }

    #[test]
    fn what_is_wrong_is_pointed_at() {
        for (text, at) in [
            ("", ""),
            ("safety", ""),
            ("safety.pas >= 0.99", "pas"),
            ("safety >= 0.99", "safety"),
            (">= 0.99", ""),
            ("safety.pass >= high", "high"),
            ("safety.pass >=", ""),
            ("safety.pass >= 97", "97"),
            ("safety.pass = 0.97", ""),
            ("errors <= 101%", "101%"),
            ("safety[env].pass >= 0.9", "env"),
            ("safety[env = x.pass >= 0.9", ""),
            ("safety[a = b].corrected >= 0.9", "safety[a = b]"),
            ("no worse than baseline of 0.02", "of 0.02"),
            ("no worse than baseline by 2", "2"),
            ("no worse than baseline by much", "much"),
            ("preference.win_rate >= 0.5", "preference"),
            ("preference[model = m].win_rate >= 0.5", "preference[model = m]"),
            ("preference[side = new].win_rate >= 55", "55"),
            ("é.x[a=b] no worse than baseline", "é.x[a=b]"),
        ] {
            let error = text.parse::<Gate>().unwrap_err();
            assert_eq!(&text[error.at.clone()], at, "{text}: {error}");
        }
        let shown = "safety.pas >= 0.99".parse::<Gate>().unwrap_err().to_string();
        assert!(shown.ends_with("\n  |\n  | safety.pas >= 0.99\n  |        ^^^"), "{shown}");
    }
}
